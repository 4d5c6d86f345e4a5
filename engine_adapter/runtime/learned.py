"""Tables of what was learned, by class, of bounded size."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

from engine_adapter.runtime.moments import NOTHING, Moments, pooled

Key = tuple[Hashable, ...]
ALL: Key = ()
MOST_CLASSES = 4096


class Classes:
    """Moments by class; the class learned longest ago is forgotten beyond the most."""

    def __init__(self) -> None:
        self._moments: dict[Key, Moments] = {}

    def __getitem__(self, key: Key) -> Moments:
        return self._moments.get(key, NOTHING)

    def __len__(self) -> int:
        return len(self._moments)

    def learn(self, keys: Iterable[Key], value: float, least: float) -> None:
        """One observation of *value* in each class of *keys*."""
        moments, log = self._moments, math.log(max(value, least))
        for key in keys:
            moments[key] = moments.pop(key, NOTHING).seen_with(value, log)
        while len(moments) > MOST_CLASSES:
            del moments[next(iter(moments))]

    def merge(self, key: Key, moments: Moments) -> None:
        if len(self._moments) < MOST_CLASSES or key in self._moments:
            self._moments[key] = pooled(self[key], moments)

    def items(self) -> list[tuple[Key, Moments]]:
        return list(self._moments.items())
