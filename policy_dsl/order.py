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
# Up to so many it takes no longer to sort them all than to look for the first.
_FEWEST = 64
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
    if promoted is not None and not np.count_nonzero(promoted):
        promoted = None
    if len(arrival) <= _SMALL:
        some = _first_of_some(keys, arrival, k, promoted, by)
        if some is not None:
            return some
    if promoted is None:
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
    """The rows that `first` gives, in no order: for who asks which they are."""
    if promoted is None or not np.count_nonzero(promoted):
        return _leading((*keys, arrival), k)
    head = _leading_where((*by, arrival), promoted, k)
    if len(head) == k:
        return head
    return np.concatenate([head, _leading_where((*keys, arrival), ~promoted, k - len(head))])


def some_undefined(key: Column) -> bool:
    """Whether some row of a key, of at least one, is not a number."""
    least = key.min()
    return bool(least != least)  # noqa: PLR0124


# --- of up to some thousand rows: few are sorted by hand ------------------------------------------------
# Each of these gives None where they are to be found otherwise: some key that counts is not a number, or too many tie.


def _first_of_some(
    keys: tuple[Column, ...], arrival: Column, k: int, promoted: Column | None, by: tuple[Column, ...]
) -> Rows | None:
    if promoted is None:
        return _in_order((*keys, arrival), k)
    head = _in_order_of((*by, arrival), np.flatnonzero(promoted), k)
    if head is None or len(head) == k:
        return head
    rest = _in_order_of((*keys, arrival), np.flatnonzero(~promoted), k - len(head))
    return None if rest is None else np.concatenate([head, rest])


def _in_order_of(columns: tuple[Column, ...], rows: Rows, k: int) -> Rows | None:
    """The first *k* of *rows* (ascending)."""
    found = _in_order(tuple(column[rows] for column in columns), k)
    return None if found is None else rows[found]


def _in_order(columns: tuple[Column, ...], k: int) -> Rows | None:
    """The first *k* rows: those no higher than the k-th by the first column, or by the next that tells them apart."""
    column, rest = columns[0], columns[1:]
    count = len(column)
    if count <= _FEWEST or not 0 < k < count:
        return _by_hand(columns, k)
    if some_undefined(column):
        return None
    kth = _kth(column, k)
    near = np.flatnonzero(column <= kth)
    if not rest or len(near) <= max(_FEWEST, 2 * k):
        found = _by_hand(tuple(c[near] for c in columns), k)
        return None if found is None else near[found]
    ahead = np.flatnonzero(column < kth)
    if not len(ahead) and len(near) == count:  # all alike, as nobody's KV is kept, or everybody's
        return _in_order(rest, k)
    head = _by_hand(tuple(c[ahead] for c in columns), k)
    tail = _in_order_of(rest, near[column[near] == kth], k - len(ahead))
    return None if head is None or tail is None else np.concatenate([ahead[head], tail])


def _by_hand(columns: tuple[Column, ...], k: int) -> Rows | None:
    """The first *k* of few rows, without numpy."""
    count = len(columns[0])
    if count > _FEW:
        return None
    values = [column.tolist() for column in columns]
    if any(map(math.isnan, itertools.chain(*values))):
        return None
    return np.array([row[-1] for row in sorted(zip(*values, range(count), strict=True))[: max(k, 0)]], np.intp)


# --- of any number of rows -------------------------------------------------------------------------------


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
