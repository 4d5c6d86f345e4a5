"""What guard, reload and shadow cost the engine's thread: python -m benchmarks.guard [WAITING]

A healthy ranking's own cost of being watched, the slowest percent of rankings against their median, and the time that
an engine stands still for a reload (compiling, the trial, the swap of tables) and for one sample of a shadow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

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


def main() -> None:
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

    def reload() -> None:
        prepared = commands.answer("prepare", {"text": text})
        commands.answer("commit", {"revision": prepared["policy"]["revision"]})

    took = times(10, reload)
    print(f"a reload: median {1e3 * median(took):.0f} ms, slowest {1e3 * took[-1]:.0f} ms")
    shadow.begin(load_policy("sjf", {}), runtime)
    beside = runtime.shadow
    assert beside is not None

    def sample() -> None:
        beside._rank_at = 0.0
        beside.new_step()

    took = times(50, sample)
    print(f"one sample of a shadow: median {1e3 * median(took):.2f} ms, slowest {1e3 * took[-1]:.2f} ms")


if __name__ == "__main__":
    main()
