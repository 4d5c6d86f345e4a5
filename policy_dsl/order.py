"""The first of many rows in order, without sorting them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Rows = NDArray[np.intp]
_SAMPLE = 1024
_SMALL = 8 * _SAMPLE  # rows below which a partition of all is as fast as a guess from a sample


def first(
    keys: tuple[Column, ...],
    arrival: Column,
    k: int,
    promoted: Column | None = None,
    by: tuple[Column, ...] = (),
) -> Rows:
    """Indices of the first *k* rows in final order (all of them where there are fewer).

    Promoted rows first, among them by the columns *by* (none: arrival); then the others by *keys*. Columns are
    compared left to right, lowest first. A row whose key is NaN comes after all that have a number there and tie
    before it, in order of arrival, whatever its further keys. Ties: arrival, then index. -0.0 equals 0.0.
    """
    if promoted is None or not promoted.any():
        return _first((*keys, arrival), None, k)
    ahead = np.flatnonzero(promoted)
    head = _first((*by, arrival), ahead, k)
    if len(head) == k:
        return head
    return np.concatenate([head, _first((*keys, arrival), np.flatnonzero(~promoted), k - len(head))])


def _first(columns: tuple[Column, ...], among: Rows | None, k: int) -> Rows:
    """The first *k* rows *among* these indices (ascending; None: all), in order."""
    return _sorted(columns, _leading(columns, among, k))


def _leading(columns: tuple[Column, ...], among: Rows | None, k: int) -> Rows:
    """The same rows, unordered: all before the k-th of the first column, and of its equals the first by the rest."""
    column = columns[0] if among is None else columns[0][among]
    if k <= 0 or k >= len(column):
        rows = np.arange(len(column)) if among is None else among
        return rows[: max(k, 0)]
    near = _candidates(column, k)
    if near is not None:
        column = column[near]
        among = near if among is None else among[near]
    pivot = np.partition(column, k - 1)[k - 1]  # NaN counts as the largest
    if not np.isnan(pivot):
        ahead, equal, rest = np.flatnonzero(column < pivot), np.flatnonzero(column == pivot), columns[1:]
    else:
        nan = np.isnan(column)
        ahead, equal = np.flatnonzero(~nan), np.flatnonzero(nan)
        rest = columns[-1:] if len(columns) > 1 else ()  # by arrival
    if among is not None:
        ahead, equal = among[ahead], among[equal]
    missing = k - len(ahead)
    if len(equal) > missing:
        equal = _leading(rest, equal, missing) if rest else equal[:missing]
    return np.concatenate([ahead, equal])


def _candidates(column: Column, k: int) -> Rows | None:
    """A few rows with the first *k* of *column* and all that equal the k-th, by a sample; None: no good guess."""
    n = len(column)
    if n <= _SMALL:
        return None
    sample = column[:: n // _SAMPLE]
    expected = k * len(sample) / n
    place = int(expected + 4.0 * expected**0.5 + 8.0)  # four standard deviations and a few
    if place >= len(sample) // 4:
        return None
    near = np.flatnonzero(column <= np.partition(sample, place)[place])
    return near if len(near) >= k else None


def _sorted(columns: tuple[Column, ...], rows: Rows) -> Rows:
    rows = np.sort(rows)
    *keys, arrival = (c[rows] for c in columns)
    settled = np.zeros(len(rows), np.bool_)
    for i, key in enumerate(keys):
        keys[i] = np.where(settled, 0, key)
        settled |= np.isnan(keys[i])
    ordered: Rows = rows[np.lexsort((arrival, *reversed(keys)))]
    return ordered
