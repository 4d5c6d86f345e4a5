"""What takes less time over columns, and what one by one: ranking few requests, and what follows from few new rows.

A step is: one request has come since the last (its row is new), and the first 32 are wanted. Then of 800 requests
several have come, and what is computed when a row is written is computed in either way. Medians of steps, in turns.
Writes benchmarks/results/few.json.

python -m benchmarks.few
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

import policies
from engine_adapter.runtime import hoisting
from engine_adapter.runtime import table as tables
from engine_adapter.runtime.rows import one_by_one
from engine_adapter.runtime.table import Value, WaitingTable
from policy_dsl.catalogue import SIGNALS, signal_of
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load
from policy_dsl.types import BOOL, TEXT

RESULTS = Path(__file__).parent / "results" / "few.json"
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
WAITING, WRITTEN = 800, (1, 2, 4, 8, 12, 16)
STEPS, ROUNDS = 200, 5
ENGINE = {name: s.test for name, s in SIGNALS.items() if not s.per_row and not isinstance(s.test, str)}


def row_of(compiled: CompiledPolicy, seed: float) -> dict[str, Value]:
    def value(key: str) -> Value:
        kind = signal_of(key).type
        if key.endswith(".known") or kind == BOOL:
            return True
        return "search" if kind == TEXT else 1.0 + seed % 97

    return {key: value(key) for key in compiled.rank_keys}


def filled(compiled: CompiledPolicy, rows: int, columns: bool) -> WaitingTable:
    """A table of so many requests, ranked over columns or one by one."""
    table = WaitingTable(compiled.batch, None if columns else one_by_one(compiled))
    for number in range(rows):
        table.add(f"r{number}", row_of(compiled, 7.0 * number), arrival=float(number), now=float(number), step=number)
    return table


def step_us(table: WaitingTable, row: dict[str, Value], written: int = 1) -> float:
    """The median of some steps, before each of which so many rows are written."""
    taken = []
    for step in range(STEPS):
        for number in range(written):
            table.update(f"r{number}", row)
        began = time.perf_counter_ns()
        table.first(32, ENGINE, 20.0, step)
        taken.append((time.perf_counter_ns() - began) / 1000.0)
    return statistics.median(taken)


def measured(name: str) -> dict[str, dict[str, float]]:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    row, found = row_of(compiled, 3.0), {}
    for rows in ROWS:
        pair = [filled(compiled, rows, columns) for columns in (True, False)]
        rounds = [[step_us(table, row) for table in pair] for _ in range(ROUNDS)]
        columns_us, one_by_one_us = (statistics.median(us) for us in zip(*rounds, strict=True))
        found[str(rows)] = {"columns_us": round(columns_us, 1), "one_by_one_us": round(one_by_one_us, 1)}
        print(name, rows, found[str(rows)], flush=True)
    return found


def measured_written(name: str) -> dict[str, dict[str, float]]:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    row, found = row_of(compiled, 3.0), {}
    table = filled(compiled, WAITING, columns=True)
    for written in WRITTEN:
        rounds = []
        for _ in range(ROUNDS):
            for most in (0, written):
                with mock.patch.object(hoisting, "FEW_WRITTEN", most):
                    rounds.append(step_us(table, row, written))
        found[str(written)] = {
            "columns_us": round(statistics.median(rounds[::2]), 1),
            "one_by_one_us": round(statistics.median(rounds[1::2]), 1),
        }
        print(name, written, "written of", WAITING, found[str(written)], flush=True)
    return found


def main() -> int:
    names = ("lamps", "bounded_tail", "sjf")
    with mock.patch.object(tables, "FEW", max(ROWS)):
        figures = {name: measured(name) for name in names}
    written = {name: measured_written(name) for name in names}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.write_text(json.dumps({"machine": machine} | figures | {"written": written}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
