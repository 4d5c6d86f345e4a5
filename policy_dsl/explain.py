"""Why a request stands where it does, and why a paused session's KV is where it is, in the policy's own words.

What an expression can't know (seats, memory, the engine's budgets) is not guessed: the situation says it, with the word
that the engine gave. Where the policy states nothing the answer says so, and the built-in rule stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from policy_dsl import inversion, nodes
from policy_dsl.answers import Answer, Answering
from policy_dsl.contributions import Contributions, Part, failing, written
from policy_dsl.decisions import CALL_IS_LIKELY
from policy_dsl.inversion import Change, Point
from policy_dsl.loading import Loaded
from policy_dsl.places import Ordering, Values, Victims, Waiting, Yielding, decisive
from policy_dsl.reopened import reopened
from policy_dsl.situation import Situation, of_then

S = TypeVar("S", bound=nodes.Statement)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What `on call` would answer now, or (*of_then*) has at the turn's arrival. *likely*: a call is foreseen at all,
    with this *chance*.
    """

    answer: Answer
    chance: float
    likely: bool
    of_then: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    """The row just ahead. *decides*: what puts it there ("promote", "preemptions", a key as written, "arrival", or in
    `yield` "rest": of its call)."""

    name: str
    decides: str
    mine: Part | None
    theirs: Part | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A place in an order, from 1. *rule*: whose keys these are: rank, promote (its `by`), yield, victim.

    *highest*: of each key, whether the largest goes first.
    """

    rule: str
    place: int
    of: int
    keys: tuple[Part, ...]
    highest: tuple[bool, ...]
    ahead: Ahead | None


@dataclass(frozen=True, slots=True)
class Condition:
    """`promote` or `admit` about one request. *failing*: its parts that keep it from holding; *changes*: what alone
    would make it hold."""

    part: Part
    holds: bool
    failing: tuple[Part, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The class of a session, and the condition that made it so; None for the class that takes the rest."""

    name: str
    when: Part | None


@dataclass(frozen=True, slots=True)
class ExplainedWaiting:
    """A request that waits. None: the policy doesn't state it. *held_by*: as the engine said, "" where not."""

    name: str
    session: str
    promoted: bool
    standing: Standing
    promote: Condition | None
    admit: Condition | None
    chosen: Chosen | None
    foreseen: Foreseen
    held_by: str


@dataclass(frozen=True, slots=True)
class ExplainedRunning:
    """A request that runs. *victim*: its place among those that would be preempted."""

    name: str
    session: str
    promoted: bool
    victim: Standing | None
    chosen: Chosen | None
    foreseen: Foreseen


@dataclass(frozen=True, slots=True)
class ExplainedPaused:
    """A session whose call runs. *handling*: in force. *decided*: by `on call`, from the values of then or (not
    *of_then*) of now. *now*: what `while paused` would answer, *every*: how often it asks."""

    name: str
    handling: str
    decided: Answer
    of_then: bool
    now: Answer | None
    every: str
    yields: Standing | None
    chosen: Chosen | None
    held_by: str
    lost: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of the policy as it is now. *bound* in tokens or requests; *share*: it was written as a part of all."""

    name: str
    written: str
    bound: float
    part: Part


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that was asked for, in its order: waiting by rank, running by `victim`, paused by `yield` where stated."""

    order: tuple[str, ...]
    waiting: tuple[ExplainedWaiting, ...]
    running: tuple[ExplainedRunning, ...]
    paused: tuple[ExplainedPaused, ...]
    limits: tuple[Bound, ...]
    statements: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]


def explain(loaded: Loaded, situation: Situation, names: Sequence[str] = ()) -> Explanation:
    """Explains the rows *names* (default: all). ValueError when the policy has errors."""
    return _Explainer(loaded, situation).all(names)


