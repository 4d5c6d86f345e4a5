"""Whether a request can be overtaken for ever: a sound, incomplete proof from the ranges of signals.

What is proved is bounded overtaking: once a request has waited T, no later arrival starts before
it, provided that the engine finishes what it starts and that `admit` lets the first in. It is no
bound on waiting: in overload all have waited T, and the order is that of arrival.

*Order*: the first key is the arrival (or a clock that runs at the same speed for all); the same of a limit on what runs
that is given out `by` an order, as one without a place doesn't start.
*Guard*: `promote` holds for every row that has waited T, and the order among promoted rows is
itself bounded. Ranges say so: with every clock of the row at T or more, the condition cannot fail.
*Ageing*: with A having waited T and B just arrived, A's first key lies below B's, whatever else
they are. Where the key is `f - c wait` (or an instant plus f) that holds for good: T = (hi - lo) / c.
Where it is `f / g(wait)` it holds at the moment B arrives; while both wait their quotient shrinks, so
a B that has itself waited a share of A's time may pass. The sentence says which.

A row's clocks are those of its turn. Where only the session's clocks bound the order, what is
proved is so for sessions: turns of older sessions may pass as often as they return.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.analysis.intervals import INF, Interval, Truth
from policy_dsl.analysis.linear import growth
from policy_dsl.analysis.ranges import Ranges, ranges_of
from policy_dsl.analysis.signals import LONGEST_S, Values, assuming, plausible
from policy_dsl.catalogue import Changes, signal_of
from policy_dsl.codegen.lower import keys_read
from policy_dsl.limits import of_waiting

_TURN_CLOCKS_S = ("request.age", "request.waited")
_SESSION_CLOCKS_S = ("session.age", "session.waited")
_STEP_CLOCK = "request.waited_steps"
_MOST_STEPS = 1e9
LONGEST_PROVED_S = 30 * 86400.0
"""A bound past a month is none: it comes from sizes that no engine reaches."""
_LONGEST_PROVED_STEPS = 1e8


@dataclass(frozen=True, slots=True)
class Overtaking:
    """*word*: order, guard, ageing or unproved. *bound* is T with its unit, "" where there is none to say.

    *t* is T as a number, in seconds or (where *unit* is "steps") engine steps; None where T is an
    expression of the request. *sentence* says what is proved, or why nothing is. *limit*: whose order alone is why.
    """

    word: str
    bound: str
    sentence: str
    t: float | None = None
    unit: str = ""
    limit: ir.Limit | None = None

    def __str__(self) -> str:
        return f"{self.word} {self.bound}".strip()


@dataclass(frozen=True, slots=True)
class _Bound:
    """After *t* s (plus *steps*), for turns or only for sessions, for good or only against new arrivals."""

    t: float = 0.0
    steps: float = 0.0
    text: str = ""  # in place of a number
    sessions: bool = False
    for_good: bool = True


def overtaking(policy: ir.Policy) -> Overtaking:
    """The verdict on *policy*, parameters at their defaults."""
    proof = _Proof(policy)
    first = _starts(proof, policy)
    if first is not None and first.t == 0 and first.for_good:
        return _said("order", first)
    guard = None if policy.promote is None else _guard(proof, policy.promote)
    if guard is not None:
        return _said("guard", guard)
    if first is not None:
        return _said("ageing", first)
    blamed = None if policy.promote is not None else _blamed(proof, policy)
    if blamed is not None:
        why = f"`limit {blamed.name}` orders by something that later arrivals can win, and nothing is promoted"
        return Overtaking("unproved", "", why, limit=blamed)
    return Overtaking("unproved", "", _why(proof, policy))


class _Proof:
    """Ranges under an assumption on the clocks of a row."""

    def __init__(self, policy: ir.Policy) -> None:
        self._policy, self._fixed = policy, {p.name: p.default for p in policy.params}

    def waited(self, t: float, steps: float = 0.0) -> Ranges:
        """A row that has waited at least so long."""
        known: dict[str, Values] = dict.fromkeys((*_TURN_CLOCKS_S, *_SESSION_CLOCKS_S), Interval(t, max(LONGEST_S, t)))
        known[_STEP_CLOCK] = Interval(steps, max(_MOST_STEPS, steps))
        return ranges_of(self._policy, assuming(plausible, known), self._fixed)

    def arriving(self, session_too: bool) -> Ranges:
        """A row that arrives now, of a session that may be old, or that arrives now as well."""
        clocks = (*_TURN_CLOCKS_S, _STEP_CLOCK, *(_SESSION_CLOCKS_S if session_too else ()))
        known: dict[str, Values] = dict.fromkeys(clocks, Interval(0.0, 0.0))
        return ranges_of(self._policy, assuming(plausible, known), self._fixed)


def _order(proof: _Proof, keys: tuple[ir.Key, ...]) -> _Bound | None:
    """How long until no later arrival precedes a row by *keys*: by the first one, which decides unless it ties."""
    if not keys:
        return _Bound()
    key = keys[0]
    grown = growth(key.expr, -1.0 if key.highest else 1.0)
    if grown is not None:
        spread = _spread(proof.waited(0.0), grown.rest)
        if spread is not None and spread / grown.rate <= LONGEST_PROVED_S:
            return _Bound(spread / grown.rate, sessions=grown.session)
    return _ageing(proof, key)


def _starts(proof: _Proof, policy: ir.Policy) -> _Bound | None:
    """The same of who starts: by `rank`, and by each order that gives out what a limit on what runs leaves."""
    orders = (policy.rank, *(limit.by for limit in _given_out(policy)))
    bounds = [bound for keys in orders if (bound := _order(proof, keys)) is not None]
    if len(bounds) < len(orders):
        return None
    return _Bound(
        max(bound.t for bound in bounds),
        max(bound.steps for bound in bounds),
        sessions=any(bound.sessions for bound in bounds),
        for_good=all(bound.for_good for bound in bounds),
    )


def _given_out(policy: ir.Policy) -> list[ir.Limit]:
    """The limits on what runs that an order of their own gives out. Promoted requests come first in it as they are."""
    return [limit for limit in policy.limits if limit.by and of_waiting(limit.name)]


def _blamed(proof: _Proof, policy: ir.Policy) -> ir.Limit | None:
    """The limit whose order is why nothing is proved, where that of the rank would do."""
    if _order(proof, policy.rank) is None:
        return None
    return next(limit for limit in _given_out(policy) if _order(proof, limit.by) is None)


def _spread(ranges: Ranges, rest: tuple[tuple[float, ir.Node], ...]) -> float | None:
    """The widest difference between two sums of *rest*; None where it has no bound."""
    total = 0.0
    for factor, node in rest:
        found = ranges.of(node)
        if not isinstance(found, Interval) or found.nan or found.empty or math.isinf(found.high - found.low):
            return None
        total += abs(factor) * (found.high - found.low)
    return total


def _ageing(proof: _Proof, key: ir.Key) -> _Bound | None:
    for sessions in (False, True):
        new = _number(proof.arriving(sessions).of(key.expr))

        def ahead(t: float, steps: float, new: Interval = new) -> bool:
            old = _number(proof.waited(t, steps).of(key.expr))
            if old.nan or old.empty:
                return False
            return new.empty or (old.low > new.high if key.highest else old.high < new.low)

        found = _search(ahead)
        if found is not None:
            return _Bound(*found, sessions=sessions, for_good=False)
    return None


def _number(value: Values) -> Interval:
    match value:
        case Interval():
            return value
        case Truth():
            return Interval(0.0 if value.can_fail else 1.0, 1.0 if value.can_hold else 0.0)
    return Interval(-INF, INF, True)


def _guard(proof: _Proof, promote: ir.Promote) -> _Bound | None:
    among = _order(proof, promote.by)
    if among is None:
        return None

    def promoted(t: float, steps: float) -> bool:
        return proof.waited(t, steps).truth(promote.when).always

    found = _search(promoted)
    if found is not None:
        return _Bound(found[0] + among.t, found[1] + among.steps, "", among.sessions, among.for_good)
    text = _fixed_bound(proof, promote.when) if not (among.t or among.steps) else None
    return None if text is None else _Bound(text=text, sessions=among.sessions)


def _search(holds: Callable[[float, float], bool]) -> tuple[float, float] | None:
    """The least wait (seconds, steps) from which on *holds*: by time alone, else by steps alone, else by both."""
    most_s, most_steps = LONGEST_PROVED_S, _LONGEST_PROVED_STEPS
    if holds(0.0, 0.0):
        return 0.0, 0.0
    if holds(most_s, 0.0):
        return _least(lambda s: holds(s, 0.0), most_s), 0.0
    if holds(0.0, most_steps):
        return 0.0, _least(lambda n: holds(0.0, n), most_steps)
    if holds(most_s, most_steps):
        t = _least(lambda s: holds(s, most_steps), most_s)
        return t, _least(lambda n: holds(t, n), most_steps)
    return None


def _least(holds: Callable[[float], bool], most: float) -> float:
    """The least x up to *most* from which on *holds*, to seven digits: from ranges, so what holds goes on to hold."""
    low, high = 0.0, most
    while high > low * (1 + 1e-7) and high > most * 1e-10:
        # First the size, then the digits: x can be anything from a millisecond to a month.
        middle = math.sqrt(max(low, most * 1e-11) * high) if high > 4 * low else (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _fixed_bound(proof: _Proof, when: ir.Node) -> str | None:
    """`clock >= E` (or a disjunct of that form) with E fixed per row and finite: T is what E says."""
    match when:
        case ir.Binary(op="or", left=left, right=right):
            return _fixed_bound(proof, left) or _fixed_bound(proof, right)
        case ir.Binary(op=">=" | ">", left=left, right=right):
            clock, bound = left, right
        case ir.Binary(op="<=" | "<", left=left, right=right):
            clock, bound = right, left
        case _:
            return None
    clocks = (*_TURN_CLOCKS_S, *_SESSION_CLOCKS_S, _STEP_CLOCK, "engine.now")
    if not (isinstance(clock, ir.Read) and clock.key in clocks):
        return None
    if any(signal_of(key).changes > Changes.REQUEST for key in keys_read((bound,))):
        return None
    found = proof.waited(0.0).of(bound)
    if not isinstance(found, Interval) or found.nan or found.empty or math.isinf(found.high):
        return None
    return f"`{' '.join(bound.span.text.split())}`"


# --- words


def _said(word: str, b: _Bound) -> Overtaking:
    bound = "" if word == "order" else _length(b)
    when = f"after {bound} " if bound else ""
    who = "no session that began later starts a turn before it" if b.sessions else "no later arrival starts before it"
    if not b.for_good:
        what = "session that begins" if b.sessions else "request that arrives"
        who = f"it goes before every {what} then; one that has waited long itself may still pass"
    more = "; turns of older sessions may, as often as they return" if b.sessions else ""
    t, unit = (b.steps, "steps") if b.steps and not b.t else (b.t, "s")
    return Overtaking(word, bound, f"{when}{who}{more}", None if b.text else t, unit)


def _length(b: _Bound) -> str:
    parts = [duration(b.t)] * bool(b.t) + [f"{math.ceil(b.steps * (1 - 1e-6)):,} steps"] * bool(b.steps)
    return b.text or " and ".join(parts) or "0 s"


def duration(seconds: float) -> str:
    """`2.3 days`, `60 s`, `250 ms`."""
    for least, size, unit in (
        (172_800.0, 86_400.0, "days"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (1.0, 1.0, "s"), (0.0, 1e-3, "ms"),
    ):  # fmt: skip
        if seconds >= least * (1 - 1e-6):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _why(proof: _Proof, policy: ir.Policy) -> str:
    if policy.promote is None:
        return "the rank does not grow with the wait for certain, and nothing is promoted"
    if _order(proof, policy.promote.by) is None:
        return "`promote` orders by something that later arrivals can win"
    if proof.waited(0.0).truth(policy.promote.when).never:
        return "`promote` never holds"
    return "`promote` need not hold however long a request has waited"
