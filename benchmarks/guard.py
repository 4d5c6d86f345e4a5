"""What guard, reload and shadow cost the engine's thread: python -m benchmarks.guard [WAITING]

A healthy ranking's own cost of being watched, the slowest percent of rankings against their median; of a reload how
long it takes until it is in force, how long the engine stands still for it (the trial, the swap of tables), and its
slowest step while the policy is compiled beside it; and one sample of a shadow. Writes benchmarks/results/guard.json;
exits with 1 where a reload takes a second.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import policies
from engine_adapter.runtime import shadow
from engine_adapter.runtime.activation import load_policy
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.reload import Reloading
from engine_adapter.runtime.requests import Arrival
from policy_dsl.loading import load

RESULTS = Path(__file__).parent / "results" / "guard.json"
LIMIT_S = 1.0
MODEL_S = 0.01
FACTS = EngineFacts(100_000, 16, 16, 1024.0, 512, can_preserve=True)


def runtime_of(waiting: int) -> Runtime:
    """A runtime under LAMPS with so many waiting requests."""
    load_now = EngineLoad(running=8, waiting=waiting, running_tokens=8_000, free_tokens=10_000)
    engine = Engine(FACTS, lambda: load_now, lambda blocks: None, perf_counter)
    runtime = Runtime(load_policy("lamps", {}), engine, Predictor(), CostModel())
    for n in range(waiting):
        runtime.arrive(Arrival(f"r{n}", [1] * (50 + n % 700), 64, 0.0, f"s{n}", {}, [], 0))
        runtime.enqueue(f"r{n}")
    return runtime


def times(count: int, do: Callable[[], object]) -> list[float]:
    """Seconds of each of *count* runs, sorted."""
    found = []
    for _ in range(count):
        began = perf_counter()
        do()
        found.append(perf_counter() - began)
    return sorted(found)


def main() -> int:
    waiting = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    runtime = runtime_of(waiting)
    asked = times(20, lambda: [runtime.guard.asked("rank", 1e-6, waiting) for _ in range(1_000)])
    print(f"watching one ranking: {1e6 * median(asked) / 1_000:.2f} us")

    def step() -> None:
        runtime.begin_step()
        runtime.first(32)

    steps = times(1_000, step)
    print(f"a ranking of {waiting:,}: median {1e6 * median(steps):.0f} us, 99 % {1e6 * steps[990]:.0f} us")
    commands = Reloading(runtime)
    text = load(policies.find("lamps")).source.text

    reloads = [reloaded(runtime, commands, text, step) for _ in range(20)]
    took, still, slowest = (sorted(column) for column in zip(*reloads, strict=True))
    print(f"a reload: median {1e3 * median(took):.0f} ms, slowest {1e3 * took[-1]:.0f} ms")
    print(f"of it the engine stands still: median {1e3 * median(still):.1f} ms, slowest {1e3 * still[-1]:.1f} ms")
    print(f"slowest step meanwhile: median {1e3 * median(slowest):.1f} ms, slowest {1e3 * slowest[-1]:.1f} ms")
    shadow.begin(load_policy("sjf", {}), runtime)
    beside = runtime.shadow
    assert beside is not None

    def sample() -> None:
        beside._rank_at = 0.0
        beside.new_step()

    samples = times(50, sample)
    print(f"one sample of a shadow: median {1e3 * median(samples):.2f} ms, slowest {1e3 * samples[-1]:.2f} ms")
    found = {
        "waiting": waiting,
        "watching_us": 1e6 * median(asked) / 1_000,
        "ranking_us": {"p50": 1e6 * median(steps), "p99": 1e6 * steps[990]},
        "reload_ms": {"p50": 1e3 * median(took), "max": 1e3 * took[-1]},
        "stands_still_ms": {"p50": 1e3 * median(still), "max": 1e3 * still[-1]},
        "slowest_step_ms": {"p50": 1e3 * median(slowest), "max": 1e3 * slowest[-1]},
        "shadow_ms": {"p50": 1e3 * median(samples), "max": 1e3 * samples[-1]},
    }
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"limit_reload_s": LIMIT_S, "machine": machine, **found}, indent=1) + "\n")
    return 1 if took[-1] > LIMIT_S else 0


def reloaded(
    runtime: Runtime, commands: Reloading, text: str, step: Callable[[], object]
) -> tuple[float, float, float]:
    """Seconds of a reload in all, of the engine standing still, and of its slowest step until the policy is there.

    A model's arithmetic is stood in for by waiting, as Python's lock is free then.
    """
    began, slowest = perf_counter(), 0.0
    while commands.answer("compile", {"text": text})["pending"]:
        at = perf_counter()
        step()
        slowest = max(slowest, perf_counter() - at)
        sleep(MODEL_S)
    at = perf_counter()
    prepared = commands.answer("prepare", {"text": text})
    commands.answer("commit", {"revision": prepared["policy"]["revision"]})
    return perf_counter() - began, perf_counter() - at, slowest


if __name__ == "__main__":
    sys.exit(main())