class _Explainer:
    def __init__(self, loaded: Loaded, situation: Situation) -> None:
        self._el, self._loaded, self._situation = reopened(loaded), loaded, situation
        assert loaded.policy is not None
        self._policy = loaded.policy
        self._waiting, self._running = Waiting(loaded.policy, situation), Victims(loaded.policy, situation)
        self._paused = Yielding(loaded.policy, situation)
        self._answering = Answering(self._statement(nodes.OnCallStatement), self._statement(nodes.PausedStatement))

    def all(self, names: Sequence[str]) -> Explanation:
        orders = [ordering.order() for ordering in (self._waiting, self._running, self._paused)]
        waiting, running, paused = ([n for n in order if not names or n in names] for order in orders)
        return Explanation(
            tuple(orders[0]),
            tuple(self._of_waiting(name, orders[0]) for name in waiting),
            tuple(self._of_running(name, orders[1]) for name in running),
            tuple(self._of_paused(name, orders[2]) for name in paused),
            self._limits(),
            self._situation.policy.statements,
            tuple(self._situation.left_out.items()),
        )

    # --- one row

    def _of_waiting(self, name: str, order: list[str]) -> ExplainedWaiting:
        s, row = self._situation, self._situation.rows[name]
        promoted = self._waiting.of(name).group == 0
        promote, admit = self._statement(nodes.PromoteStatement), self._statement(nodes.AdmitStatement)
        keys: tuple[nodes.Key, ...] = ()
        if promoted:
            keys = promote.by if promote is not None else ()
        elif (rank := self._statement(nodes.RankStatement)) is not None:
            keys = rank.keys
        return ExplainedWaiting(
            name,
            s.session_of.get(name, ""),
            promoted,
            self._standing("promote" if promoted else "rank", self._waiting, keys, name, order),
            None if promote is None else self._condition(promote.when, row, self._tree(row).of(promote.when).value),
            None if admit is None else self._condition(admit.when, row, s.policy.scalar.admit(row, s.engine)),  # type: ignore[arg-type]
            self._chosen(row),
            self._foreseen(name, row),
            s.held_by.get(name, ""),
        )

    def _of_running(self, name: str, order: list[str]) -> ExplainedRunning:
        s, row = self._situation, self._situation.running[name]
        victim = self._statement(nodes.VictimStatement)
        standing = None if victim is None else self._standing("victim", self._running, victim.keys, name, order)
        promoted = bool(row["request.promoted"])
        return ExplainedRunning(
            name, s.session_of.get(name, ""), promoted, standing, self._chosen(row), self._foreseen(name, row)
        )

    def _of_paused(self, name: str, order: list[str]) -> ExplainedPaused:
        s = self._situation
        session = s.paused[name]
        row, scalar = session.row, s.policy.scalar
        then = of_then(s.policy, row, s.engine, session.decided)
        tree = self._tree(*(then or (row,)))
        decided = scalar.on_call(tree.row, tree.engine)  # type: ignore[arg-type]
        asked, yields = self._statement(nodes.PausedStatement), self._statement(nodes.YieldStatement)
        now = None
        if asked is not None:
            now = self._answering.paused(scalar.paused(row, s.engine), self._tree(row))  # type: ignore[arg-type]
        return ExplainedPaused(
            name,
            ("preserve", "discard", "swap", "none")[int(row["call.handling"])],
            self._answering.called(decided, tree),
            then is not None,
            now,
            "" if asked is None else written(asked.every),
            None if yields is None else self._standing("yield", self._paused, yields.keys, name, order),
            self._chosen(row),
            s.held_by.get(name, ""),
            session.lost,
        )

    # --- parts of it

    def _tree(self, row: Values, engine: Values | None = None) -> Contributions:
        """Of *engine*, where it isn't that of now."""
        s = self._situation
        return Contributions(self._el, row, s.engine if engine is None else engine, s.policy.params)

    def _statement(self, kind: type[S]) -> S | None:
        return next((s for s in self._loaded.composed if isinstance(s, kind)), None)

    def _standing(
        self, rule: str, ordering: Ordering, keys: tuple[nodes.Key, ...], name: str, order: list[str]
    ) -> Standing:
        place = order.index(name)
        tree = self._tree(ordering.rows[name])
        return Standing(
            rule,
            place + 1,
            len(order),
            tuple(tree.of(k.expr) for k in keys),
            tuple(k.highest for k in keys),
            None if place == 0 else self._ahead(ordering, keys, name, order[place - 1]),
        )

    def _ahead(self, ordering: Ordering, keys: tuple[nodes.Key, ...], name: str, other: str) -> Ahead:
        mine, theirs = ordering.of(name), ordering.of(other)
        found = inversion.before(ordering, name, other)
        if mine.group != theirs.group:
            return Ahead(other, "preemptions" if mine.group == 2 else "promote", None, None, found)
        index = decisive(mine, theirs)
        if index is None or index >= len(keys):
            last = "rest" if isinstance(ordering, Yielding) else "arrival"
            return Ahead(other, last if index is not None else "", None, None, found)
        key = keys[index].expr
        here, there = (self._tree(ordering.rows[n]).of(key) for n in (name, other))
        return Ahead(other, written(key), here, there, found)

    def _condition(self, when: nodes.Expr, row: Values, holds: object) -> Condition:
        tree = self._tree(row)
        part, node = tree.of(when), self._el.expr(when, tree.env)
        assert node is not None
        if holds:
            return Condition(part, True, (), ())
        point = Point(self._policy, row, self._situation.engine, self._situation.policy.params)
        return Condition(part, False, failing(part), inversion.true(point, node))

    def _chosen(self, row: Values) -> Chosen | None:
        name = self._situation.policy.scalar.class_of(row)
        classes = (s for s in self._loaded.composed if isinstance(s, nodes.ClassStatement) and s.name.name == name)
        found = next(classes, None)
        if found is None:
            return None
        return Chosen(name, None if found.when is None else self._tree(row).of(found.when))

    def _foreseen(self, name: str, row: Values) -> Foreseen:
        s, chance = self._situation, float(row["call.chance"])
        then = of_then(s.policy, row, s.engine, s.decided.get(name)) if s.policy.on_call_at_arrival else None
        tree = self._tree(*(then or (row,)))
        verdict = s.policy.scalar.on_call(tree.row, tree.engine)  # type: ignore[arg-type]
        answer = self._answering.called(verdict, tree)
        return Foreseen(answer, chance, chance >= CALL_IS_LIKELY, then is not None)

    def _limits(self) -> tuple[Bound, ...]:
        s, found = self._situation, []
        for limit in (x for x in self._loaded.composed if isinstance(x, nodes.LimitStatement)):
            bound = s.policy.scalar.limit(limit.name.name, s.engine)  # type: ignore[arg-type]
            assert bound is not None
            found.append(Bound(limit.name.name, written(limit), bound, self._tree({}).of(limit.bound)))
        return tuple(found)
