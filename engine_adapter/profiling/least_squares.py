"""Least squares without negative coefficients."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Every set of columns is tried.
MOST_COLUMNS = 12


def non_negative(columns: Array, target: Array, weights: Array) -> Array:
    """The coefficients, none negative, whose sum of *columns* (n x k) is nearest to *target* (n), squares weighted.

    With so few columns as a model of step times has, all sets of them are tried: the best that has none negative is
    the answer, exactly. A column of zeros gets 0.
    """
    count = columns.shape[1]
    if count > MOST_COLUMNS:
        raise ValueError(f"{count} columns: at most {MOST_COLUMNS} can be fitted")
    sizes = np.sqrt((weights[:, None] * columns * columns).sum(axis=0))
    used = [place for place in range(count) if sizes[place] > 0.0]
    scaled = columns / np.where(sizes > 0.0, sizes, 1.0)
    normal = (scaled * weights[:, None]).T @ scaled
    right = (scaled * weights[:, None]).T @ target
    best, gained = np.zeros(count), 0.0
    for size in range(1, len(used) + 1):
        for chosen in itertools.combinations(used, size):
            places = list(chosen)
            found = np.linalg.lstsq(normal[np.ix_(places, places)], right[places], rcond=1e-12)[0]
            gain = float(right[places] @ found)  # by how much the sum of squares falls
            if gain > gained * (1.0 + 1e-12) and (found >= 0.0).all():
                best, gained = np.zeros(count), gain
                best[places] = found
    unscaled: Array = best / np.where(sizes > 0.0, sizes, 1.0)
    return unscaled
