"""What scheduling takes on a small engine that is behind: CPU time a step, and what ranking anew in each would add.

    python -m benchmarks.overload

One run of augmented-single in virtual time on the measured profile of the small model, 40 sessions a second: twice what
it serves, so that hundreds wait and the first of the queue finds no room in most steps. Each policy runs in this
process, with an order that stands as it does and with one that is made anew at every step, in turns; the median of
three rounds counts. The model takes no time here, so that all is scheduling, vLLM's own and the load
generator's included: what stock doesn't take is ours. Writes benchmarks/results/overload.json.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from statistics import median
from unittest import mock

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import policies
from benchmarks.simulate import timed
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.vllm import queue
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import load_trace

RESULTS = Path(__file__).parent / "results"
RATE, SESSIONS, GAP_SCALE = 40.0, 3000, 0.3
POLICIES = ("stock", "fcfs", "lamps", "bounded_tail")
ROUNDS = 3


def step_us(policy: str, stands_s: float) -> float:
    """CPU microseconds of a step."""
    load = Load(RATE, SESSIONS, 1, replacement=True, gap_scale=GAP_SCALE)
    profile = load_profile(str(RESULTS / "fidelity-profile.yaml"))
    found = policy if policy == "stock" else policies.find(policy)
    with mock.patch.object(queue, "STANDS_S", stands_s):
        measured, cpu_s = timed(Simulation(found, load_trace("augmented-single"), load, profile))
    return 1e6 * cpu_s / measured.steps


def main() -> int:
    stands_s = queue.STANDS_S
    ways = [(policy, s) for policy in POLICIES for s in ([stands_s] if policy == "stock" else [stands_s, 0.0])]
    rounds = [{way: step_us(*way) for way in ways} for _ in range(ROUNDS)]
    figures = [
        {
            "policy": policy,
            "order_stands_ms": 1e3 * stands,
            "step_us": round(median(found[policy, stands] for found in rounds)),
        }
        for policy, stands in ways
    ]
    for one in figures:
        print(one)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    (RESULTS / "overload.json").write_text(json.dumps({"machine": machine, "results": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
