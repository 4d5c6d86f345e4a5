"""The runtime's decisions with a made-up engine: no vLLM, no clock but the test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Held
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Arrival, Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load_text

FACTS = EngineFacts(
    kv_total_tokens=10_000, block_size=16, hash_block_size=16, token_bytes=1024.0, chunk_tokens=512, can_preserve=True
)


@dataclass
class World:
    """An engine of numbers: what it is asked to release, and a clock."""

    now: float = 0.0
    running_tokens: int = 0
    in_real_time: bool = False  # the machine that runs the tests may be busy
    released: list[tuple[Any, ...]] = field(default_factory=list)

    def engine(self) -> Engine:
        return Engine(
            FACTS,
            load=lambda: EngineLoad(running=1, waiting=0, running_tokens=self.running_tokens, free_tokens=5_000),
            release=self.released.append,
            clock=lambda: self.now,
            in_real_time=self.in_real_time,
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def runtime_of(world: World) -> Callable[[str], Runtime]:
    def make(rules: str) -> Runtime:
        loaded = load_text(f'lamps 1\npolicy tried "a test"\n{rules}\n')
        assert loaded.policy is not None, loaded.diagnostics
        return Runtime(compile_policy(loaded.policy, loaded.source), world.engine(), Predictor(), CostModel())

    return make


def arrive(runtime: Runtime, name: str, tokens: int = 100, session: str | None = None, **hints: Any) -> None:
    runtime.arrive(Arrival(name, [1] * tokens, 64, 0.0, session, hints, [], 0))
    runtime.enqueue(name)


def finish(runtime: Runtime, name: str, tokens: int = 120) -> None:
    runtime.dequeue(name)
    runtime.admitted({name: 0})
    runtime.ended(Ended(name, 20, tokens, False, []), hold=lambda: Held((name,), tokens))


def test_waiting_adds_up_over_preemptions(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of("rank request.arrival\npromote when request.waited >= 10s")
    arrive(runtime, "early")
    world.now = 6.0
    runtime.begin_step()
    runtime.dequeue("early")
    runtime.admitted({"early": 0})
    world.now = 50.0
    runtime.preempted("early", 110)
    runtime.enqueue("early")
    world.now = 53.0
    runtime.begin_step()
    assert runtime.first(1) == ["early"]
    assert not runtime.is_promoted("early")
    world.now = 54.0
    runtime.begin_step()
    runtime.first(1)
    assert runtime.is_promoted("early")


def test_the_duration_of_a_call_is_learned_from_its_return(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of("rank request.arrival\non call preserve")
    for n in range(30):
        arrive(runtime, f"a{n}", session="s", lamps_call_tool="search")
        finish(runtime, f"a{n}")
        world.now += 2.0
    arrive(runtime, "last", session="s", lamps_call_tool="search")
    assert runtime.turns["last"].forecast.duration.mean == pytest.approx(2.0, rel=0.05)
    assert runtime.turns["last"].forecast.duration.known


def test_a_busy_engine_discards_what_an_idle_one_would(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of(
        "rank request.arrival\non call least { preserve: call.duration * call.context\n"
        " discard: prefill_time(call.context) * (call.context + engine.running_tokens) }"
    )
    world.running_tokens = 0
    arrive(runtime, "idle", session="a", lamps_call_tool="x", lamps_call_duration_s=1.0)
    finish(runtime, "idle")
    runtime.begin_step()
    world.running_tokens = 1_000_000
    arrive(runtime, "busy", session="b", lamps_call_tool="x", lamps_call_duration_s=1.0)
    finish(runtime, "busy")
    handling = {key: paused.handling.word for key, paused in runtime.calls.paused.items()}
    assert handling == {"a": "discard", "b": "preserve"}


def test_pins_never_take_all_the_memory(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of("rank request.arrival\non call preserve")
    for n in range(12):
        arrive(runtime, f"r{n}", 900, session=f"s{n}", lamps_call_tool="x")
        finish(runtime, f"r{n}", 1_000)
    assert runtime.calls.ledger.tokens == 9_000
    assert runtime.counters["decisions.discard"] == 3


def test_a_pin_ends_after_ten_minutes_at_the_latest(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of("rank request.arrival\non call preserve")
    arrive(runtime, "r", session="s", lamps_call_tool="x")
    finish(runtime, "r")
    world.now = 599.0
    runtime.begin_step()
    assert not world.released
    world.now = 601.0
    runtime.begin_step()
    assert world.released == [("r",)]
    assert len(runtime.calls.ledger) == 0


def test_what_yields_first_is_expected_back_last(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of("rank request.arrival\non call preserve")
    for name, duration_s in (("soon", 1.0), ("late", 50.0), ("asks", 90.0)):
        arrive(runtime, name, session=name, lamps_call_tool="x", lamps_call_duration_s=duration_s)
        finish(runtime, name)
    assert [pin.session for pin in runtime.calls.yield_order(spare="asks")] == ["late", "soon", "asks"]


def test_nan_costs_that_decision_only(world: World, runtime_of: Callable[[str], Runtime]) -> None:
    runtime = runtime_of(
        "rank (request.context - 100tok) / (request.context - 100tok), request.arrival\non call discard"
    )
    arrive(runtime, "nan", 100)
    world.now = 1.0
    arrive(runtime, "number", 200)
    runtime.begin_step()
    assert runtime.first(2) == ["number", "nan"]
    assert runtime.counters["faults.rank"] == 1
