"""How keys compare: what is not a number comes after all numbers, in every order that a policy gives."""

from __future__ import annotations

import math
from collections.abc import Sequence


def comparable(keys: Sequence[float]) -> tuple[tuple[bool, float], ...]:
    """*keys* as values that sort; what follows one that is not a number counts no more."""
    made: list[tuple[bool, float]] = []
    for place, key in enumerate(keys):
        if math.isnan(key):
            return (*made, *[(True, 0.0)] * (len(keys) - place))
        made.append((False, key))
    return tuple(made)
