"""Running moments of a positive quantity and of its logarithm: all that a prediction is made from.

Values are immutable, so a reader in another thread never sees half of an update.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

# An observation's weight never falls below 1/64: what was true 64 calls ago counts 1/e.
WINDOW = 64.0
_tuple = tuple.__new__


class Moments(NamedTuple):
    """*n*: observations, at most WINDOW. *mean*: theirs. *mean_log*, *var_log*: of their natural logarithm."""

    n: float
    mean: float
    mean_log: float
    var_log: float

    def seen(self, value: float, least: float) -> Moments:
        """With one more observation; for the logarithm it counts as *least* if it is smaller."""
        return self.seen_with(value, math.log(max(value, least)))

    def seen_with(self, value: float, log: float) -> Moments:
        """The same, of a value whose logarithm is known."""
        n, mean, mean_log, var_log = self
        n = min(n + 1.0, WINDOW)
        weight = 1.0 / n
        step = log - mean_log
        # As `Moments(...)`, in half the time: two dozen are made for every turn.
        return _tuple(
            Moments,
            (
                n,
                mean + weight * (value - mean),
                mean_log + weight * step,
                (1.0 - weight) * (var_log + weight * step * step),
            ),
        )


NOTHING = Moments(0.0, 0.0, 0.0, 0.0)


def mixed(parts: Iterable[tuple[float, Moments]]) -> Moments:
    """Moments of a mixture; weights are relative, their sum must be positive. n is the sum of the parts' n."""
    total = n = mean = mean_log = square = 0.0
    for weight, m in parts:
        total += weight
        n += m.n
        mean += weight * m.mean
        mean_log += weight * m.mean_log
        square += weight * (m.var_log + m.mean_log * m.mean_log)
    mean_log /= total
    return Moments(min(n, WINDOW), mean / total, mean_log, max(square / total - mean_log * mean_log, 0.0))


def pooled(one: Moments, other: Moments) -> Moments:
    """What both have seen, as if one had."""
    if not one.n or not other.n:
        return one if one.n else other
    return mixed([(one.n, one), (other.n, other)])


def leaned(mean: float, own: Moments, strength: float) -> float:
    """The mean of `shrunk`: that of few observations, drawn towards *mean*, which counts as *strength* more of them."""
    return mean + own.n / (own.n + strength) * (own.mean - mean) if own.n else mean


def shrunk(own: Moments, towards: Moments, strength: float) -> Moments:
    """An estimate from few observations: *towards* counts as *strength* more of them."""
    if not own.n:
        return towards
    share = own.n / (own.n + strength)
    gap = own.mean_log - towards.mean_log
    return Moments(
        own.n,
        towards.mean + share * (own.mean - towards.mean),
        towards.mean_log + share * gap,
        towards.var_log + share * (own.var_log - towards.var_log) + share * (1.0 - share) * gap * gap,
    )
