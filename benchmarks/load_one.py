"""How far one try of the search for load 1 of `lamps bench` varies by chance: sessions counted, and tokens.

A closed loop of 128 clients, three sessions for each, in virtual time under stock with the profile of the measured
server (benchmarks/results/fidelity-profile.yaml), a dozen draws of each trace: nothing but the draw differs. Takes a
minute. Writes benchmarks/results/load_one.json.

python -m benchmarks.load_one
"""

from __future__ import annotations

import json
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from benchmarks.fidelity.cases import PROFILE, RESULTS
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation, simulate
from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig
from engine_adapter.workload.result import SessionResult
from engine_adapter.workload.trace import load_trace
from lamps_cli.measuring.saturation import FOR_EACH, at_work, served_per_s, tokens_of_a_session

CLIENTS, DRAWS = 128, 12
# The tools' time of docs/results.md.
TRACES = {"augmented-single": 0.3, "augmented-multi": 0.1}


def rates(trace: str, seed: int) -> tuple[float, float]:
    """Sessions per second of one draw: ended ones counted, and tokens generated over a session's."""
    load = Load(
        sessions=FOR_EACH * CLIENTS, gap_scale=TRACES[trace], seed=seed, replacement=True, arriving=Closed(CLIENTS)
    )
    loaded = load_trace(trace)
    sessions = simulate(Simulation("stock", loaded, load, load_profile(PROFILE))).result.sessions
    config = BenchConfig("", loaded, load=load)
    return ended_per_s(sessions), served_per_s(sessions, tokens_of_a_session(config))


def ended_per_s(sessions: tuple[SessionResult, ...]) -> float:
    """As `served_per_s`, sessions counted when they end."""
    begins_s, closes_s = at_work(sessions)
    ended = sum(begins_s < one.arrival_s + (one.end_to_end_s or 0.0) <= closes_s for one in sessions)
    return ended / (closes_s - begins_s)


def main() -> None:
    found = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for trace in TRACES:
            drawn = list(pool.map(rates, [trace] * DRAWS, range(DRAWS)))
            found[trace] = {
                name: {"mean": round(statistics.fmean(of), 2), "sd_over_mean": round(variation(of), 3)}
                for name, of in zip(("sessions", "tokens"), zip(*drawn, strict=True), strict=True)
            }
            print(trace, found[trace])
    (RESULTS / "load_one.json").write_text(json.dumps(found, indent=1) + "\n")


def variation(values: tuple[float, ...]) -> float:
    return statistics.stdev(values) / statistics.fmean(values)


if __name__ == "__main__":
    main()
