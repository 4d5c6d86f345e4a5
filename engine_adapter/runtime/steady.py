"""The waiting requests of a policy whose ranks stay while requests wait: sorted as they come, not at every step.

First come, first served and its kin read nothing that changes with the step. Ranking their rows anew each step took
a tenth of a millisecond of a 5 ms step of a small model short of memory; here a step takes a slice.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from typing import Any

from engine_adapter.runtime.table import Batch, InColumns, LetsIn, Value, WaitingTable

Rank = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[float, ...]]
# By turns whether a key is not a number, and the number: what is none comes after all numbers. The promoted come first.
Key = tuple[float, ...]
_PROMOTED = -1


class SteadyTable(WaitingTable):
    """A `WaitingTable` for a `CompiledPolicy` that is `steady`; *rank*: its scalar rule. The order is the same."""

    def __init__(self, batch: Batch, rank: Rank) -> None:
        super().__init__(batch)
        self._rank = rank
        self._rows: dict[str, tuple[Mapping[str, Value], float]] = {}
        self._ranked_as: dict[str, Key] = {}
        self._sorted: list[tuple[Key, str]] = []
        self._new: dict[str, None] = {}  # ids not ranked yet, in order of coming
        self._unplaced: dict[str, None] = {}  # ranked ids that are not in `_sorted`, which a gate never needs
        self._faulty: set[str] = set()  # ids whose rank is not a number

    @property
    def asks_engine(self) -> bool:
        return False

    def add(self, request_id: str, row: Mapping[str, Value], *, arrival: float, **since: Any) -> None:
        super().add(request_id, row, arrival=arrival, **since)
        session_arrival = since.get("session_arrival")
        instants = {
            "request.arrival": arrival, "session.arrival": arrival if session_arrival is None else session_arrival
        }  # fmt: skip
        self._rows[request_id] = {**row, **instants}, arrival
        self._new[request_id] = None

    def update(self, request_id: str, row: Mapping[str, Value]) -> None:
        super().update(request_id, row)
        before, arrival = self._rows[request_id]
        self._take_out(request_id)
        self._rows[request_id] = {**before, **row}, arrival
        self._new[request_id] = None

    def remove(self, request_id: str) -> bool:
        if request_id in self._rows:
            self._take_out(request_id)
            del self._rows[request_id]
        return super().remove(request_id)

    def first(self, k: int, engine: Mapping[str, float | bool], now: float, step: int) -> list[str]:
        self._rank_new(engine)
        if self._unplaced:
            self._place_ranked()
        return [request_id for _, request_id in self._sorted[: max(k, 0)]]

    def first_open(
        self, k: int, engine: Mapping[str, float | bool], now: float, step: int, lets_in: LetsIn
    ) -> list[str]:
        self._rank_new(engine)
        if not self.ids or k <= 0:
            return []
        ids = self.ids
        rows, hoisted = self._columns_now(engine, now, step)
        places = lets_in(InColumns(ids, rows, hoisted, self._promoted[: len(ids)])).nonzero()[0]
        found = sorted((self._ranked_as[ids[place]], ids[place]) for place in places.tolist())
        return [name for _, name in found[:k]]

    def promote_waiting_since(self, instant: float) -> list[str]:
        found = super().promote_waiting_since(instant)
        for request_id in found:
            self._take_out(request_id)
            self._new[request_id] = None
        return found

    def _rank_new(self, engine: Mapping[str, float | bool]) -> None:
        """All have their key. Those that come before one whose rank fails keep theirs."""
        for request_id in tuple(self._new):
            row, arrival = self._rows[request_id]
            self._ranked_as[request_id] = self._key(request_id, self._rank(row, engine), arrival)
            self._unplaced[request_id] = None
            del self._new[request_id]
        if self._faulty and len(self._ranked_as) > 1:  # as in `WaitingTable`, one alone isn't ranked
            self.nans += 1
            self.nan_rows = len(self._faulty)

    def _place_ranked(self) -> None:
        """All that have a key are where it puts them."""
        if 16 * len(self._unplaced) > len(self._sorted):  # from here on one sort takes less time
            self._sorted += [(self._ranked_as[request_id], request_id) for request_id in self._unplaced]
            self._sorted.sort()
        else:
            for request_id in self._unplaced:
                insort(self._sorted, (self._ranked_as[request_id], request_id))
        self._unplaced.clear()

    def _key(self, request_id: str, keys: tuple[float, ...], arrival: float) -> Key:
        if self.is_promoted(request_id):  # under an earlier policy, until its turn ends
            return (_PROMOTED, 0.0, False, arrival)
        compared: list[float] = []
        for key in keys:
            if math.isnan(key):
                compared += (True, 0.0)  # after all numbers, whatever its further keys
                self._faulty.add(request_id)
                break
            compared += (False, key)
        return (*compared, False, arrival)

    def _take_out(self, request_id: str) -> None:
        self._new.pop(request_id, None)
        self._faulty.discard(request_id)
        key = self._ranked_as.pop(request_id, None)
        if key is None:
            return
        if request_id in self._unplaced:
            del self._unplaced[request_id]
        else:
            del self._sorted[bisect_left(self._sorted, (key, request_id))]
