"""Student's t distribution, for a handful of values: how likely a mean is to stray so far by chance."""

from __future__ import annotations

import math


def two_sided(t: float, freedom: int) -> float:
    """P(|T| >= |t|) with *freedom* degrees of freedom, one or more.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4: finite sums, exact but for
    rounding (1e-15).
    """
    if math.isinf(t):
        return 0.0
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, cosine if freedom > 1 else 0.0) if odd else (1.0, 1.0)
    for power in range(3 if odd else 2, freedom - 1, 2):
        # The next term has cosine to the power of two more, and one more factor above and below.
        term *= cosine * cosine * (power - 1) / power
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 1.0 - within))
