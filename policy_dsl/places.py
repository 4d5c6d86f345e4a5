"""Where rows stand in an order of the policy, and where they would if a value were another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.comparing import comparable
from policy_dsl.interpret import evaluate
from policy_dsl.situation import Situation
from policy_dsl.worlds import Value

Values = Mapping[str, Value]
Rows = Mapping[str, Values]
# A request preempted so often in a turn is a victim only when no other is left.
SPARED_AFTER = 3


@dataclass(frozen=True, slots=True)
class Place:
    """What a row is ordered by: its *group* (0 goes first), then *keys* (NaN as infinite, after all numbers), then what
    the engine adapter tells equals apart by."""

    group: int
    keys: tuple[tuple[bool, float], ...]
    last: float

    def before(self, other: Place) -> bool:
        return self.order() < other.order()

    def order(self) -> tuple[int, tuple[tuple[bool, float], ...], float]:
        return (self.group, self.keys, self.last)


def decisive(one: Place, other: Place) -> int | None:
    """Index of the first key in which two places of a group differ, their number for what is asked last, else None."""
    for i, (a, b) in enumerate(zip(one.keys, other.keys, strict=False)):
        if a != b:
            return i
    return len(one.keys) if one.last != other.last else None


@dataclass(frozen=True, slots=True)
class Ordering(ABC):
    """One order of *policy* in one situation, through the reference reading."""

    policy: ir.Policy
    situation: Situation

    @property
    @abstractmethod
    def rows(self) -> Rows:
        """The rows that are ordered."""

    @property
    @abstractmethod
    def roots(self) -> tuple[ir.Node, ...]:
        """The expressions that the order reads."""

    @abstractmethod
    def _standing(self, row: Values, value: Callable[[ir.Node], Value]) -> tuple[int, Sequence[ir.Key]]:
        """The group of a row, and the keys of that group."""

    def order(self) -> list[str]:
        """All rows, first to last; equal ones as they were given."""
        places = {name: self.of(name) for name in self.rows}
        return sorted(places, key=lambda name: places[name].order())

    def of(
        self, name: str, row: Values | None = None, engine: Values | None = None, params: Values | None = None
    ) -> Place:
        """The place of row *name*, with *row*, *engine* and *params* over what they are."""
        own = {**self.rows[name], **(row or {})}
        shared, values = {**self.situation.engine, **(engine or {})}, {**self.situation.policy.params, **(params or {})}

        def value(node: ir.Node) -> Value:
            return evaluate(node, own, shared, values)  # type: ignore[arg-type]

        group, keys = self._standing(own, value)
        made = comparable([_signed(value(k.expr), k.highest) for k in keys])
        return Place(group, made, self._last(own))

    def _last(self, row: Values) -> float:
        return float(row["request.arrival"])


@dataclass(frozen=True, slots=True)
class Waiting(Ordering):
    """`rank`: promoted requests first, until their turn ends, among them by the `by` of `promote`."""

    @property
    def rows(self) -> Rows:
        return self.situation.rows

    @property
    def roots(self) -> tuple[ir.Node, ...]:
        promote = self.policy.promote
        by = (*promote.by, ir.Key(promote.when, highest=False)) if promote else ()
        return tuple(k.expr for k in (*self.policy.rank, *by))

    def _standing(self, row: Values, value: Callable[[ir.Node], Value]) -> tuple[int, Sequence[ir.Key]]:
        promote = self.policy.promote
        if row["request.promoted"] or (promote is not None and value(promote.when)):
            return 0, promote.by if promote is not None else ()
        return 1, self.policy.rank


@dataclass(frozen=True, slots=True)
class Yielding(Ordering):
    """`yield`: which paused session gives its memory back first."""

    @property
    def rows(self) -> Rows:
        return {name: session.row for name, session in self.situation.paused.items()}

    @property
    def roots(self) -> tuple[ir.Node, ...]:
        return tuple(k.expr for k in self.policy.yields)

    def _standing(self, row: Values, value: Callable[[ir.Node], Value]) -> tuple[int, Sequence[ir.Key]]:
        return 0, self.policy.yields

    def _last(self, row: Values) -> float:
        return yields_last(row)


@dataclass(frozen=True, slots=True)
class Victims(Ordering):
    """`victim`: which running request is preempted first; promoted ones after the others, spared ones last."""

    @property
    def rows(self) -> Rows:
        return self.situation.running

    @property
    def roots(self) -> tuple[ir.Node, ...]:
        return tuple(k.expr for k in self.policy.victim)

    def _standing(self, row: Values, value: Callable[[ir.Node], Value]) -> tuple[int, Sequence[ir.Key]]:
        return victim_group(row, bool(row["request.promoted"])), self.policy.victim


def victim_group(row: Values, promoted: bool) -> int:
    """Whom the engine adapter preempts first, whatever the policy says: 0, then 1, then 2 (runtime/victims.py)."""
    return 2 if float(row["request.preemptions"]) >= SPARED_AFTER else int(promoted)


def yields_last(row: Values) -> float:
    """What tells those apart that `yield` takes as equals, the lowest first: the longest expected rest of a call gives
    way (runtime/keeping.py)."""
    return -float(row["call.remaining"])


def _signed(value: Value, highest: bool) -> float:
    number = float(value)
    return -number if highest else number
