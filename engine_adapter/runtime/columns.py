"""Columns of the request table: one entry a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Columns = Mapping[str, Column]


def doubled(column: Column) -> Column:
    """The column, with room for as many rows again."""
    return np.concatenate([column, np.zeros_like(column)])
