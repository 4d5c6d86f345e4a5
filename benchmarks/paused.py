"""Times the start of a step while many sessions are paused and a policy decides about each of them again and again.

`python -m benchmarks.paused` prints p50 and p99 of `Runtime.begin_step`, and the time of one asking, with so many
sessions preserved; it writes benchmarks/results/paused.json. The engine is made up: nothing but decisions is timed, in
CPU time.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Held
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.repeats import MOST_ASKED
from engine_adapter.runtime.requests import Arrival, Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load, load_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "paused.json"
LIMIT_US = 200.0  # p99, whatever is paused
PAUSED = (100, 1_000, 10_000)
STEPS = 2_000
POLICIES = {
    "infercept": "",
    "asks_again": 'lamps 1\npolicy asks_again "P."\non call least { preserve: call.duration * call.context\n'
    " discard: prefill_time(call.context) * engine.kv_total }\nwhile paused every 1step again\n",
    "fcfs": "",
}


def runtime(policy: str) -> tuple[Runtime, list[float]]:
    """A runtime under *policy*, and the clock it reads."""
    text = POLICIES[policy]
    loaded = load_text(text) if text else load(ROOT / "policies" / f"{policy}.lamps")
    assert loaded.policy is not None, loaded.diagnostics
    facts = EngineFacts(10**9, 16, 16, 1024.0, 8192, can_preserve=True)
    now = [0.0]
    engine = Engine(
        facts,
        load=lambda: EngineLoad(running=64, waiting=0, running_tokens=10**6, free_tokens=10**8),
        release=lambda blocks: None,
        clock=lambda: now[0],
    )
    return Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel()), now


def pause(tried: Runtime, sessions: int) -> None:
    for n in range(sessions):
        hints = {"lamps_call_tool": "x", "lamps_call_duration_s": 5.0}
        tried.arrive(Arrival(f"r{n}", [1] * 480, 64, 0.0, f"s{n}", hints, [], 0))
        tried.enqueue(f"r{n}")
        tried.dequeue(f"r{n}")
        tried.admitted({f"r{n}": 0})
        tried.ended(Ended(f"r{n}", 20, 512, False, []), hold=lambda: Held(tuple(range(32)), 512))


def measure(policy: str, sessions: int) -> dict[str, object]:
    tried, now = runtime(policy)
    pause(tried, sessions)
    taken = []
    for number in range(STEPS):
        now[0] += 1e-4  # all stay paused, and none reaches its end
        start = time.thread_time_ns()
        tried.begin_step()
        if number >= 50:
            taken.append((time.thread_time_ns() - start) / 1_000.0)
    asked = min(MOST_ASKED, len(tried.calls.askings))
    p50, p99 = (round(float(np.percentile(taken, q)), 1) for q in (50, 99))
    return {
        "policy": policy, "paused": sessions, "preserved": len(tried.calls.ledger), "asked": asked, "p50_us": p50,
        "p99_us": p99, "one_us": round(p50 / asked, 2) if asked else None,
    }  # fmt: skip


def main() -> int:
    results = [measure(policy, sessions) for policy in POLICIES for sessions in PAUSED]
    for r in results:
        print(
            f"{r['policy']:10} {r['paused']:>6} paused, {r['preserved']:>6} preserved, {r['asked']:>3} asked a step: "
            f"p50 {r['p50_us']:>7} us  p99 {r['p99_us']:>7} us  one {r['one_us']} us"
        )
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"limit_p99_us": LIMIT_US, "machine": machine, "results": results}, indent=1) + "\n")
    return 1 if any(float(str(r["p99_us"])) > LIMIT_US for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
