"""Times one step's ranking: from the columns of waiting requests to the first 64 in order.

Run `python benchmarks/rank.py`; it prints p50 and p99 and writes benchmarks/results/rank.json.

A step is: waiting times from the step's number, who is promoted, the rank keys (hoisted columns are
kept, `engine.now` and `engine.running_tokens` change), the first 64 in final order. Each size is
timed in several rounds spread over time; the round with the median p99 counts, so that one
disturbance by another process neither makes nor hides a number. All rounds are in the file.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median_low

import numpy as np

from policy_dsl import catalogue
from policy_dsl.codegen.batch import BatchRules
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load
from policy_dsl.order import first
from policy_dsl.worlds import engine_values

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "rank.json"
LIMIT_US = {1_000: 200.0, 100_000: 2_000.0}  # p99
STEPS = {1_000: 4_000, 100_000: 400}
ROUNDS = 5
FIRST = 64


def rules_of(name: str) -> BatchRules:
    loaded = load(ROOT / "policies" / f"{name}.lamps")
    assert loaded.policy is not None, loaded.diagnostics
    return compile_policy(loaded.policy, loaded.source).batch


def waiting(n: int, keys: frozenset[str]) -> dict[str, np.ndarray]:
    """Columns of *n* requests: prompts and calls as agents have them, seven in ten about to make a call."""
    random = np.random.default_rng(7)
    rows = {key: random.lognormal(5.5, 1.0, n) for key in keys if catalogue.signal_of(key).per_row}
    rows["call.duration"] = random.lognormal(0.0, 2.0, n)
    rows["call.chance"] = np.where(random.random(n) < 0.7, 0.9, 0.1)
    rows["request.arrival"] = np.sort(random.uniform(0.0, 1_000.0, n))
    return rows


def step_of(rules: BatchRules, n: int) -> Callable[[int], np.ndarray]:
    """One step over *n* rows, as the adapter does it; the argument is the number of the step."""
    rows = waiting(n, rules.hoisted_keys | rules.step_keys)
    engine = {k: v for k, v in engine_values(()).items() if not isinstance(v, str)} | {"cost.prefill_context": 1e-9}
    hoisted = rules.hoist(rows, engine)
    since = np.random.default_rng(8).integers(950, 1_000, n).astype(np.float64)  # step at which the wait began
    since[:: n // 30] = 0.0  # some 30 have lost patience: both orders are needed
    waited = np.empty(n)
    rows["request.waited_steps"] = waited
    arrival = rows["request.arrival"]

    def step(number: int) -> np.ndarray:
        engine["engine.now"] = 1_000.0 + number * 0.02
        engine["engine.running_tokens"] = 40_000.0 + number % 997
        np.subtract(1_000.0 + number % 50, since, out=waited)
        promoted = rules.promoted(rows, hoisted, engine)
        by = rules.promoted_by(rows, hoisted, engine) if promoted is not None else ()
        return first(rules.rank(rows, hoisted, engine), arrival, FIRST, promoted, by)

    return step


def times_us(step: Callable[[int], np.ndarray], steps: int) -> list[float]:
    for number in range(20):
        step(number)
    taken = []
    for number in range(steps):
        start = time.perf_counter_ns()
        step(number)
        taken.append((time.perf_counter_ns() - start) / 1_000.0)
    return taken


def measure(name: str) -> list[dict[str, object]]:
    rules = rules_of(name)
    steps = {n: step_of(rules, n) for n in LIMIT_US}
    rounds: dict[int, list[tuple[float, float]]] = {n: [] for n in LIMIT_US}
    for _ in range(ROUNDS):
        for n, step in steps.items():
            taken = np.array(times_us(step, STEPS[n]))
            rounds[n].append((float(np.percentile(taken, 99)), float(np.percentile(taken, 50))))
    results = []
    for n, found in rounds.items():
        p99, p50 = median_low(found)
        shown = [{"p50_us": round(b, 1), "p99_us": round(a, 1)} for a, b in found]
        results.append(
            {"policy": name, "waiting": n, "p50_us": round(p50, 1), "p99_us": round(p99, 1), "rounds": shown}
        )
    return results


def main() -> int:
    results = [r for name in ("lamps", "sjf", "fcfs") for r in measure(name)]
    for r in results:
        print(f"{r['policy']:6} {r['waiting']:>7} waiting  p50 {r['p50_us']:>7} us  p99 {r['p99_us']:>7} us")
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    report = {"first": FIRST, "limits_p99_us": LIMIT_US, "machine": machine | {"numpy": np.__version__}}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report | {"results": results}, indent=1) + "\n")
    late = [r for r in results if r["p99_us"] > LIMIT_US[r["waiting"]]]  # type: ignore[operator,index]
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
