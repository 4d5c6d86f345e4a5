"""The waiting requests as columns, ranked together.

A row is written when its request begins to wait and read every step, so what doesn't change while
it waits is kept in dense arrays, and what follows from the clock (age, wait) is one subtraction
over a column. Sub-terms of the rank that only depend on the row (hoisted) are computed when the
row was written, those of all rows anew when engine costs change. A row leaves by having the last
one put in its place, so nothing ever moves more than one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine_adapter.runtime.clocked import SINCE
from engine_adapter.runtime.columns import Column, Columns, doubled, dtype_of
from engine_adapter.runtime.few import FEW, OneByOne
from engine_adapter.runtime.hoisting import Hoisting, Hoists
from policy_dsl.order import first, some_undefined

Value = float | bool | str

CLASS = "session.class"  # codes of texts
_BOOKKEEPING = ("request.arrival", "session.arrival", "wait.start", "wait.start_step", "wait.session_start", CLASS)
_SMALLEST = 64


class Texts(Protocol):
    def code(self, text: str) -> int: ...


class Batch(Hoists, Protocol):
    """What the table needs of a policy's batch rules (`policy_dsl.compiled.BatchRules`)."""

    @property
    def step_keys(self) -> frozenset[str]: ...
    @property
    def texts(self) -> Texts: ...
    def rank(
        self, rows: Columns, hoisted: tuple[Column, ...], engine: Mapping[str, float | bool]
    ) -> tuple[Column, ...]: ...
    def promoted(
        self, rows: Columns, hoisted: tuple[Column, ...], engine: Mapping[str, float | bool]
    ) -> Column | None: ...
    def promoted_by(
        self, rows: Columns, hoisted: tuple[Column, ...], engine: Mapping[str, float | bool]
    ) -> tuple[Column, ...]: ...


@dataclass(frozen=True, slots=True)
class InColumns:
    """All that wait: their *ids*, their columns of now, the hoisted ones, who is promoted. Don't write, don't keep."""

    ids: Sequence[str]
    rows: Columns
    hoisted: tuple[Column, ...]
    promoted: Column


# Says who of them is to be asked about, in order.
LetsIn = Callable[[InColumns], Column]


@dataclass(frozen=True, slots=True)
class Place:
    """A waiting request in today's order. *keys*: of its rank, as compared (`highest` negated)."""

    id: str
    keys: tuple[float, ...]
    promoted: bool


