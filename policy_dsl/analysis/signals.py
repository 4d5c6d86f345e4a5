"""What a signal can be: by the catalogue alone, or as large as it gets in practice.

The catalogue bounds most signals on one side only. A proof that counts on numbers (a bound on
overtaking) and a warning that is to be worth reading (an overflow) need the other side: sizes no
engine reaches. `PLAUSIBLE` has them, `EXTREME` allows whatever a double can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from policy_dsl import ir
from policy_dsl.analysis.intervals import EITHER, INF, Interval, Truth
from policy_dsl.catalogue import SHAPE, Signal, signal_of
from policy_dsl.types import Handling, Kind
from policy_dsl.units import BLOCK, BYTE, NUMBER, SECOND, STEP, TOKEN, Dim

Values = Interval | Truth | frozenset[float] | None
"""What an expression can be: numbers, truth, codes of handlings; None for a text."""

Assumption = Callable[[str], Values]
"""The values of a signal's key."""

ANY_HANDLING = frozenset(float(h) for h in Handling)
LONGEST_S = 1e7  # a wait, a call or a session: four months
LARGEST_REQUEST_TOK = 1e7
# What an engine has in all, and units that only it is counted in.
_MOST: dict[Dim, float] = {
    NUMBER: 1e7,
    TOKEN: 1e9,
    BLOCK: 1e9,
    BYTE: 1e15,
    SECOND: LONGEST_S,
    STEP: 1e9,
    SECOND / STEP: 100.0,
    TOKEN / BLOCK: 1e5,
    BYTE / TOKEN: 1e9,
    SECOND / TOKEN: 1.0,
    SECOND / TOKEN / TOKEN: 1e-6,
}
_MOST_ELSEWHERE = 1e15
_SHAPE = {"mu": Interval(-50.0, 50.0), "sigma": Interval(0.0, 10.0), "after": Interval(0.0, LONGEST_S)}
_INSTANT_S = 1e10  # clocks begin at the boot or in 1970
_LARGEST_PRIORITY = 2.0**31


def extreme(key: str) -> Values:
    """What the catalogue promises: an open end includes infinity."""
    return _shared(key) or _of(signal_of(key), lambda s, end: end)


def plausible(key: str) -> Values:
    """The same, open ends closed at sizes that no engine reaches; a signal whose default is infinite keeps them."""
    return _shared(key) or _of(signal_of(key), _closed)


def _shared(key: str) -> Values:
    stat = key.rpartition(".")[2]
    if stat == "known":
        return EITHER
    if stat in SHAPE:
        return _SHAPE[stat]
    return None


def _of(signal: Signal, end: Callable[[Signal, float], float]) -> Values:
    match signal.type.kind:
        case Kind.BOOL:
            return EITHER
        case Kind.QUANTITY | Kind.INSTANT:
            return Interval(end(signal, signal.low), end(signal, signal.high))
        case Kind.HANDLING:
            return ANY_HANDLING
        case Kind.TEXT:
            return None


def _closed(signal: Signal, end: float) -> float:
    if not math.isinf(end) or end in (signal.default, signal.test):
        return end
    if signal.type.kind is Kind.INSTANT:
        most = _INSTANT_S
    elif signal.low == -INF:
        most = _LARGEST_PRIORITY
    elif signal.type.dim == TOKEN and signal.per_row:
        most = LARGEST_REQUEST_TOK
    else:
        most = _MOST.get(signal.type.dim, _MOST_ELSEWHERE)
    return math.copysign(most, end)


def declared(policy: ir.Policy) -> dict[str, Values]:
    """What the policy says itself: attributes of classes, hints of clients, what it can have decided at arrival."""
    found: dict[str, Values] = {"call.decided": frozenset(map(float, _begun_with(policy.on_call)))}
    for name in dict(policy.classes[0].attributes) if policy.classes else ():
        values = [dict(c.attributes)[name] for c in policy.classes]
        if all(isinstance(v, bool) for v in values):
            found[f"class.{name}"] = Truth(True in values, False in values)
        elif any(isinstance(v, str) for v in values):
            found[f"class.{name}"] = None
        else:
            numbers = [float(v) for v in values]
            found[f"class.{name}"] = Interval(min(numbers), max(numbers))
    for hint in policy.hints:
        found[f"hint.{hint.name}"] = None if isinstance(hint.default, str) else Interval(hint.low, hint.high)
    return found


def _begun_with(decision: ir.Decision) -> set[Handling]:
    """What *decision* can begin with: a link of a chain that can't be carried out is skipped, discard always can."""
    match decision:
        case ir.Act(holds=links):
            return {link.handling for link in links} | {Handling.DISCARD}
        case ir.Pick(arms=arms):
            return set[Handling]().union(*(_begun_with(arm.act) for arm in arms))
        case ir.Choose(then=then, other=other):
            return _begun_with(then) | _begun_with(other)
        case ir.Again():
            raise AssertionError("`again` stands in `while paused` only")


def assuming(base: Assumption, known: Mapping[str, Values]) -> Assumption:
    """*base*, but for the signals in *known*."""
    return lambda key: known[key] if key in known else base(key)
