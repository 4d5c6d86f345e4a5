"""What would have to change for a request to go before another: one value at a time, the others as they are.

Each signal and parameter that the order reads is tried over its range. Where the answer turns once, the turning point
is found by bisection; where it turns more than once there is no single value to name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.analysis.intervals import Interval, Truth
from policy_dsl.analysis.signals import plausible
from policy_dsl.catalogue import DECLARED, SHAPE, signal_of
from policy_dsl.codegen.lower import postorder
from policy_dsl.places import Placing
from policy_dsl.types import Kind

_STEPS = 60  # of bisection: past the precision of a double over any range in practice
_NOTHING = 1e-12
_SIZES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6, 1e7)


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


def changes(placing: Placing, name: str, other: str) -> tuple[Change, ...]:
    """Single values that would put *name* before *other*, which is before it now."""
    found = (_change(leaf, placing, name, other) for leaf in _leaves(placing.policy))
    return tuple(change for change in found if change is not None)


def _leaves(policy: ir.Policy) -> Iterator[ir.Read | ir.Param]:
    """The signals and params that the order reads, once, in the order in which it reads them."""
    promote = policy.promote
    roots = [k.expr for k in (*policy.rank, *(promote.by if promote else ()))]
    roots += [promote.when] if promote else []
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


def _change(leaf: ir.Read | ir.Param, placing: Placing, name: str, other: str) -> Change | None:
    situation = placing.situation
    if isinstance(leaf, ir.Param):
        what, now = leaf.name, situation.policy.params[leaf.name]
        info = next(p for p in placing.policy.params if p.name == leaf.name)
        ends = (info.low, info.high)

        def holds(value: float | bool) -> bool:
            given = {what: value}
            return placing.of(name, params=given).before(placing.of(other, params=given))
    else:
        what = leaf.key
        shared = not signal_of(what).per_row
        present = (situation.engine if shared else situation.rows[name])[what]
        if isinstance(present, str):
            return None
        now = present
        able = plausible(what)
        if isinstance(able, Interval):
            ends = (able.low, able.high)
        elif isinstance(able, Truth):
            ends = (0.0, 1.0)
        else:
            return None

        def holds(value: float | bool) -> bool:
            if shared:
                return placing.of(name, engine={what: value}).before(placing.of(other, engine={what: value}))
            return placing.of(name, row={what: value}).before(placing.of(other))

    unit = "" if leaf.type.kind is not Kind.QUANTITY or str(leaf.type) == "number" else str(leaf.type)
    if isinstance(now, bool):
        return Change(what, now, "", not now, "") if holds(not now) else None
    return _turned(what, float(now), unit, _tried(float(now), *ends), holds)


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
