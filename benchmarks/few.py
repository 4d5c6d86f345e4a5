"""What ranking a few waiting requests takes, over columns and one by one: up to how many the second is quicker.

A step is: one request has come since the last (its row is new), and the first 32 are wanted. Medians of steps, both in
turns. Writes benchmarks/results/few.json.

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
from engine_adapter.runtime import table as tables
from engine_adapter.runtime.rows import one_by_one
from engine_adapter.runtime.table import Value, WaitingTable
from policy_dsl.catalogue import SIGNALS, signal_of
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load
from policy_dsl.types import BOOL, TEXT

RESULTS = Path(__file__).parent / "results" / "few.json"
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
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


def step_us(table: WaitingTable, row: dict[str, Value]) -> float:
    """The median of some steps."""
    taken = []
    for step in range(STEPS):
        table.update("r0", row)
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


def main() -> int:
    with mock.patch.object(tables, "FEW", max(ROWS)):
        figures = {name: measured(name) for name in ("lamps", "bounded_tail", "sjf")}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.write_text(json.dumps({"machine": machine} | figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
