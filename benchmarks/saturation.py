"""Whether load 1 is saturation: the queue of stock vLLM at 0.9 and 1.1 of it, as a run goes on.

For each shipped trace and profile: the rate that the search finds, its CPU seconds, and the mean requests waiting when
1,000, 2,000 and 4,000 sessions have come (over the quarter before; drawn with replacement, at random times, so other
arrivals than the search's). *behind* begins as the search does, with a queue: at 0.9 of saturation that queue is
gone and stays away, at 1.1 it stays or grows. *empty* is how `lamps simulate` begins: at 1.1 there may be no queue
until chance brings one. `agentic-coding` is scaled to lengths that the engines take. Takes a quarter of an hour. Writes
benchmarks/results/saturation.json.

python -m benchmarks.saturation [TRACE [PROFILE]]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from engine_adapter.virtual.driver import run
from engine_adapter.virtual.profile import Profile, load_profile, shipped
from engine_adapter.virtual.remembered import at_scale
from engine_adapter.virtual.saturation import backlog, queue_of, saturation
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load, arrivals
from engine_adapter.workload.result import Sample
from engine_adapter.workload.trace import SHIPPED, Trace, load_trace

RESULTS = Path(__file__).parent / "results" / "saturation.json"
SESSIONS, SEED = (1000, 2000, 4000), 1
# Lengths of agentic-coding, so that its 881,413 tokens fit the profile's longest request.
SCALES = {"gptj-6b-a100": 0.0024, "vicuna-13b-a100": 0.0024, "llama3-8b-h100": 0.1}
# Its sessions last for hours and would need a hundred thousand turns to be stationary: it is searched only.
SEARCHED_ONLY = ("agentic-coding",)


def arriving(trace: Trace, rate: float, sessions: int, seed: int = SEED) -> Trace:
    """Sessions with the times at which they arrive."""
    drawn = arrivals(trace, Load(rate, sessions, seed, replacement=True))
    return Trace(trace.name, tuple(replace(a.session, name=a.name, start_s=a.arrival_s) for a in drawn))


def waiting(given: Trace, profile: Profile, queue: int) -> dict[str, float]:
    """Requests waiting when so many sessions of *given* have come, on average over the quarter of the time before.

    *queue*: that come when the run begins.
    """
    late = Trace(given.name, (*backlog(given, queue), *given.sessions))
    timeline = run(Simulation("stock", late, Load(arriving=Recorded()), profile), None).timeline
    starts = [session.start_s or 0.0 for session in given.sessions]
    return {str(count): _mean_waiting(timeline, starts[count - 1]) for count in SESSIONS}


def _mean_waiting(timeline: Sequence[Sample], until_s: float) -> float:
    late = [sample.waiting for sample in timeline if 0.75 * until_s <= sample.at_s <= until_s]
    return round(sum(late) / len(late), 1)


def measured(trace: Trace, profile: Profile) -> dict[str, Any]:
    """One trace on one engine."""
    began = time.process_time()
    rate = saturation(trace, profile)
    figures: dict[str, Any] = {"sessions_per_s": round(rate, 4), "cpu_s": round(time.process_time() - began, 1)}
    if trace.name in SEARCHED_ONLY:
        return figures
    queue = sum(queue_of(trace, profile))
    below, above = (arriving(trace, share * rate, SESSIONS[-1]) for share in (0.9, 1.1))
    figures["come_at_first"] = queue
    figures["waiting_at"] = {
        "0.9, behind": waiting(below, profile, queue),
        "1.1, behind": waiting(above, profile, queue),
        "1.1, empty": waiting(above, profile, 0),
    }
    return figures


def main() -> int:
    wanted = sys.argv[1:]
    figures: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    figures["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    for trace_name in wanted[:1] or SHIPPED:
        for profile_name in wanted[1:2] or shipped():
            scale = SCALES[profile_name] if trace_name == "agentic-coding" else 1.0
            trace = at_scale(load_trace(trace_name), Load(length_scale=scale))
            found = {"length_scale": scale, **measured(trace, load_profile(profile_name))}
            figures.setdefault(trace_name, {})[profile_name] = found
            print(trace_name, profile_name, json.dumps(found), flush=True)
            RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
