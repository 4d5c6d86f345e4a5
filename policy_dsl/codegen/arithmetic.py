"""The arithmetic of the language on single values: IEEE-754 doubles, and nothing ever raises.

The reference interpreter and scalar code call these functions; `columns.py` has the same ones over
arrays, equal to the last bit. numpy is the yardstick for special values (x/0 is infinite, 0/0 and
log(-1) are NaN, min and max pass NaN on). One thing is stricter: a zero has no sign. -0.0 equals
0.0, so both must give the same quotient and power, else equal values would rank differently.

numpy's exp, log and log2 use vector instructions whose last bit depends on the machine. So both
readings share `exp_of_parts`, `log_of_parts` and `bell`: only + - * /, which IEEE defines exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from policy_dsl.types import Handling

INF, NAN = math.inf, math.nan
SQRT_HALF = math.sqrt(0.5)
LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first ends in zeros, so that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
EXP_LOW, EXP_HIGH = -746.0, 710.0  # exp is 0 below and infinite above
_ODD = tuple(1.0 / n for n in range(23, 1, -2))  # 2 atanh(s) = 2 (s + s^3/3 + s^5/5 ...)
_TAYLOR = tuple(1.0 / math.factorial(n) for n in range(13, -1, -1))
# Rational approximation of the normal distribution's tail: J. F. Hart, Computer Approximations
# (1968), algorithm 5666. Relative error 1e-15 up to 7.07, then a continued fraction.
_TAIL_TOP = (
    0.0352624965998911, 0.700383064443688, 6.37396220353165, 33.912866078383,
    112.079291497871, 221.213596169931, 220.206867912376,
)  # fmt: skip
_TAIL_BOTTOM = (
    0.0883883476483184, 1.75566716318264, 16.064177579207, 86.7807322029461,
    296.564248779674, 637.333633378831, 793.826512519948, 440.413735824752,
)  # fmt: skip
TAIL_SPLIT = 7.07106781186547
_ROOT_TWO_PI = 2.506628274631


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """A polynomial, highest power first, of a float or a column."""
    total = coefficients[0] + 0.0 * x
    for c in coefficients[1:]:
        total = total * x + c
    return total


def log_of_parts(mantissa: Any, exponent: Any) -> Any:
    """ln(mantissa * 2**exponent) for mantissa in [sqrt 1/2, sqrt 2), of floats or columns."""
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    tail = 2.0 * s * square * horner(_ODD, square)
    return exponent * LN2_HIGH + (2.0 * s + (tail + exponent * LN2_LOW))


def exp_of_parts(x: Any, k: Any) -> Any:
    """exp(x) / 2**k, with k the integer nearest x / ln 2, of floats or columns."""
    return horner(_TAYLOR, (x - k * LN2_HIGH) - k * LN2_LOW)


def bell_near(y: Any, bell: Any) -> Any:
    """P(Z > y) for 0 <= y < TAIL_SPLIT, with *bell* = exp(-y²/2), of floats or columns."""
    return bell * horner(_TAIL_TOP, y) / horner(_TAIL_BOTTOM, y)


def bell_far(y: Any, bell: Any) -> Any:
    """P(Z > y) for y >= TAIL_SPLIT."""
    fraction = y + 0.65
    for n in (4.0, 3.0, 2.0, 1.0):
        fraction = y + n / fraction
    return bell / fraction / _ROOT_TWO_PI


def divide(x: float, y: float) -> float:
    if y == 0.0:
        return NAN if x == 0.0 or math.isnan(x) else math.copysign(INF, x)
    return x / y


def power(x: float, y: float) -> float:
    """C's pow, but x ^ 2 is x * x. A negative base with a fraction as exponent is NaN."""
    if y == 2.0:
        return x * x
    try:
        return math.pow(x + 0.0, y)
    except OverflowError:
        return -INF if x < 0.0 and y % 2.0 == 1.0 else INF
    except ValueError:
        return INF if x == 0.0 else NAN


def _split(x: float) -> tuple[float, int]:
    mantissa, exponent = math.frexp(x)
    return (mantissa + mantissa, exponent - 1) if mantissa < SQRT_HALF else (mantissa, exponent)


def log(x: float) -> float:
    if not 0.0 < x < INF:
        return -INF if x == 0.0 else x if x == INF else NAN
    return float(log_of_parts(*_split(x)))


def log2(x: float) -> float:
    if not 0.0 < x < INF:
        return log(x)
    mantissa, exponent = _split(x)
    return float(exponent + log_of_parts(mantissa, 0.0) * LOG2_E)


def exp(x: float) -> float:
    if not EXP_LOW < x < EXP_HIGH:
        return 0.0 if x <= EXP_LOW else INF if x >= EXP_HIGH else NAN
    k = math.floor(x * LOG2_E + 0.5)
    return math.ldexp(exp_of_parts(x, float(k)), k - 1) * 2.0  # ldexp raises where a product overflows


def normal_cdf(z: float) -> float:
    """P(Z <= z) of a standard normal variable."""
    y = abs(z)
    bell = exp(-0.5 * y * y)
    tail = bell_near(y, bell) if y < TAIL_SPLIT else bell_far(y, bell)
    return 1.0 - tail if z > 0.0 else float(tail)


def sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0.0 else NAN


def floor(x: float) -> float:
    return float(math.floor(x)) if math.isfinite(x) else x


def ceil(x: float) -> float:
    return float(math.ceil(x)) if math.isfinite(x) else x


def minimum(a: float, b: float) -> float:
    return a if a < b or math.isnan(a) else b


def maximum(a: float, b: float) -> float:
    return a if a > b or math.isnan(a) else b


def clamp(x: float, low: float, high: float) -> float:
    return minimum(maximum(x, low), high)


def matches(text: str, patterns: Iterable[str]) -> bool:
    """Whether *text* is one of *patterns* or begins with one that ends in `*`."""
    return any(text.startswith(p[:-1]) if p.endswith("*") else text == p for p in patterns)


def least(arms: Iterable[tuple[float, float, bool]]) -> float:
    """The code of the allowed arm (code, cost, allowed) with the least cost, else that of discard."""
    best, code = NAN, float(Handling.DISCARD)
    for candidate, cost, allowed in arms:
        if allowed and not math.isnan(cost) and not best <= cost:
            best, code = cost, candidate
    return code
