"""Running moments of a positive quantity and of its logarithm: all that a prediction is made from.

Values are immutable, so a reader in another thread never sees half of an update.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# An observation's weight never falls below 1/64: what was true 64 calls ago counts 1/e.
WINDOW = 64.0


class Moments(NamedTuple):
    """*n*: observations, at most WINDOW (their weight, then). *mean*; *mean_log*, *var_log* of the natural logarithm."""

    n: float
    mean: float
    mean_log: float
    var_log: float

    def seen(self, value: float, least: float) -> Moments:
        """With one more observation; for the logarithm it counts as *least* if it is smaller."""
        n = min(self.n + 1.0, WINDOW)
        weight = 1.0 / n
        log = math.log(max(value, least))
        step = log - self.mean_log
        return Moments(
            n,
            self.mean + weight * (value - self.mean),
            self.mean_log + weight * step,
            (1.0 - weight) * (self.var_log + weight * step * step),
        )


NOTHING = Moments(0.0, 0.0, 0.0, 0.0)


def mixed(parts: list[tuple[float, Moments]]) -> Moments:
    """Moments of a mixture; weights are relative, their sum must be positive. n is that of the largest part."""
    total = sum(weight for weight, _ in parts)
    mean = sum(weight * m.mean for weight, m in parts) / total
    mean_log = sum(weight * m.mean_log for weight, m in parts) / total
    square = sum(weight * (m.var_log + (m.mean_log - mean_log) ** 2) for weight, m in parts) / total
    return Moments(max(parts, key=lambda part: part[0])[1].n, mean, mean_log, square)


def pooled(one: Moments, other: Moments) -> Moments:
    """What both have seen, as if one had."""
    if not one.n or not other.n:
        return one if one.n else other
    both = mixed([(one.n, one), (other.n, other)])
    return both._replace(n=min(one.n + other.n, WINDOW))


def shrunk(own: Moments, towards: Moments, strength: float) -> Moments:
    """Estimate from few observations: *towards* counts as *strength* observations."""
    return mixed([(own.n, own), (strength, towards)])._replace(n=own.n)
