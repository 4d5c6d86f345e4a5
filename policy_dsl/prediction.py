"""Predictions as distributions: a log-normal with the measured mean kept beside it.

Durations and lengths are positive and skewed, so their logarithm is taken as normal. The mean of a
sample says more about expected cost than the mean that log-normal parameters imply, therefore the
measured mean is stored and mu and sigma only give the spread.

What a policy reads of a prediction that is conditioned (`conditioned`, `remaining`) or `capped`
comes from the exact conditional distribution, not from a new log-normal fitted to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

# Quantiles of the standard normal.
Z = {
    "p50": 0.0,
    "p90": 1.2815515655446004,
    "p95": 1.6448536269514722,
    "p99": 2.3263478740408408,
}
_UPPER = {"p50": 0.50, "p90": 0.10, "p95": 0.05, "p99": 0.01}
_inverse = NormalDist().inv_cdf

# A call that outlasts its prediction by a chance of one in a billion was mispredicted: from there on
# the prediction is "as long again as it has run", not the vanishing rest of a normal tail.
EXHAUSTED = 1e-9
# A spread below this is a point: differences of tails would only be rounding. One above the other
# (a 90 % quantile 28,000 times the median) says nothing any more, and would overflow the exponential.
_POINT = 1e-6
_WIDEST = 8.0


def _tail(z: float) -> float:
    """Chance that a standard normal exceeds *z*, exact far into the tail."""
    return 0.5 * math.erfc(z * math.sqrt(0.5))


@dataclass(frozen=True, slots=True)
class Dist:
    """A predicted duration (s) or length (tok).

    *mean*: of this prediction as it stands. *mu*, *sigma*: of the logarithm, before any of the
    following; sigma 0 is a point at *mean*. *known*: measured, not a default. *after*: the value is
    known to exceed this. *most*: it is cut off there. *spent*: taken off it. *whole*: the measured
    mean before these (NaN: *mean* is it).
    """

    mean: float
    mu: float
    sigma: float
    known: bool
    after: float = 0.0
    most: float = math.inf
    spent: float = 0.0
    whole: float = math.nan

    @staticmethod
    def point(x: float, known: bool = True) -> Dist:
        """A value taken as certain. *x* may be 0."""
        return Dist(x, math.log(x) if x > 0 else -math.inf, 0.0, known)

    @staticmethod
    def between(p50: float, p90: float) -> Dist:
        """A log-normal with these quantiles, 0 < *p50* <= *p90*, taken as measured; its mean is the implied one."""
        mu, sigma = math.log(p50), math.log(p90 / p50) / Z["p90"]
        return Dist(math.exp(mu + sigma * sigma / 2), mu, sigma, known=True)

    @staticmethod
    def from_moments(mean: float, mean_log: float, var_log: float, known: bool) -> Dist:
        """From a measured mean, and mean and variance of the natural logarithm."""
        return Dist(mean, mean_log, min(math.sqrt(max(var_log, 0.0)), _WIDEST), known)

    def stat(self, name: str) -> float | bool:
        """One statistic: mean, p50, p90, p95, p99, known, mu, sigma, after. KeyError for another name.

        mu and sigma are those of the log-normal above *after*. What is left of a value (`remaining`) has no such
        form: there they are those of the log-normal with its p50 and p90, and after is 0.
        """
        match name:
            case "mean":
                return self.mean
            case "known":
                return self.known
            case "mu":
                return self._shape()[0]
            case "sigma":
                return self._shape()[1]
            case "after":
                return self.after if self.spent == 0.0 else 0.0
            case _:
                return self._quantile(name)

    def conditioned(self, elapsed: float) -> Dist:
        """The total (nothing spent), given that it exceeds *elapsed*; finite however long that is.

        A point above *elapsed* stays where it is. One at or below it was wrong, as is a spread whose tail is
        `EXHAUSTED`: then the total is a point at twice *elapsed*, as long again as it has run, and not `known`.
        """
        if self.spent > 0.0:
            return replace(self, mean=self.mean + self.spent, spent=0.0).conditioned(elapsed)
        if not 0.0 < elapsed < math.inf or elapsed <= self.after:
            return self
        if elapsed >= self.most:
            return replace(Dist.point(self.most, self.known), after=self.most, most=self.most)
        if self.sigma < _POINT:
            return replace(self, after=elapsed) if self.mean > elapsed else self._again(elapsed)
        if _tail((math.log(elapsed) - self.mu) / self.sigma) < EXHAUSTED:
            return self._again(elapsed)
        return self._restricted(elapsed, self.most)

    def remaining(self, elapsed: float) -> Dist:
        """What is left of the total after *elapsed*, given that it isn't over."""
        if not 0.0 < elapsed < math.inf:
            return self
        total = self.conditioned(elapsed)
        return replace(total, mean=max(total.mean - elapsed, 0.0), spent=elapsed, whole=total._measured_mean())

    def capped(self, most: float) -> Dist:
        """The smaller of it and *most*."""
        if most >= self.most:
            return self
        if self.sigma < _POINT or most <= self.after:
            return replace(Dist.point(min(self.mean, most), self.known), most=most)
        return self._restricted(self.after, most)

    def _measured_mean(self) -> float:
        return self.mean if math.isnan(self.whole) else self.whole

    def _restricted(self, after: float, most: float) -> Dist:
        """min(X, most) given X > after.

        With Y log-normal: E[min(Y, m) | Y > a] = (M (Phi(u - s) - Phi(l - s)) + m Phi(-u)) / Phi(-l),
        M = exp(mu + s^2/2), l and u the standardised logarithms of a and m. What exceeds *after* is
        scaled by measured over implied mean: so the result is exact where the two agree, starts from
        the measured mean at after = 0, and always lies between *after* and *most*.
        """
        low = (math.log(after) - self.mu) / self.sigma if after > 0.0 else -math.inf
        high = (math.log(most) - self.mu) / self.sigma if most > 0.0 else -math.inf
        implied = math.exp(self.mu + 0.5 * self.sigma * self.sigma)
        inside = implied * (_tail(low - self.sigma) - _tail(high - self.sigma))
        above = most * _tail(high) if most < math.inf else 0.0
        rest = max((inside + above) / _tail(low) - after, 0.0)
        whole = self._measured_mean()
        mean = min(after + rest * (whole / implied), most)
        return Dist(mean, self.mu, self.sigma, self.known, after, most, 0.0, whole)

    def _quantile(self, name: str) -> float:
        z = Z[name]
        if self.sigma < _POINT:
            return max(self.mean, 0.0)
        if self.after > 0.0:
            z = -_inverse(_UPPER[name] * _tail((math.log(self.after) - self.mu) / self.sigma))
        value = min(math.exp(self.mu + z * self.sigma), self.most)
        return max(value, self.after) - self.spent

    def _shape(self) -> tuple[float, float]:
        if self.spent == 0.0:
            return self.mu, self.sigma
        middle, high = self._quantile("p50"), self._quantile("p90")
        if middle <= 0.0:
            return -math.inf, 0.0
        return math.log(middle), math.log(high / middle) / Z["p90"]

    def _again(self, elapsed: float) -> Dist:
        """As long again as it has run; nothing measured says so."""
        return replace(Dist.point(min(2.0 * elapsed, self.most), known=False), after=elapsed, most=self.most)
