"""Interval arithmetic with the language's IEEE rules: for every operation, all the values it can give.

Sound, not exact: what a value really is lies inside, the reverse need not hold. Bounds are computed
with the operation itself; IEEE rounding keeps order, so they need no widening, save for `exp`, `log`,
`^` and `normal_cdf`, whose last bits promise nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from policy_dsl.codegen import arithmetic

INF = math.inf
TINY = 5e-324  # the smallest number above 0
_SLACK = 1e-13  # relative, for functions without a promise about their last bits


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from *low* to *high*, bounds included, infinite ones too; NaN as well where *nan*. low > high: none."""

    low: float
    high: float
    nan: bool = False

    @property
    def empty(self) -> bool:
        return self.low > self.high

    @property
    def is_point(self) -> bool:
        return self.low == self.high and not self.nan

    def holds(self, x: float) -> bool:
        return self.nan if math.isnan(x) else self.low <= x <= self.high


@dataclass(frozen=True, slots=True)
class Truth:
    """What a condition can be."""

    can_hold: bool
    can_fail: bool

    @property
    def always(self) -> bool:
        return self.can_hold and not self.can_fail

    @property
    def never(self) -> bool:
        return self.can_fail and not self.can_hold


NOTHING = Interval(INF, -INF)
ALL = Interval(-INF, INF, True)
EITHER = Truth(True, True)


def hull(a: Interval, b: Interval) -> Interval:
    """The smallest interval that holds both."""
    return Interval(min(a.low, b.low), max(a.high, b.high), a.nan or b.nan)


def union(a: Truth, b: Truth) -> Truth:
    return Truth(a.can_hold or b.can_hold, a.can_fail or b.can_fail)


def _around(values: Iterable[float], nan: bool) -> Interval:
    """The interval over *values*; NaN among them is said by *nan* alone."""
    numbers = [v for v in values if not math.isnan(v)]
    return Interval(min(numbers), max(numbers), nan) if numbers else Interval(INF, -INF, nan)


def _widened(a: Interval, floor: float = -INF, ceiling: float = INF) -> Interval:
    if a.empty:
        return a
    low, high = a.low - (abs(a.low) * _SLACK + 1e-320), a.high + (abs(a.high) * _SLACK + 1e-320)
    low, high = (a.low if math.isnan(low) else low), (a.high if math.isnan(high) else high)
    return Interval(max(low, floor), min(high, ceiling), a.nan)


def negate(a: Interval) -> Interval:
    return Interval(-a.high, -a.low, a.nan)


def add(a: Interval, b: Interval) -> Interval:
    nan = a.nan or b.nan or meets_infinities(a, b)
    if a.empty or b.empty:
        return Interval(INF, -INF, nan)
    low, high = a.low + b.low, a.high + b.high
    return Interval(-INF if math.isnan(low) else low, INF if math.isnan(high) else high, nan)


def meets_infinities(a: Interval, b: Interval) -> bool:
    """Whether `a + b` can be `inf - inf`."""
    return (a.high == INF and b.low == -INF) or (a.low == -INF and b.high == INF)


def subtract(a: Interval, b: Interval) -> Interval:
    return add(a, negate(b))


def multiply(a: Interval, b: Interval) -> Interval:
    nan = a.nan or b.nan or zero_times_infinity(a, b) or zero_times_infinity(b, a)
    if a.empty or b.empty:
        return Interval(INF, -INF, nan)
    corners = [x * y if x and y else 0.0 for x in (a.low, a.high) for y in (b.low, b.high)]
    return _around(corners, nan)


def zero_times_infinity(a: Interval, b: Interval) -> bool:
    return a.low <= 0.0 <= a.high and (b.low == -INF or b.high == INF)


def divide(a: Interval, b: Interval) -> Interval:
    both_infinite = INF in (-a.low, a.high) and INF in (-b.low, b.high)
    zeros = b.low <= 0.0 <= b.high and a.low <= 0.0 <= a.high
    nan = a.nan or b.nan or both_infinite or zeros
    if a.empty or b.empty:
        return Interval(INF, -INF, nan)
    corners: list[float] = []
    for low, high in ((b.low, min(b.high, -TINY)), (max(b.low, TINY), b.high)):
        if low <= high:
            corners += [arithmetic.divide(x, y) for x in (a.low, a.high) for y in (low, high)]
    if b.low <= 0.0 <= b.high:
        corners += [INF] * (a.high > 0.0) + [-INF] * (a.low < 0.0)
    if a.low <= 0.0 <= a.high and not (b.low == b.high == 0.0):
        corners.append(0.0)
    return _around(corners, nan)


