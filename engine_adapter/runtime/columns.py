"""Columns of the request table: one entry a row. Kept longer than there are rows, and cut for who reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_dsl.catalogue import signal_of
from policy_dsl.types import BOOL, TEXT

Column = NDArray[Any]
Columns = Mapping[str, Column]


def doubled(column: Column) -> Column:
    """The column, with room for as many rows again."""
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
