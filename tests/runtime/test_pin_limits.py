"""Limits on what is held for paused sessions: of all, of a class, shared out by an order, lowered."""

from __future__ import annotations

import pytest

from engine_adapter.runtime.core import Runtime
from tests.runtime.test_admission import World
from tests.runtime.test_core import arrive

RANK = "rank request.arrival\non call preserve\n"
CLASSES = 'hint tier = ""\nclass chat when hint.tier == "chat" { weight: 2 }\nclass batch { weight: 1 }\n'


@pytest.fixture
def world() -> World:
    return World()


def pause(world: World, runtime: Runtime, name: str, tokens: int, seconds: float = 9.0, **hints: object) -> None:
    """A turn of session *name* that ends in a call; the engine's step goes on."""
    arrive(runtime, f"{name}1", tokens, session=name, lamps_call_tool="x", lamps_call_duration_s=seconds, **hints)
    world.start(runtime, f"{name}1")
    world.end(runtime, f"{name}1")


def handlings(runtime: Runtime) -> dict[str, str]:
    return {key: paused.handling.word for key, paused in runtime.calls.paused.items()}


def test_a_class_at_its_limit_leaves_the_others_theirs(world: World) -> None:
    runtime = world.runtime(CLASSES + RANK + "limit batch.pinned <= 10%\n")
    for name in ("b1", "b2"):
        pause(world, runtime, name, 800)
    pause(world, runtime, "c1", 800, lamps_hint_tier="chat")
    assert handlings(runtime) == {"b1": "preserve", "b2": "discard", "c1": "preserve"}
    refused = runtime.calls.paused["b2"].turn.call
    assert refused is not None and refused.held_by == "limit batch.pinned"


def test_a_lowered_limit_makes_holders_yield(world: World) -> None:
    rules = RANK + "yield highest call.remaining\nlimit pinned <= if engine.running > 3 { 10% } else { 50% }\n"
    runtime = world.runtime(rules)
    for name, seconds in (("quick", 2.0), ("slow", 90.0), ("middle", 30.0)):
        pause(world, runtime, name, 800, seconds)
    runtime.begin_step()
    assert runtime.calls.ledger.tokens == 2_400
    world.running |= {f"r{n}": 10 for n in range(4)}
    runtime._present.forget()
    runtime.begin_step()
    assert {pin.session: pin.tokens for pin in runtime.calls.ledger} == {"quick": 800, "middle": 192}
    assert (runtime.counters["pins.limit"], runtime.counters["pins.shrunk"]) == (1, 1)


def test_what_is_left_in_a_step_goes_by_the_order_of_the_limit(world: World) -> None:
    runtime = world.runtime(RANK + "limit pinned <= 10% by highest call.duration\n")
    runtime.begin_step()
    for name, seconds in (("middle", 30.0), ("quick", 2.0), ("slow", 90.0)):
        pause(world, runtime, name, 800, seconds)
    assert handlings(runtime) == {"middle": "preserve", "quick": "discard", "slow": "preserve"}
    runtime.begin_step()  # before anything is allocated
    assert handlings(runtime)["slow"] == "preserve"
    assert runtime.calls.ledger.tokens_of("slow") == 800
    assert runtime.calls.ledger.tokens <= 1_000
    pause(world, runtime, "slower", 800, 900.0)  # in the next step it comes too late
    assert handlings(runtime)["slower"] == "discard"


def test_a_limit_that_fails_holds_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime(RANK + "limit pinned <= 50%\n")
    monkeypatch.setattr(runtime.policy.scalar, "limit", lambda name, engine: 1 / 0)
    pause(world, runtime, "a", 100)
    assert handlings(runtime) == {"a": "discard"}
    assert runtime.counters["faults.limit pinned"] == 1
