"""Whether load 1 is saturation: queues of stock vLLM at 0.9 and 1.1 of it, over runs of three lengths.

For each shipped trace and profile: the rate that the search finds, its CPU seconds, and of runs of 2,000, 4,000 and
8,000 sessions (drawn with replacement, so of other arrivals than the search's) the mean requests waiting over the last
quarter of the arrivals. A queue that grows with the length at 0.9 says that the search has found too high a rate.
`agentic-coding` is scaled to lengths that the engines take, and its runs are shorter, as a session of it has sixty
turns. Takes half an hour. Writes benchmarks/results/saturation.json.

python -m benchmarks.saturation [TRACE [PROFILE]]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from engine_adapter.virtual.driver import run
from engine_adapter.virtual.profile import Profile, load_profile, shipped
from engine_adapter.virtual.remembered import at_scale
from engine_adapter.virtual.saturation import saturation
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import SHIPPED, Trace, load_trace

RESULTS = Path(__file__).parent / "results" / "saturation.json"
SHARES, SESSIONS, SEED = (0.9, 1.1), (2000, 4000, 8000), 1
# Lengths of agentic-coding, so that its 881,413 tokens fit the profile's longest request.
SCALES = {"gptj-6b-a100": 0.0024, "vicuna-13b-a100": 0.0024, "llama3-8b-h100": 0.1}
# Its sessions last for hours and would need a hundred thousand turns to be stationary: it is searched only.
SEARCHED_ONLY = ("agentic-coding",)


def waiting(trace: Trace, profile: Profile, rate: float, sessions: int) -> float:
    """Requests waiting, on average over the last quarter of the arrivals."""
    found = run(Simulation("stock", trace, Load(rate, sessions, SEED, replacement=True), profile), None)
    last_s = max(session.arrival_s for session in found.sessions)
    late = [sample.waiting for sample in found.timeline if 0.75 * last_s <= sample.at_s <= last_s]
    return round(sum(late) / len(late), 1)


def measured(trace: Trace, profile: Profile) -> dict[str, Any]:
    """One trace on one engine."""
    began = time.process_time()
    rate = saturation(trace, profile)
    figures: dict[str, Any] = {"sessions_per_s": round(rate, 4), "cpu_s": round(time.process_time() - began, 1)}
    if trace.name not in SEARCHED_ONLY:
        figures["waiting_at"] = {
            str(share): {str(sessions): waiting(trace, profile, share * rate, sessions) for sessions in SESSIONS}
            for share in SHARES
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
