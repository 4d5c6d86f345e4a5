"""The first of many rows in order, without sorting them all."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Rows = NDArray[np.intp]
_SAMPLE = 1024
# Up to so many rows are sorted as Python objects: numpy's sorts let go of the interpreter's lock, which the threads of
# the engine's sockets then take. A sampling profile of a loaded engine showed 11 % of its time there, at a few hundred
# rows; what this buys end to end has not been measured.
_FEW = 384
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
    if len(arrival) <= _FEW:
        few = _first_of_few(keys, arrival, k, promoted, by)
        if few is not None:
            return few
    if promoted is None or not np.count_nonzero(promoted):
        return _sorted((*keys, arrival), _leading((*keys, arrival), k))
    head = _sorted((*by, arrival), _leading_where((*by, arrival), promoted, k))
    if len(head) == k:
        return head
    rest = _leading_where((*keys, arrival), ~promoted, k - len(head))
    return np.concatenate([head, _sorted((*keys, arrival), rest)])


def chosen(
    keys: tuple[Column, ...],
    arrival: Column,
    k: int,
    promoted: Column | None = None,
    by: tuple[Column, ...] = (),
) -> Rows:
    """The rows that `first` gives, in no order: for who asks which they are, at half the price."""
    if promoted is None or not np.count_nonzero(promoted):
        return _leading((*keys, arrival), k)
    head = _leading_where((*by, arrival), promoted, k)
    if len(head) == k:
        return head
    return np.concatenate([head, _leading_where((*keys, arrival), ~promoted, k - len(head))])


def _first_of_few(
    keys: tuple[Column, ...], arrival: Column, k: int, promoted: Column | None, by: tuple[Column, ...]
) -> Rows | None:
    """As `first`, without numpy; None when some key is not a number."""
    columns = [column.tolist() for column in (*keys, arrival)]
    ahead = promoted.tolist() if promoted is not None else []
    among = [column.tolist() for column in (*by, arrival)] if any(ahead) else []
    if any(map(math.isnan, itertools.chain(*columns, *among))):
        return None
    if not among:
        return np.array([row[-1] for row in sorted(zip(*columns, range(len(arrival)), strict=True))[:k]], np.intp)
    head = sorted(row for row in zip(*among, range(len(arrival)), strict=True) if ahead[row[-1]])[:k]
    rest = sorted(row for row in zip(*columns, range(len(arrival)), strict=True) if not ahead[row[-1]])
    return np.array([row[-1] for row in [*head, *rest[: k - len(head)]]], np.intp)


def _leading(columns: tuple[Column, ...], k: int) -> Rows:
    """The first *k* rows, unordered."""
    return _among(columns, _near(columns[0], k), k)


def _leading_where(columns: tuple[Column, ...], mask: Column, k: int) -> Rows:
    """The first *k* of the rows that *mask* marks, unordered."""
    near = _near(columns[0], k, mask)
    return _among(columns, mask.nonzero()[0] if near is None else near, k)


def _among(columns: tuple[Column, ...], rows: Rows | None, k: int) -> Rows:
    """The first *k* of *rows* (ascending; None: all): all before the k-th by the first column, and of its equals by
    the rest."""
    column = columns[0] if rows is None else columns[0][rows]
    if k <= 0 or k >= len(column):
        rows = np.arange(len(column)) if rows is None else rows
        return rows[: max(k, 0)]
    if rows is not None and (near := _near(column, k)) is not None:
        rows, column = rows[near], column[near]
    pivot = _kth(column, k)
    upto = column <= pivot
    if np.count_nonzero(upto) == k:  # no tie, as nearly always
        return _of(rows, upto)
    if not math.isnan(pivot):
        ahead, equal, rest = _of(rows, column < pivot), _of(rows, column == pivot), columns[1:]
    else:
        nan = np.isnan(column)
        ahead, equal = _of(rows, ~nan), _of(rows, nan)
        rest = columns[-1:] if len(columns) > 1 else ()  # by arrival
    missing = k - len(ahead)
    return np.concatenate([ahead, _among(rest, equal, missing) if rest else equal[:missing]])


def _of(rows: Rows | None, mask: Column) -> Rows:
    """Those of *rows* (None: all) that *mask* marks."""
    found: Rows = mask.nonzero()[0]
    return found if rows is None else rows[found]


def _kth(column: Column, k: int) -> float:
    """The *k*-th smallest; NaN counts as the largest."""
    if len(column) <= _FEW:
        values = column.tolist()
        if not math.isnan(sum(values)):
            values.sort()
            return float(values[k - 1])
    return float(np.partition(column, k - 1)[k - 1])


def _near(column: Column, k: int, mask: Column | None = None) -> Rows | None:
    """A few rows (of those in *mask*) that hold the first *k* and all that equal the k-th; None: no good guess."""
    if len(column) <= _SMALL:
        return None
    stride = len(column) // _SAMPLE
    sample = column[::stride] if mask is None else column[::stride][mask[::stride]]
    expected = k * len(sample) / (len(column) if mask is None else max(int(np.count_nonzero(mask)), 1))
    place = int(expected + 4.0 * expected**0.5 + 8.0)  # four standard deviations and a few
    if place >= len(sample) // 4:
        return None
    close = column <= np.partition(sample, place)[place]
    near = np.flatnonzero(close if mask is None else close & mask)
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