class WaitingTable:
    """Rows by request id. add, update, remove are O(columns); ranking is O(rows) array operations."""

    def __init__(self, batch: Batch, one_by_one: OneByOne | None = None) -> None:
        """*one_by_one*: the same rules about single rows, asked where there are few; None: never."""
        self._batch = batch
        self._one_by_one = one_by_one
        self.ids: list[str] = []
        self.nans = 0  # rankings in which some row's key was not a number
        self.nan_rows = 0  # rows of that kind in the last such ranking
        self._places: dict[str, int] = {}
        read = frozenset[str]() if one_by_one is None else one_by_one.keys
        self._keys = sorted((batch.hoisted_keys | batch.step_keys | read) - SINCE.keys() - set(_BOOKKEEPING))
        self._columns: dict[str, Column] = {key: np.zeros(_SMALLEST) for key in _BOOKKEEPING}
        self._columns |= {key: np.zeros(_SMALLEST, dtype_of(key)) for key in self._keys}
        self._promoted = np.zeros(_SMALLEST, np.bool_)
        self._hoisting = Hoisting(batch, _SMALLEST)
        self._composed = {key: np.zeros(_SMALLEST) for key in batch.step_keys & SINCE.keys()}
        self._cut: Columns | None = None  # those of the last ranking; None: some column is another since

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._places

    def add(
        self,
        request_id: str,
        row: Mapping[str, Value],
        *,
        arrival: float,
        now: float,
        step: int,
        waited_s: float = 0.0,
        waited_steps: int = 0,
        session_arrival: float | None = None,
        session_waited_s: float = 0.0,
        promoted: bool = False,
        class_name: str = "",
    ) -> None:
        """A request begins to wait, or waits again.

        *row*: its signals (KeyError if one that the policy ranks by is missing; those that follow from
        the clock are not read). *waited_s*, *waited_steps*: of this turn before now; *session_waited_s*:
        of the session's earlier turns. ValueError if it waits already.
        """
        if request_id in self._places:
            raise ValueError(f"request {request_id} waits already")
        place = len(self.ids)
        if place == len(self._promoted):
            self._grow()
        self._write(place, row, self._keys)
        columns = self._columns
        columns["request.arrival"][place] = arrival
        columns["session.arrival"][place] = arrival if session_arrival is None else session_arrival
        columns[CLASS][place] = self._batch.texts.code(class_name)
        columns["wait.start"][place] = now - waited_s
        columns["wait.start_step"][place] = step - waited_steps
        columns["wait.session_start"][place] = now - waited_s - session_waited_s
        self._promoted[place] = promoted
        self.ids.append(request_id)
        self._places[request_id] = place
        self._hoisting.written(request_id)

    def update(self, request_id: str, row: Mapping[str, Value]) -> None:
        """New values for some signals of a waiting request; those the policy doesn't read are left out."""
        self._write(self._places[request_id], row, [key for key in self._keys if key in row])
        self._hoisting.written(request_id)

    def remove(self, request_id: str) -> bool:
        """The request waits no longer; returns whether it was promoted. False if it didn't wait."""
        place = self._places.pop(request_id, None)
        if place is None:
            return False
        promoted = bool(self._promoted[place])
        moved = self.ids.pop()
        last = len(self.ids)
        if place != last:
            self.ids[place] = moved
            self._places[moved] = place
            for column in (*self._columns.values(), *self._hoisting.columns, self._promoted):
                column[place] = column[last]
        self._hoisting.gone(request_id)
        return promoted

    def is_promoted(self, request_id: str) -> bool:
        """Whether a request that waits goes before all that aren't promoted, as of the last ranking."""
        place = self._places.get(request_id)
        return place is not None and bool(self._promoted[place])

    def rewrite(self, key: str, values: Sequence[float]) -> None:
        """New values of one column for all rows, in the order of `ids`. Not for one that is hoisted."""
        self._columns[key][: len(self.ids)] = values

    def promote_waiting_since(self, instant: float) -> list[str]:
        """Promote who has waited in this turn since *instant*, waits before added up; returns who is new."""
        count = len(self.ids)
        late = (self._columns["wait.start"][:count] <= instant) & ~self._promoted[:count]
        if not late.any():
            return []
        self._promoted[:count] |= late
        return [self.ids[place] for place in np.flatnonzero(late).tolist()]

    def new_epoch(self) -> None:
        """Engine costs or parameters changed: what was hoisted is computed anew at the next ranking."""
        self._hoisting.all_anew()

    def view(self) -> Columns:
        """The kept columns, one entry a row, aligned with `ids`. Not copies: don't write, don't keep."""
        count = len(self.ids)
        return {key: column[:count] for key, column in self._columns.items()}

    def first(self, k: int, engine: Mapping[str, float | bool], now: float, step: int) -> list[str]:
        """The ids of the first *k* in the policy's order. A failing rule raises; the table stays whole."""
        ids, few = self.ids, self._one_by_one
        if few is None or len(ids) > FEW or k <= 0:
            return [ids[place] for place in self._ranked(k, engine, now, step)[0]]
        order, undefined = few.ranked(self._columns, self._promoted, len(ids), engine, now, step)
        if undefined:
            self.nans += 1
            self.nan_rows = undefined
        return [ids[place] for place in order[:k]]

    @property
    def asks_engine(self) -> bool:
        """Whether the next `first` reads signals of the engine: having them takes 15 us."""
        return self._one_by_one is None or len(self.ids) > 1 or self._one_by_one.one_asks_engine

    def first_open(
        self, k: int, engine: Mapping[str, float | bool], now: float, step: int, lets_in: LetsIn
    ) -> list[str]:
        """The ids of the first *k* of those that *lets_in* lets in, in the policy's order."""
        if not self.ids or k <= 0:
            return []
        rows, hoisted = self._columns_now(engine, now, step)
        promoted = self._promote(rows, hoisted, engine)
        places = lets_in(InColumns(self.ids, rows, hoisted, promoted)).nonzero()[0]
        if not len(places):
            return []  # nobody's rank matters
        keys, by = self._keyed(rows, hoisted, engine, promoted)
        keys, by = (tuple(key[places] for key in part) for part in (keys, by))
        order = first(keys, rows["request.arrival"][places], k, promoted[places], by)
        return [self.ids[place] for place in places[order].tolist()]

    def places(self, k: int, engine: Mapping[str, float | bool], now: float, step: int) -> list[Place]:
        """The first *k* with what put them there, for people."""
        order, keys = self._ranked(k, engine, now, step)
        return [
            Place(self.ids[place], tuple(float(key[place]) for key in keys), bool(self._promoted[place]))
            for place in order
        ]

    def by_arrival(self, k: int) -> list[str]:
        """The first *k* in order of arrival: what stands when the policy's rank fails."""
        arrival = self._columns["request.arrival"][: len(self.ids)]
        return [self.ids[place] for place in np.argsort(arrival, kind="stable")[:k].tolist()]

    # --- inside ----------------------------------------------------------------------------------

    def _ranked(
        self, k: int, engine: Mapping[str, float | bool], now: float, step: int
    ) -> tuple[list[int], tuple[Column, ...]]:
        if not self.ids or k <= 0:
            return [], ()
        rows, hoisted = self._columns_now(engine, now, step)
        promoted = self._promote(rows, hoisted, engine)
        keys, by = self._keyed(rows, hoisted, engine, promoted)
        return first(keys, rows["request.arrival"], k, promoted, by).tolist(), keys

    def _columns_now(
        self, engine: Mapping[str, float | bool], now: float, step: int
    ) -> tuple[Columns, tuple[Column, ...]]:
        """The columns of now, and the hoisted ones."""
        rows = self._cut_to(len(self.ids))
        self._compose(rows, now, step)
        return rows, self._hoisting.up_to_date(rows, self._places, engine)

    def _cut_to(self, count: int) -> Columns:
        """The columns of so many rows: kept, as to cut them all takes as long as many an operation on one."""
        if self._cut is None or len(self._cut["request.arrival"]) != count:
            composed = {key: column[:count] for key, column in self._composed.items()}
            self._cut = {**self.view(), **composed}
        return self._cut

    def _keyed(
        self, rows: Columns, hoisted: tuple[Column, ...], engine: Mapping[str, float | bool], promoted: Column
    ) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
        """The keys of the rank, and those among the promoted."""
        count = len(self.ids)
        keys = self._batch.rank(rows, hoisted, engine)
        if any(map(some_undefined, keys)):
            self.nans += 1
            undefined = [np.isnan(np.broadcast_to(key, count)) for key in keys]
            self.nan_rows = int(np.any(undefined, axis=0).sum())
        by = self._batch.promoted_by(rows, hoisted, engine) if np.count_nonzero(promoted) else ()
        return keys, by

    def _promote(self, rows: Columns, hoisted: tuple[Column, ...], engine: Mapping[str, float | bool]) -> Column:
        """Which rows are promoted, now or before: it lasts until the turn ends."""
        promoted = self._promoted[: len(self.ids)]
        now_promoted = self._batch.promoted(rows, hoisted, engine)
        if now_promoted is not None:
            promoted |= now_promoted
        return promoted

    def _compose(self, rows: Columns, now: float, step: int) -> None:
        """Write the columns that follow from the clock. (A waiting request's call doesn't age: it hasn't begun.)"""
        for key in self._composed:
            clock, since = SINCE[key]
            np.subtract(now if clock == "now" else step, rows[since], out=rows[key])

    def _write(self, place: int, row: Mapping[str, Value], keys: list[str]) -> None:
        columns = self._columns
        for key in keys:
            value = row[key]
            columns[key][place] = self._batch.texts.code(value) if isinstance(value, str) else value

    def _grow(self) -> None:
        self._columns = {key: doubled(column) for key, column in self._columns.items()}
        self._composed = {key: doubled(column) for key, column in self._composed.items()}
        self._hoisting.grow()
        self._promoted = doubled(self._promoted)
        self._cut = None
