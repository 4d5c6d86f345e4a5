"""The decision log: what a decision costs the engine's thread, how fast the log's thread writes, how long lines are.

    python -m benchmarks.decision_log

The decisions are those that the policy `lamps` takes about sessions that come, call a tool and are admitted again.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter

from engine_adapter.control.decision_log import QUEUED, DecisionLog
from engine_adapter.runtime.activation import load_policy
from engine_adapter.runtime.core import Arrival, Ended, Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Held
from engine_adapter.runtime.journal import Entry
from engine_adapter.runtime.predictor import Predictor

TURNS = 2000


def main() -> None:
    entries = made()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        log = DecisionLog(path, "0", print, Counter())
        took = []
        began = perf_counter()
        for entry in entries:
            before = perf_counter()
            log.put(entry, "lamps", "0123456789ab")
            took.append(perf_counter() - before)
        log.close(60)
        wrote_s = perf_counter() - began
        lines = path.read_bytes().splitlines()
    calls = [len(line) for line, entry in zip(lines, entries, strict=True) if entry.kind == "call"]
    others = [len(line) for line, entry in zip(lines, entries, strict=True) if entry.kind != "call"]
    p99 = sorted(took)[-len(took) // 100]
    print(f"{1e6 * median(took):.1f} us a decision on the engine's thread, {1e6 * p99:.0f} p99")
    print(f"{len(lines) / wrote_s:,.0f} lines/s written")
    print(f"{sum(calls) / len(calls):.0f} bytes a line about a call, {sum(others) / len(others):.0f} another")


def made() -> list[Entry]:
    """As many decisions as the queue takes."""
    now = [0.0]
    engine = Engine(
        EngineFacts(100_000, 16, 16, 1024.0, 2048, can_preserve=True),
        load=lambda: EngineLoad(running=8, waiting=4, running_tokens=20_000, free_tokens=50_000),
        release=lambda blocks: None,
        clock=lambda: now[0],
    )
    runtime = Runtime(load_policy("lamps", {}), engine, Predictor(), CostModel())
    entries: list[Entry] = []
    runtime.watch.journal.sinks.append(entries.append)
    for number in range(TURNS):
        now[0] += 0.1
        session = f"session-{number % 50}"
        name = f"chatcmpl-{number:032x}"
        runtime.begin_step()
        runtime.arrive(Arrival(name, [1] * 800, 64, 0.0, session, {"lamps_call_tool": "get_weather"}, [], 0))
        runtime.enqueue(name)
        runtime.dequeue(name)
        runtime.admitted({name: 0})
        runtime.ended(Ended(name, 20, 820, False, []), hold=lambda: Held((1,), 820))
    return entries[:QUEUED]


if __name__ == "__main__":
    main()
