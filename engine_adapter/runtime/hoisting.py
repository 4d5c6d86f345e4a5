"""What follows from a waiting request's own row alone: computed when the row is written, kept as columns.

Terms of the rank that read nothing of the step are the same from step to step (*hoisted*, policy_dsl/codegen/plan.py).
All rows are computed anew when engine costs or parameters change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from engine_adapter.runtime.columns import Column, Columns, doubled

Engine = Mapping[str, float | bool]

FEW_WRITTEN = 8
"""Rows written since the last ranking up to which it takes less time to compute theirs one by one than as columns: a
ranking of 800 by lamps.lamps with one new row takes 110 us instead of 250 (benchmarks/few.py)."""


class Hoists(Protocol):
    """What is needed of a policy's batch rules (`policy_dsl.compiled.BatchRules`)."""

    @property
    def hoisted_keys(self) -> frozenset[str]: ...
    def hoist(self, rows: Columns, engine: Engine) -> tuple[Column, ...]: ...
    def hoist_one(self, row: Engine, engine: Engine) -> tuple[float | bool, ...]: ...


class Hoisting:
    """The kept columns of a table with room for so many rows, which tells what it writes and moves."""

    def __init__(self, rules: Hoists, room: int) -> None:
        self.columns: list[Column] = []
        self._cut: tuple[Column, ...] = ()  # those of the last ranking; (): some column is another since
        self._rules, self._room = rules, room
        self._read = rules.hoisted_keys | {"request.arrival"}  # at least one, to tell how many rows there are
        self._written: set[str] | None = None  # ids since the last ranking; None: all rows

    def written(self, request_id: str) -> None:
        """A row is new, or some of its signals are."""
        if self._written is not None:
            self._written.add(request_id)

    def gone(self, request_id: str) -> None:
        """A row has left the table."""
        if self._written is not None:
            self._written.discard(request_id)

    def all_anew(self) -> None:
        """Engine costs or parameters have changed."""
        self._written = None

    def grow(self) -> None:
        """The table has room for twice as many rows."""
        self._replace([doubled(column) for column in self.columns])
        self._room *= 2

    def up_to_date(self, rows: Columns, places: Mapping[str, int], engine: Engine) -> tuple[Column, ...]:
        """The kept columns of *rows*, whose ids stand at *places*."""
        count = len(places)
        if self._written is None or self._written:
            self._compute_written(rows, places, engine)
        if not self._cut or len(self._cut[0]) != count:
            self._cut = tuple(column[:count] for column in self.columns)
        return self._cut

    # --- inside ----------------------------------------------------------------------------------

    def _compute_written(self, rows: Columns, places: Mapping[str, int], engine: Engine) -> None:
        written = self._written
        if written is not None and len(written) <= FEW_WRITTEN:
            self._compute_one_by_one([places[i] for i in written], rows, engine)
        elif written is None or 2 * len(written) > len(places):
            terms = self._rules.hoist({key: rows[key] for key in self._read}, engine)
            self._replace([self._with_room(term, len(places)) for term in terms])
        else:
            self._compute([places[i] for i in written], rows, engine)
        self._written = set()

    def _replace(self, columns: list[Column]) -> None:
        self.columns, self._cut = columns, ()

    def _compute(self, at: list[int], rows: Columns, engine: Engine) -> None:
        terms = self._rules.hoist({key: rows[key][at] for key in self._read}, engine)
        for column, term in zip(self.columns, terms, strict=True):
            column[at] = term

    def _compute_one_by_one(self, at: list[int], rows: Columns, engine: Engine) -> None:
        for place in at:
            row = {key: rows[key].item(place) for key in self._rules.hoisted_keys}
            for column, term in zip(self.columns, self._rules.hoist_one(row, engine), strict=True):
                column[place] = term

    def _with_room(self, term: Column, count: int) -> Column:
        column = np.zeros(self._room, np.asarray(term).dtype)
        column[:count] = term
        return column
