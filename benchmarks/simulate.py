"""How fast virtual time runs: augmented-single at load 0.9 under lamps.lamps, and whether long runs slow down.

Saturation is found first, as `lamps simulate` does. Seconds are of CPU time in this process, the simulation alone:
imports and building the engine (about ten seconds) come on top, once. A run is drained: of its virtual seconds a third
are its end, in which little happens; `long` tells what a session costs in the long run. With the argument `long`, one
run of 100,000 sessions is measured instead: its memory, and the time of each tenth. Writes
benchmarks/results/simulate.json.

What limits it (cProfile of the run under lamps): steps scheduled one by one, as something arrives, ends or is prefilled
in them, are three in ten and take four tenths of the time, most of that in vLLM's own code for those that begin and end
(engine_adapter/virtual/beside.py sees to the others); the other seven are taken in runs (decode.py) in a fifth of it.
The rest goes with turns: a fifth to bring a request in (vLLM's request and its hashes, session, prediction, row), a
seventh to judge and handle its call and to learn from it. Twice the speed would need what a turn costs in the runtime,
some tenths of a millisecond of Python, to be compiled: stock, which has neither row nor call, takes half the time.

python -m benchmarks.simulate [long [SESSIONS]]
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from engine_adapter.virtual.driver import Driver
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.remembered import saturation_of
from engine_adapter.virtual.simulate import Measured, Simulation
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import load_trace

RESULTS = Path(__file__).parent / "results"
TRACE, PROFILE, SHARE = "augmented-single", "gptj-6b-a100", 0.9
SEEDS = (1, 2, 3)


def simulation(policy: str, rate: float, sessions: int, seed: int) -> Simulation:
    load = Load(rate=rate, sessions=sessions, seed=seed, replacement=True)
    return Simulation(policy, load_trace(TRACE), load, load_profile(PROFILE))


def timed(given: Simulation) -> tuple[Measured, float]:
    """What a run measured, and the CPU seconds of the run alone."""
    driver = Driver(given)
    began = time.process_time()
    return driver.drain(), time.process_time() - began


def speed(policy: str, rate: float) -> dict[str, Any]:
    """Virtual seconds a second, of each seed."""
    runs = [timed(simulation(policy, rate, 800, seed)) for seed in SEEDS]
    return {
        "virtual_s_per_cpu_s": [round(found.virtual_s / cpu_s, 1) for found, cpu_s in runs],
        "steps_per_cpu_s": [round(found.steps / cpu_s) for found, cpu_s in runs],
        "us_per_generated_token": [
            round(cpu_s / found.counters["generation_tokens"] * 1e6, 1) for found, cpu_s in runs
        ],
    }


def long_run(rate: float, sessions: int) -> dict[str, Any]:
    """One run of very many sessions: CPU time and memory after each tenth of it."""
    marks: list[tuple[float, float]] = []
    driver = Driver(simulation("lamps", rate, sessions, 1))

    def mark(share: float) -> None:
        if share * 10 >= len(marks):
            marks.append((time.process_time(), _memory_gib()))

    found = driver.drain(mark)
    of_tenth = [after[0] - before[0] for before, after in itertools.pairwise(marks)]
    return {
        "finished": sum(session.finished for session in found.sessions),
        "virtual_s": round(found.virtual_s),
        "cpu_ms_a_session_in_each_tenth": [round(cpu_s / sessions * 1e4, 2) for cpu_s in of_tenth],
        "memory_gib_after_each_tenth": [round(memory, 2) for _, memory in marks],
        "most_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def _memory_gib() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


def main() -> int:
    found = saturation_of(load_trace(TRACE), load_profile(PROFILE))
    rate = SHARE * found
    file = RESULTS / "simulate.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    figures |= {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "trace": TRACE,
        "profile": PROFILE,
        "saturation_sessions_per_s": round(found, 2),
        "load": SHARE,
    }
    if "long" in sys.argv[1:]:
        sessions = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
        figures.setdefault("long", {})[str(sessions)] = long_run(rate, sessions)
    else:
        figures["policies"] = {policy: speed(policy, rate) for policy in ("stock", "fcfs", "lamps")}
    file.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
