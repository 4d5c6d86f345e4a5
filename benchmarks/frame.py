"""What a status frame takes an engine to make: with nothing judged, with the kinds that a screen shows, with all.

The engine is vLLM's scheduler in virtual time under more than it can serve, so that some 50 requests run, as many wait
and hundreds of sessions are paused. Frames of each way are made in turns, between steps, and turned into JSON. Medians
of CPU time; in an engine that computes in between they take longer (`top server` has what a server loses by them).
Writes benchmarks/results/frame.json. A minute.

python -m benchmarks.frame
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import msgspec

from engine_adapter.control.frames import JUDGED
from engine_adapter.virtual.driver import Driver
from engine_adapter.virtual.engine import VirtualEngine
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import load_trace

RESULTS = Path(__file__).parent / "results" / "frame.json"
POLICIES = ("lamps", "fcfs")
WAYS: dict[str, tuple[str, ...]] = {"none": (), "waiting": ("waiting",), "paused": ("paused",), "both": JUDGED}
# Requests that must wait before frames are made; then one of each way every so many steps.
WAITING, EVERY_STEPS = 30, 5


def measured(policy: str) -> dict[str, Any]:
    """Milliseconds and bytes of a frame in each way, and how many rows there were."""
    taken_ms: dict[str, list[float]] = {way: [] for way in WAYS}
    size: dict[str, list[int]] = {way: [] for way in WAYS}
    rows: list[tuple[int, int, int]] = []
    steps = since = 0

    def look(engine: VirtualEngine) -> None:
        nonlocal steps, since
        steps += 1
        if steps % EVERY_STEPS or len(engine.scheduler.waiting) < WAITING:
            return
        for way, judged in WAYS.items():
            payload = json.dumps({"judged": judged, "since": {"0": since}})
            began = time.process_time()
            text = engine.scheduler.lamps_command("status", payload)
            taken_ms[way].append((time.process_time() - began) * 1e3)
            size[way].append(len(text))
        frame = msgspec.json.decode(text)
        rows.append((frame["running_total"], frame["waiting_total"], frame["paused_total"]))
        since = frame["decisions"][-1]["number"] if frame["decisions"] else since

    load = Load(rate=30.0, sessions=600, seed=1, replacement=True)
    Driver(Simulation(policy, load_trace("augmented-single"), load, load_profile("gptj-6b-a100")), look).drain()
    running, waiting, paused = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "frames": len(rows),
        "running": running,
        "waiting": waiting,
        "paused": paused,
        "judged": {
            way: {"ms": round(statistics.median(taken_ms[way]), 2), "bytes": statistics.median(size[way])}
            for way in WAYS
        },
    }


def main() -> int:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    figures = {policy: measured(policy) for policy in POLICIES}
    RESULTS.write_text(json.dumps({"machine": machine, "policies": figures}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
