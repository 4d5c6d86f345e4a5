"""Where requests stand in the final order, and where they would if a value were another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.interpret import evaluate
from policy_dsl.situation import Situation
from policy_dsl.worlds import Value

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Place:
    """What a request is ordered by: promoted ones first, then *keys* (NaN as infinite, after all numbers)."""

    promoted: bool
    keys: tuple[tuple[bool, float], ...]
    arrival: float

    def before(self, other: Place) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[bool, tuple[tuple[bool, float], ...], float]:
        return (not self.promoted, self.keys, self.arrival)


def decisive(one: Place, other: Place) -> int | None:
    """Index of the first key in which two equally promoted places differ, their number for the arrival, else None."""
    for i, (a, b) in enumerate(zip(one.keys, other.keys, strict=False)):
        if a != b:
            return i
    return len(one.keys) if one.arrival != other.arrival else None


@dataclass(frozen=True, slots=True)
class Placing:
    """Places by a policy in one situation, through the reference reading."""

    policy: ir.Policy
    situation: Situation

    def order(self) -> list[str]:
        """All requests, first to last; equal ones as they were given."""
        places = {name: self.of(name) for name in self.situation.rows}
        return sorted(places, key=lambda name: places[name]._order())

    def of(
        self, name: str, row: Values | None = None, engine: Values | None = None, params: Values | None = None
    ) -> Place:
        """The place of request *name*, with *row*, *engine* and *params* over what they are."""
        s = self.situation
        own = {**s.rows[name], **(row or {})}
        shared, values = {**s.engine, **(engine or {})}, {**s.policy.params, **(params or {})}

        def value(node: ir.Node) -> Value:
            return evaluate(node, own, shared, values)  # type: ignore[arg-type]

        promote = self.policy.promote
        promoted = promote is not None and bool(value(promote.when))
        keys: Sequence[ir.Key] = self.policy.rank
        if promote is not None and promoted:
            keys = promote.by
        made = _comparable([_signed(value(k.expr), k.highest) for k in keys])
        return Place(promoted, made, float(own["request.arrival"]))


def _signed(value: Value, highest: bool) -> float:
    number = float(value)
    return -number if highest else number


def _comparable(keys: Sequence[float]) -> tuple[tuple[bool, float], ...]:
    """*keys* with NaN after all numbers; what follows one counts no more."""
    made: list[tuple[bool, float]] = []
    for i, key in enumerate(keys):
        if math.isnan(key):
            return (*made, *[(True, 0.0)] * (len(keys) - i))
        made.append((False, key))
    return tuple(made)
