"""The arrays that the waiting table keeps: longer than it has rows, and cut to these for whoever reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_dsl.catalogue import signal_of
from policy_dsl.types import BOOL, TEXT

Column = NDArray[Any]
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Cut:
    """The arrays cut to so many rows, with those that follow from the clock: to cut them all takes as long as many an
    operation on one. Of use until an array is replaced or the number of rows changes."""

    count: int
    rows: Columns
    hoisted: tuple[Column, ...]


def has_nan(columns: Iterable[Column]) -> bool:
    """Whether some column, none of them empty, has what is not a number."""
    return any(math.isnan(column.min()) for column in columns)


def together(places: list[int]) -> slice | list[int]:
    """Places, all different, as a slice where they lie side by side, as those of newcomers do."""
    low = min(places)
    return slice(low, low + len(places)) if max(places) - low + 1 == len(places) else places


def doubled(column: Column) -> Column:
    """A longer one, whose second half is zeros."""
    return np.concatenate([column, np.zeros_like(column)])


def dtype_of(key: str) -> np.dtype[Any]:
    """What a signal's column holds; of a text its code."""
    if key.endswith(".known"):
        return np.dtype(np.bool_)
    match signal_of(key).type:
        case t if t == TEXT:
            return np.dtype(np.int32)
        case t if t == BOOL:
            return np.dtype(np.bool_)
        case _:
            return np.dtype(np.float64)
