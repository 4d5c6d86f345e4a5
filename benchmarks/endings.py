"""What sessions that never come back cost the others: coding agents in virtual time, calls judged once or again.

40 sessions of agentic-coding (lengths x 0.03, gaps x 0.1 and at most 0.5 s) on the measured small model with room for
49k tokens of KV, as docs/results.md has them; 8 clients, whose sessions fit, 16 and 32, whose don't. *NAME, once* is
the policy without its `while paused`: what is decided when a call begins stands. Takes a minute. Writes
benchmarks/results/endings.json.

python -m benchmarks.endings
"""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import policies
from benchmarks.fidelity.cases import RESULTS
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation, simulate
from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.load import Load
from engine_adapter.workload.summary import summarize
from engine_adapter.workload.trace import load_trace

# Measured by the load of `lamps profile`, and kept: what this shows is not to change with the machine.
PROFILE = RESULTS / "endings-profile.yaml"
CLIENTS = (8, 16, 32)
BOTH_WAYS = ("lamps", "bounded_tail")
_ONCE = (
    'lamps 1\npolicy {name}_once "{name}, each call judged once."\nextends "{path}"\ndrop while paused "on purpose"\n'
)


def figures(policy: str, clients: int) -> dict[str, float]:
    """Seconds, and the share of prompt tokens found in the cache."""
    profile = load_profile(PROFILE).model_copy(update={"kv_blocks": 1535, "max_model_len": 28672})
    load = Load(sessions=40, seed=1, gap_scale=0.1, max_gap_s=0.5, length_scale=0.03, arriving=Closed(clients))
    found = summarize(simulate(Simulation(policy, load_trace("agentic-coding"), load, profile)).result)
    return {
        "without_tools_s.mean": round(found.without_tools_s.mean, 2),
        "without_tools_s.p99": round(found.without_tools_s.p99, 2),
        "ttft_turn_s.p99": round(found.ttft_turn_s.p99, 2),
        "prefix_hit_rate": round(found.prefix_hit_rate or 0.0, 3),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        systems = {"stock": "stock"}
        for name in BOTH_WAYS:
            once = Path(folder) / f"{name}_once.lamps"
            once.write_text(_ONCE.format(name=name, path=policies.find(name)))
            systems |= {f"{name}, once": str(once), name: name}
        runs = {
            (clients, name): pool.submit(figures, system, clients)
            for clients in CLIENTS
            for name, system in systems.items()
        }
        found: dict[str, dict[str, dict[str, float]]] = {}
        for (clients, name), run in runs.items():
            found.setdefault(str(clients), {})[name] = run.result()
            print(f"{clients:3} clients  {name:20}", run.result())
    (RESULTS / "endings.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
