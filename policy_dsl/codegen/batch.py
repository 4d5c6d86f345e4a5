"""Answers for all waiting requests at once, over numpy columns.

Generates one function over blocks of rows that writes into buffers reused from step to step.
Values that only the engine has are computed once as plain numbers, never as columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_dsl.codegen.columns import DTYPES, Masks
from policy_dsl.codegen.emit import Kernel, emit, of_one_row
from policy_dsl.codegen.lower import keys_read
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.plan import Plan
from policy_dsl.codegen.texts import TextTable
from policy_dsl.ir import Node

Column = NDArray[Any]
Rows = Mapping[str, Column]
Engine = Mapping[str, float | bool]
# Rows in a block. A buffer of doubles is 128 KiB, so that those of one rule stay in a second-level cache of 2 MiB:
# lamps.lamps ranks 100,000 rows in 730 us with 8,192, 650 us with 16,384 or 32,768, 1,000 us with 4,096.
BLOCK = 16_384


class Program:
    """One kernel with its buffers."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._masks = Masks(BLOCK)
        self._buffers = [np.empty((c, BLOCK), t) for c, t in zip(kernel.buffers, DTYPES.values(), strict=True)]
        self._cut: tuple[int, tuple[Column, ...]] = (-1, ())
        self._kept: tuple[Column, ...] = tuple(np.empty(0, t) for t in kernel.results)
        self._kept_cut: tuple[int, tuple[Column, ...]] = (-1, ())
        self._computes = any(source != "input" for source, _ in kernel.outputs)

    def fresh(self, n: int) -> tuple[Column, ...]:
        """Arrays for the results of *n* rows."""
        return tuple(np.empty(n, t) for t in self._kernel.results)

    def kept(self, n: int) -> tuple[Column, ...]:
        """The same arrays each time: touching new memory costs more than most operations."""
        if self._kept_cut[0] != n:
            if any(len(k) < n for k in self._kept):
                self._kept = self.fresh(n + n // 2)
            self._kept_cut = (n, tuple(k[:n] for k in self._kept))
        return self._kept_cut[1]

    def run(
        self, n: int, rows: Rows, hoisted: Sequence[Column], engine: Engine, results: tuple[Column, ...]
    ) -> list[Column]:
        """The columns of the roots, for *n* rows; computed ones in *results*, others as they were given."""
        kernel = self._kernel
        inputs = [
            _as(rows[key] if isinstance(key, str) else hoisted[key], dtype)
            for key, dtype in zip(kernel.inputs, kernel.input_dtypes, strict=True)
        ]
        if not self._computes:  # as `rank request.arrival`
            return [inputs[i] for _, i in kernel.outputs]
        with np.errstate(all="ignore"):
            scalars = kernel.scalars(engine)
            if 0 < n <= BLOCK:
                kernel.body(inputs, scalars, self._block(n), results, self._masks)
            else:
                for start in range(0, n, BLOCK):
                    part = slice(start, min(start + BLOCK, n))
                    kernel.body(
                        [c[part] for c in inputs],
                        scalars,
                        self._block(part.stop - start),
                        [r[part] for r in results],
                        self._masks,
                    )
        found = {"result": results, "input": inputs, "scalar": scalars}
        return [
            np.full(n, found[source][i], np.float64) if source == "scalar" else found[source][i]
            for source, i in kernel.outputs
        ]

    def _block(self, n: int) -> tuple[Column, ...]:
        """The buffers, cut to *n* rows."""
        if self._cut[0] != n:
            self._cut = (n, tuple(b[:n] for buffers in self._buffers for b in buffers))
        return self._cut[1]

    @property
    def inputs(self) -> tuple[str | int, ...]:
        return self._kernel.inputs


def _as(column: Column, dtype: Any) -> Column:
    return column if column.dtype == dtype else column.astype(dtype)


class BatchRules:
    """Answers for columns of equal length, one row a waiting request.

    Columns are float64 (quantities, instants), bool, or int32 (`texts.code(name)`). *rows* must hold at least one
    column, as it tells how many rows there are. What is returned, but for `hoist`, stays valid until the same is asked
    again, and may be one of the columns given: read it, don't write to it.

    *hoisted_keys*: the row signals that `hoist` reads; *step_keys*: those that the others read. *epoch_keys*: the
    engine signals that `hoist` reads; when one changes, all rows are to be hoisted again.
    """

    def __init__(
        self,
        rank: Sequence[Node],
        promote: Node | None,
        by: Sequence[Node],
        places: Places,
        texts: TextTable,
        admit: Node | None = None,
        shares: Mapping[str, Sequence[Node]] | None = None,
    ) -> None:
        """*shares*: the `by` of limits on what runs, by the name of the limit."""
        shares = shares or {}
        gate, when = () if admit is None else (admit,), () if promote is None else (promote,)
        parts = (gate, rank, when, by, *shares.values())
        plan = Plan([root for part in parts for root in part])
        steps = iter(plan.step)
        let_in, asked, promotes, among, *shared = (tuple(islice(steps, len(part))) for part in parts)
        self.texts = texts
        ranked, promoted = places.of("rank"), places.of("promote")
        self._hoist = Program(emit(plan.hoisted, ranked, texts))  # one function, so of one file: mostly of `rank`
        self._hoist_one = of_one_row(plan.hoisted_of_one, ranked, texts)
        self._rank = Program(emit(asked, ranked, texts))
        self._promote = Program(emit(promotes, promoted, texts)) if when else None
        self._by = Program(emit(among, promoted, texts))
        self._admit = Program(emit(let_in, places.of("admit"), texts)) if gate else None
        self._shares = {
            name: Program(emit(keys, places.of(f"limit {name}"), texts))
            for name, keys in zip(shares, shared, strict=True)
        }  # fmt: skip
        programs = (self._rank, self._by, self._promote, self._admit, *self._shares.values())
        self.hoisted_keys = frozenset(k for k in self._hoist.inputs if isinstance(k, str))
        read = frozenset(k for p in programs if p is not None for k in p.inputs if isinstance(k, str))
        self.step_keys = read | {"request.arrival"}
        self.epoch_keys = keys_read(plan.hoisted) - self.hoisted_keys

    def hoist(self, rows: Rows, engine: Engine) -> tuple[Column, ...]:
        """The kept columns for *rows* (all, or just those that were written), in new arrays."""
        n = _length(rows)
        return tuple(self._hoist.run(n, rows, (), engine, self._hoist.fresh(n)))

    def hoist_one(self, row: Mapping[str, float | bool], engine: Engine) -> tuple[float | bool, ...]:
        """What `hoist` gives for one row, as numbers: an operation on a column has its price however short it is."""
        return self._hoist_one(row, engine)

    def rank(self, rows: Rows, hoisted: Sequence[Column], engine: Engine) -> tuple[Column, ...]:
        """One column for each key of the order, lowest first (`highest` keys are negated); NaN is kept."""
        n = _length(rows)
        return tuple(self._rank.run(n, rows, hoisted, engine, self._rank.kept(n)))

    def promoted(self, rows: Rows, hoisted: Sequence[Column], engine: Engine) -> Column | None:
        """Which rows go first; None where the policy promotes nobody."""
        if self._promote is None:
            return None
        n = _length(rows)
        return self._promote.run(n, rows, hoisted, engine, self._promote.kept(n))[0].astype(np.bool_, copy=False)

    def promoted_by(self, rows: Rows, hoisted: Sequence[Column], engine: Engine) -> tuple[Column, ...]:
        """The keys of the order among promoted rows; empty: by arrival."""
        n = _length(rows)
        return tuple(self._by.run(n, rows, hoisted, engine, self._by.kept(n)))

    def admitted(self, rows: Rows, hoisted: Sequence[Column], engine: Engine) -> Column | None:
        """Which rows may start now; None where the policy has no gate. True where the condition gives no number."""
        if self._admit is None:
            return None
        n = _length(rows)
        return self._admit.run(n, rows, hoisted, engine, self._admit.kept(n))[0].astype(np.bool_, copy=False)

    def shared_by(self, limit: str, rows: Rows, hoisted: Sequence[Column], engine: Engine) -> tuple[Column, ...]:
        """The keys by which what *limit*, on what runs, leaves is given out. KeyError where it has no `by`."""
        n = _length(rows)
        program = self._shares[limit]
        return tuple(program.run(n, rows, hoisted, engine, program.kept(n)))


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))