def power(a: Interval, b: Interval) -> Interval:
    nan = a.nan or b.nan
    if b.is_point:
        return _power_of(a, b.low, nan)
    if a.empty or b.empty:
        return Interval(1.0, 1.0, True)  # C's pow: 1 ^ NaN and NaN ^ 0 are 1
    if a.low < 0.0:
        return ALL
    corners = [arithmetic.power(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return _widened(_around([*corners, 1.0], nan), 0.0)


def _power_of(a: Interval, exponent: float, nan: bool) -> Interval:
    if exponent == 0.0:
        return Interval(1.0, 1.0, nan)
    if a.empty:
        return a
    if a.low >= 0.0:
        return _widened(_around((arithmetic.power(x, exponent) for x in (a.low, a.high)), nan), 0.0)
    if exponent % 2.0 == 0.0 or math.isinf(exponent):
        return _power_of(absolute(a), exponent, nan)
    if exponent % 2.0 == 1.0 and exponent > 0.0:
        return _widened(_around((arithmetic.power(x, exponent) for x in (a.low, a.high)), nan))
    return Interval(-INF, INF, True)


def minimum(a: Interval, b: Interval) -> Interval:
    if a.empty or b.empty:
        return Interval(INF, -INF, True)
    return Interval(min(a.low, b.low), min(a.high, b.high), a.nan or b.nan)


def maximum(a: Interval, b: Interval) -> Interval:
    if a.empty or b.empty:
        return Interval(INF, -INF, True)
    return Interval(max(a.low, b.low), max(a.high, b.high), a.nan or b.nan)


def absolute(a: Interval) -> Interval:
    if a.low >= 0.0:
        return a
    if a.high <= 0.0:
        return negate(a)
    return Interval(0.0, max(-a.low, a.high), a.nan)


def _rising(function: Callable[[float], float], floor: float = -INF, ceiling: float = INF) -> Callable[..., Interval]:
    def image(a: Interval) -> Interval:
        return _widened(_around((function(a.low), function(a.high)) if not a.empty else (), a.nan), floor, ceiling)

    return image


def _from_zero(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    """For `log`, `log2` and `sqrt`: NaN below 0."""

    def image(a: Interval) -> Interval:
        nan = a.nan or a.low < 0.0
        if a.empty or a.high < 0.0:
            return Interval(INF, -INF, nan)
        return _widened(_around((function(max(a.low, 0.0)), function(a.high)), nan))

    return image


def _whole(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    return lambda a: a if a.empty else Interval(function(a.low), function(a.high), a.nan)


FUNCTIONS: dict[str, Callable[[Interval], Interval]] = {
    "abs": absolute,
    "floor": _whole(arithmetic.floor),
    "ceil": _whole(arithmetic.ceil),
    "sqrt": _from_zero(arithmetic.sqrt),
    "log": _from_zero(arithmetic.log),
    "log2": _from_zero(arithmetic.log2),
    "exp": _rising(arithmetic.exp, 0.0),
    "normal_cdf": _rising(arithmetic.normal_cdf, 0.0, 1.0),
}
OPERATIONS: dict[str, Callable[[Interval, Interval], Interval]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "^": power,
}


def compare(op: str, a: Interval, b: Interval) -> Truth:
    """Whether `a op b` can hold and can fail. Comparisons with NaN are false, `!=` is true."""
    match op:
        case ">" | ">=":
            return compare({">": "<", ">=": "<="}[op], b, a)
        case "!=":
            same = compare("==", a, b)
            return Truth(same.can_fail, same.can_hold)
    some, nan = not (a.empty or b.empty), a.nan or b.nan
    match op:
        case "<":
            return Truth(some and a.low < b.high, nan or (some and a.high >= b.low))
        case "<=":
            return Truth(some and a.low <= b.high, nan or (some and a.high > b.low))
        case "==":
            overlap = some and a.low <= b.high and b.low <= a.high
            return Truth(overlap, nan or (some and not (a.low == a.high == b.low == b.high)))
    raise ValueError(f"no comparison {op}")
