"""What must be survived, on vLLM's own scheduler and KV manager: all served, the ledger empty, every block back.

docs/guarantees.md says which test stands for which fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec, SlidingWindowSpec
from vllm.v1.request import RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from engine_adapter.runtime.keeping import MAX_PIN_S
from engine_adapter.runtime.sessions import EXPIRY_S
from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from tests.engine.stepping import BLOCK, Clock, Stepper, vllm_config
from tests.engine.test_reload import POLICIES, reload, tell
from tests.engine.test_scheduler import KEEP, Make, counters, free, make, prompt, status
from tests.engine.traffic import consistent
from tests.policy_dsl.soak import count

__all__ = ["make"]  # the fixture: at the end all must be served and every block back
# Every turn is kept for as long as the core allows.
EVERYTHING = 'lamps 1\npolicy all "P."\nrank request.arrival\non call preserve\n'


def turn(engine: Stepper, name: str, session: str, tokens: int = 64, **more: Any) -> None:
    """A turn of *session* that ends in a call, run to its end."""
    engine.add(name, prompt(sum(name.encode()), tokens), 17, session=session, lamps_call_tool="search", **more)
    engine.run()


def test_a_tool_that_never_returns_holds_nothing_for_long(make: Make) -> None:
    engine = make(KEEP)
    turn(engine, "turn", "s")
    runtime = engine.scheduler.lamps
    assert status(engine)["pins"]["count"] == 1
    engine.clock.now += MAX_PIN_S + 1
    engine.add("other", prompt(7, 20), 2)
    engine.run()
    assert not runtime.calls.ledger and counters(engine)["pins.expired"] == 1
    assert len(runtime.sessions) == 2 and len(runtime.calls.paused) == 2
    engine.clock.now += EXPIRY_S + 1
    engine.add("another", prompt(8, 20), 2)
    engine.run()
    assert len(runtime.sessions) == len(runtime.calls.paused) == 1  # the last one's


def test_a_thousand_sessions_opened_and_abandoned(make: Make) -> None:
    engine = make(EVERYTHING, blocks=129, seats=64)
    for n in range(1_000):
        engine.add(f"r{n}", prompt(n, 20 + n % 40), 30, session=f"s{n}", lamps_call_tool="search")
        if n % 50 == 49:
            engine.step()
    for n in range(1_000):
        engine.abort(f"r{n}")
    runtime = engine.scheduler.lamps
    assert not runtime.turns and not runtime.calls.ledger and len(runtime.table) == 0
    assert free(engine) == 128
    engine.clock.now += EXPIRY_S + 1
    engine.add("alone", prompt(1, 20), 2)
    engine.run()
    assert len(runtime.sessions) == 1


@pytest.mark.parametrize("seats", [1, 8])
def test_two_requests_of_one_session_at_once(make: Make, seats: int) -> None:
    """Both are served; what the session had is used once and given back once, and what is held is the last one's."""
    engine = make(blocks=65, seats=seats)
    turn(engine, "turn", "s")
    known = engine.finished["turn"]
    for name, output in (("left", 9), ("right", 40)):
        engine.add(name, [*known, *prompt(ord(name[0]), 20)], output, session="s", lamps_call_tool="search")
    engine.run()
    assert {"left", "right"} <= engine.finished.keys()
    assert counters(engine)["pins.used"] >= 1
    (pin,) = engine.scheduler.lamps.calls.ledger
    last = engine.scheduler.lamps.calls.paused[pin.session].turn
    assert (last.id, pin.tokens) == ("right", (len(engine.finished["right"]) - 1) // BLOCK * BLOCK)
    assert all(block.ref_cnt == 1 for block in pin.blocks)


def test_a_session_id_that_another_tenant_takes(make: Make) -> None:
    """It is another session: no pin is shared, none is lost to the thief."""
    engine = make(blocks=65)
    turn(engine, "turn", "s", lamps_tenant="owner")
    engine.add("stolen", [*engine.finished["turn"], 5], 9, session="s", lamps_tenant="thief", lamps_call_tool="search")
    engine.step()
    owner, *_ = engine.scheduler.lamps.calls.ledger
    assert engine.scheduler.lamps.turns["stolen"].pinned_tokens == 0
    assert engine.scheduler.lamps.turns["stolen"].session.key != owner.session
    engine.run()
    assert "pins.used" not in counters(engine)
    assert {pin.session for pin in engine.scheduler.lamps.calls.ledger} == {owner.session, "thief/s"}


def test_sleep_with_pins_held(make: Make) -> None:
    """vLLM pauses, ends what runs, and resets its cache; woken, it serves."""
    engine = make(EVERYTHING)
    turn(engine, "turn", "s")
    engine.add("runs", prompt(3, 40), 30)
    engine.step()
    scheduler = engine.scheduler
    scheduler.finish_requests(None, RequestStatus.FINISHED_ABORTED)
    scheduler.set_pause_state(PauseState.PAUSED_NEW)
    assert scheduler.reset_prefix_cache()
    assert not scheduler.lamps.calls.ledger and free(engine) == 32
    scheduler.set_pause_state(PauseState.UNPAUSED)
    turn(engine, "again", "s")
    assert "again" in engine.finished


def test_without_a_prefix_cache_nothing_is_held(make: Make) -> None:
    clock = Clock()
    config = vllm_config(33, lamps={"policy": "lamps"})
    config.cache_config.enable_prefix_caching = False
    engine = Stepper(make_scheduler(timed(LampsScheduler, clock), config), clock)
    for n in range(6):
        turn(engine, f"t{n}", "s", lamps_call_duration_s=0.1)
        assert not engine.scheduler.lamps.calls.ledger
    assert len(engine.finished) == 6 and free(engine) == 32
    assert not engine.scheduler.lamps.engine.facts.can_preserve


def test_a_model_with_several_groups_of_blocks() -> None:
    """Full attention beside a sliding window: two tables of blocks, of which a pin of one would be half a prefix."""
    clock = Clock()
    config = vllm_config(65, lamps={"policy": "lamps"})
    shape: dict[str, Any] = {"block_size": BLOCK, "num_kv_heads": 1, "head_size": 64, "dtype": torch.bfloat16}
    groups = [
        KVCacheGroupSpec(["full"], FullAttentionSpec(**shape)),
        KVCacheGroupSpec(["window"], SlidingWindowSpec(**shape, sliding_window=64)),
    ]
    kv = KVCacheConfig(num_blocks=65, kv_cache_tensors=[], kv_cache_groups=groups)
    cls = timed(LampsScheduler, clock)
    engine = Stepper(cls(config, kv, StructuredOutputManager(config), block_size=BLOCK, log_stats=False), clock)
    for n in range(6):
        turn(engine, f"t{n}", "s", tokens=150, lamps_call_duration_s=0.1)
    assert len(engine.finished) == 6 and free(engine) == 64
    assert not engine.scheduler.lamps.engine.facts.can_preserve and not engine.scheduler.lamps.calls.ledger


def test_requests_that_end_in_an_error_leave_nothing(make: Make) -> None:
    engine = make(EVERYTHING)
    for n in range(4):
        engine.add(f"r{n}", prompt(n, 60), 30, session=f"s{n}", lamps_call_tool="search")
    engine.step()
    engine.scheduler.finish_requests([f"r{n}" for n in range(4)], RequestStatus.FINISHED_ERROR)
    assert not engine.scheduler.lamps.calls.ledger and not engine.scheduler.lamps.turns
    assert free(engine) == 32


def test_a_policy_that_preserves_everything_stops_nobody(make: Make) -> None:
    engine = make(EVERYTHING, blocks=41, seats=4)
    for n in range(60):
        engine.add(f"r{n}", prompt(n, 40 + 7 * n % 300), 10, session=f"s{n}", lamps_call_tool="search")
        engine.step()
        consistent(engine)
    engine.run()
    assert len(engine.finished) == 60
    assert counters(engine)["pins.yielded_running"] > 0  # nobody was preempted for a pin first


REQUESTS = count(600, 10_000)


@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
def test_random_traffic_with_aborts_and_reloads(
    base: type[Scheduler], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whoever isn't aborted is answered, token for token, under whatever policy is in force meanwhile."""
    chance, clock = random.Random(11), Clock()
    settings = {"policy": "lamps", "dumps": str(tmp_path_factory.mktemp("dumps"))}
    engine = Stepper(make_scheduler(timed(base, clock), vllm_config(49, 6, settings)), clock)
    lengths: dict[str, int] = {}
    aborted: set[str] = set()
    for n in range(REQUESTS):
        known = engine.finished.get(f"r{n - 9}", [])[:200] if chance.random() < 0.5 else []
        name, tokens = f"r{n}", [*known, *prompt(n, chance.randrange(5, 200))]
        lengths[name] = len(tokens)
        hints = chance.choice([{}, {"lamps_call_tool": "x"}, {"lamps_may_call": 1, "lamps_turn": name}])
        engine.add(name, tokens, chance.randrange(1, 30), session=f"s{n % 9}", **hints)
        for _ in range(chance.randrange(6)):
            engine.step()
        consistent(engine)
        if chance.random() < 0.1:
            victim = f"r{chance.randrange(n + 1)}"
            aborted |= {victim} - engine.finished.keys()
            engine.abort(victim)
        if chance.random() < 0.05:
            chance.choice(CHANGES)(engine, chance)
    # Under a policy that preserves everything they go one after the other: a prompt and 29 tokens at most.
    engine.run(most=40 * len(engine.scheduler.requests) + 10)
    assert lengths.keys() - aborted <= engine.finished.keys()
    for name, tokens in engine.finished.items():
        generated = tokens[lengths[name] :]
        assert generated == list(range(7, 7 + len(generated)))
    tell(engine, "off")
    runtime = engine.scheduler.lamps
    assert not runtime.turns and not runtime.calls.ledger and len(runtime.table) == 0
    assert free(engine) == 48


def _reload(engine: Stepper, chance: random.Random) -> None:
    reload(engine, chance.choice([*POLICIES, KEEP, EVERYTHING]), trial_s=chance.choice([0.0, 1.0]))


CHANGES: list[Callable[[Stepper, random.Random], object]] = [
    _reload,
    _reload,
    lambda engine, chance: tell(engine, "off"),
    lambda engine, chance: tell(engine, "on"),
    lambda engine, chance: engine.scheduler.reset_prefix_cache(),
]
