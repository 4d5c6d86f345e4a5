"""Times what a step asks while many requests wait at a gate that refuses them all, or for the few places of a limit.

`python -m benchmarks.gate` prints p50 and p99 of ranking and asking together, and the time of one request asked about
alone, with so many waiting; it writes benchmarks/results/gate.json. The engine is made up and has free seats:
nothing but decisions is timed, in CPU time. As in `rank`, several rounds are spread over time, and the one with the
median p99 counts; all are in the file.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median_low
from types import SimpleNamespace
from typing import Any

import numpy as np

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Running
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Arrival
from engine_adapter.vllm.gated import GatedQueue
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load, load_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gate.json"
WAITING = (100, 1_000, 10_000)
LIMIT_US = 200.0  # p99, at LIMIT_WAITING
LIMIT_WAITING = 1_000
STEPS, ROUNDS = 1_000, 5
POLICIES = {
    "plain": 'lamps 1\npolicy plain "P."\nrank request.context\nadmit when engine.held_tokens <= request.context\n',
    "coding_agents": "",
    "tokencake_like": "",
    "places": 'lamps 1\npolicy places "P."\nrank request.arrival\nlimit running <= 69 by highest request.context\n',
    "promoted": 'lamps 1\npolicy promoted "P."\nrank predict.output\npromote when request.waited >= 1min\n'
    "limit running <= 69 by predict.output * request.context\n",
}
RUNNING, PLACES = 64, 5


def waiting_at_the_gate(policy: str, requests: int, admitted: list[Any]) -> tuple[Runtime, GatedQueue]:
    """So many requests, and an engine whose memory is full, which runs those *admitted* as well."""
    text = POLICIES[policy]
    loaded = load_text(text) if text else load(ROOT / "policies" / f"{policy}.lamps")
    assert loaded.policy is not None, loaded.diagnostics
    engine = Engine(
        EngineFacts(100_000, 16, 16, 1024.0, 8192, can_preserve=True),
        load=lambda: EngineLoad(RUNNING + len(admitted), waiting=requests, running_tokens=99_000, free_tokens=1_000),
        release=lambda blocks: None,
        clock=lambda: 0.0,
        running=lambda: [Running(f"runs{n}", 1_500) for n in range(RUNNING + len(admitted))],
    )
    runtime = Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel())
    queue = GatedQueue(runtime, lambda: False)
    for n in range(requests):
        runtime.arrive(Arrival(f"r{n}", [1] * (500 + n % 700), 64, 0.0, f"s{n}", {}, [], 0))
        stand_in: Any = SimpleNamespace(request_id=f"r{n}")
        queue.add_request(stand_in)
    return runtime, queue


def one_round(policy: str, requests: int) -> tuple[float, float, float]:
    """p99 and p50 of a step, and the median of asking about one alone, in microseconds."""
    admitted: list[Any] = []
    runtime, queue = waiting_at_the_gate(policy, requests, admitted)
    taken, asking = [], []
    for number in range(STEPS):
        runtime.begin_step()
        runtime.engine_now()
        start = time.thread_time_ns()
        queue.new_step(0.0)
        some = bool(queue)
        if number >= 50:
            taken.append((time.thread_time_ns() - start) / 1_000.0)
        while some and queue:
            admitted.append(queue.pop_request())
        assert len(admitted) == (PLACES if runtime.policy.states("limit running ... by") else 0)
        queue.prepend_requests(admitted)
        admitted.clear()
        runtime.admission.moved()
        start = time.thread_time_ns()
        runtime.may_start("r0")
        asking.append((time.thread_time_ns() - start) / 1_000.0)
    return float(np.percentile(taken, 99)), float(np.percentile(taken, 50)), float(np.median(asking))


def figures(policy: str, requests: int, rounds: list[tuple[float, float, float]]) -> dict[str, object]:
    p99, p50, one = median_low(rounds)
    shown = [{"p50_us": round(b, 1), "p99_us": round(a, 1)} for a, b, _ in rounds]
    middle = {"p50_us": round(p50, 1), "p99_us": round(p99, 1), "one_us": round(one, 2)}
    return {"policy": policy, "waiting": requests, **middle, "rounds": shown}


def main() -> int:
    places = [(policy, requests) for policy in POLICIES for requests in WAITING]
    rounds = [{place: one_round(*place) for place in places} for _ in range(ROUNDS)]
    results = [figures(*place, [found[place] for found in rounds]) for place in places]
    for r in results:
        print(
            f"{r['policy']:14} {r['waiting']:>6} waiting: "
            f"p50 {r['p50_us']:>7} us  p99 {r['p99_us']:>7} us  one alone {r['one_us']} us"
        )
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"limit_p99_us": LIMIT_US, "machine": machine, "results": results}, indent=1) + "\n")
    most = max(float(str(r["p99_us"])) for r in results if int(str(r["waiting"])) <= LIMIT_WAITING)
    return 1 if most > LIMIT_US else 0


if __name__ == "__main__":
    sys.exit(main())
