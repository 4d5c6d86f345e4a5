"""What would have to change for a condition to hold: one value at a time, the others as they are.

Each signal and parameter that is read is tried over its range. Where the answer turns once, the turning point is found
by bisection; where it turns more than once there is no single value to name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.analysis.intervals import Interval, Truth
from policy_dsl.analysis.signals import plausible
from policy_dsl.catalogue import DECLARED, SHAPE, signal_of
from policy_dsl.codegen.lower import postorder
from policy_dsl.interpret import evaluate
from policy_dsl.places import Ordering, Values
from policy_dsl.types import Kind

_STEPS = 60  # of bisection: past the precision of a double over any range in practice
_NOTHING = 1e-12
_SIZES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6, 1e7)
Holds = Callable[[Values, Values, Values], bool]
"""Whether it holds with these values of the row, of the engine and of the params over what they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """*what* (a signal or a param) would do it alone. *bound*: "at least", "more than", "at most" or "less
    than" *needed*, which has six digits; "" for a truth.

    *needed* is None where it would, but not from one value on: "no single value".
    """

    what: str
    now: float | bool
    bound: str
    needed: float | bool | None
    unit: str


@dataclass(frozen=True, slots=True)
class Point:
    """The values of one row, that changes start from."""

    policy: ir.Policy
    row: Values
    engine: Values
    params: Mapping[str, float]


def before(ordering: Ordering, name: str, other: str) -> tuple[Change, ...]:
    """Single values that would put *name* before *other*, which is before it now."""

    def holds(row: Values, engine: Values, params: Values) -> bool:
        mine = ordering.of(name, row, engine, params)
        return mine.before(ordering.of(other, engine=engine, params=params))

    s = ordering.situation
    return _changes(Point(ordering.policy, ordering.rows[name], s.engine, s.policy.params), ordering.roots, holds)


def true(point: Point, condition: ir.Node) -> tuple[Change, ...]:
    """Single values that would make *condition* hold, which does not now."""

    def holds(row: Values, engine: Values, params: Values) -> bool:
        over = ({**point.row, **row}, {**point.engine, **engine}, {**point.params, **params})
        return bool(evaluate(condition, *over))  # type: ignore[arg-type]

    return _changes(point, (condition,), holds)


def _changes(point: Point, roots: Sequence[ir.Node], holds: Holds) -> tuple[Change, ...]:
    found = (_change(leaf, point, holds) for leaf in _leaves(roots))
    return tuple(change for change in found if change is not None)


def _leaves(roots: Sequence[ir.Node]) -> Iterator[ir.Read | ir.Param]:
    """The signals and params that *roots* read, once, in the order in which they read them."""
    seen = set()
    for node in postorder(roots):
        match node:
            case ir.Param(name=name) if name not in seen:
                seen.add(name)
                yield node
            case ir.Read(key=key) if key not in seen and _is_told(key):
                seen.add(key)
                yield node


def _is_told(key: str) -> bool:
    group, _, last = key.rpartition(".")
    return last not in SHAPE and not signal_of(key).hidden and key.partition(".")[0] not in DECLARED and bool(group)


def _change(leaf: ir.Read | ir.Param, point: Point, holds: Holds) -> Change | None:
    if isinstance(leaf, ir.Param):
        what = leaf.name
        info = next(p for p in point.policy.params if p.name == what)
        unit, now, ends = _unit(leaf), point.params[what], (info.low, info.high)
        return _turned(what, now, unit, _tried(now, *ends), lambda value: holds({}, {}, {what: value}))
    what = leaf.key
    shared = not signal_of(what).per_row
    present = (point.engine if shared else point.row)[what]

    def tried(value: float | bool) -> bool:
        return holds({}, {what: value}, {}) if shared else holds({what: value}, {}, {})

    if isinstance(present, str):
        return None
    if isinstance(present, bool):
        return Change(what, present, "", not present, "") if tried(not present) else None
    match plausible(what):
        case Interval(low=low, high=high):
            return _turned(what, float(present), _unit(leaf), _tried(float(present), low, high), tried)
        case Truth():
            return _turned(what, float(present), _unit(leaf), _tried(float(present), 0.0, 1.0), tried)
        case _:
            return None


def _unit(leaf: ir.Node) -> str:
    return "" if leaf.type.kind is not Kind.QUANTITY or str(leaf.type) == "number" else str(leaf.type)


def _tried(now: float, low: float, high: float) -> list[float]:
    """Values over the range, near and far, the present one among them."""
    sizes = [0.0, *_SIZES, *(-s for s in _SIZES), low, high, now]
    sizes += [now * f for f in (0.5, 0.9, 1.1, 2.0)]
    sizes += [low + (high - low) * i / 8 for i in range(1, 8) if math.isfinite(high - low)]
    return sorted({s for s in sizes if low <= s <= high and math.isfinite(s)})


def _turned(what: str, now: float, unit: str, tried: list[float], holds: Callable[[float], bool]) -> Change | None:
    answers = [holds(value) for value in tried]
    if not any(answers):
        return None
    turns = [i for i in range(1, len(tried)) if answers[i] != answers[i - 1]]
    if len(turns) != 1:
        return Change(what, now, "", None, unit)
    right = turns[0]
    rising = answers[right]
    fails, does = (tried[right - 1], tried[right]) if rising else (tried[right], tried[right - 1])
    for _ in range(_STEPS):
        middle = (fails + does) / 2
        if holds(middle):
            does = middle
        else:
            fails = middle
    rounded = 0.0 if abs(does) < _NOTHING else float(f"{does:.6g}")
    words = ("at least", "more than") if rising else ("at most", "less than")
    return Change(what, now, words[0] if holds(rounded) else words[1], rounded, unit)
