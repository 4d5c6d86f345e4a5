"""Swap on vLLM's own scheduler and connector, stepped, with a device whose KV can be checked."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from vllm.config import KVTransferConfig
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.virtual.build import make_scheduler
from engine_adapter.vllm.offload.config import kv_transfer_config
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from tests.engine.stepping import BLOCK, vllm_config
from tests.engine.traffic import random_traffic
from tests.swap.device import SwapStepper, swapping

ALWAYS = 'lamps 1\npolicy out "all"\nrank request.arrival\non call swap\n'
POLICIES = {
    "always": ALWAYS,
    "foreseen": ALWAYS.replace("on call", "on call at arrival"),
    "later": 'lamps 1\npolicy late "first kept"\nrank request.arrival\non call preserve for 40ms then swap\n',
    "some": 'lamps 1\npolicy some "one tool\'s"\nrank request.arrival\n'
    'on call if call.tool == "a" { swap } else { discard }\nlimit swapping <= 48tok\nlimit host <= 600tok\n',
    "lamps": "lamps",
}


def engine(folder: Path, policy: str, base: type[Scheduler], **given: int) -> SwapStepper:
    text = POLICIES[policy]
    if "\n" in text:
        (folder / "p.lamps").write_text(text)
        text = str(folder / "p.lamps")
    return swapping(text, base, **given)


@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
@pytest.mark.parametrize("policy", POLICIES)
def test_random_traffic_reads_its_own_kv_and_leaves_nothing_behind(
    policy: str, base: type[Scheduler], tmp_path: Path
) -> None:
    seed = len(policy)  # each policy its own traffic
    stepper = engine(tmp_path, policy, base, seed=seed)
    lengths = random_traffic(stepper, random.Random(seed))
    stepper.drain()
    scheduler = stepper.scheduler
    scheduler.lamps.calls.clear()
    stepper.drain()
    assert len(stepper.finished) > 40
    for name, tokens in stepper.finished.items():
        generated = tokens[lengths[name] :]
        assert generated == list(range(7, 7 + len(generated)))
    assert stepper.checked > 1000
    assert not scheduler.lamps.turns
    assert stepper.host_blocks == 0
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == 39


def turn(stepper: SwapStepper, name: str, prompt: list[int], session: str = "s", **hints: object) -> list[int]:
    """One turn of *session*, to its end; returns its prompt with the answer."""
    stepper.add(name, prompt, 20, session, **hints)
    stepper.run()
    return stepper.finished[name]


def crowd(stepper: SwapStepper, number: int) -> None:
    """Requests of nobody, enough of them to take every free block more than once."""
    for n in range(12):
        stepper.add(f"crowd{number}.{n}", [900 + 31 * number + 7 * n] * 150, 4)
    stepper.run()


@pytest.mark.parametrize("policy", ["always", "foreseen"])
@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
def test_a_follow_up_computes_no_block_of_its_prefix_again(policy: str, base: type[Scheduler], tmp_path: Path) -> None:
    """Three turns; between them other requests take every block of the device."""
    stepper = engine(tmp_path, policy, base)
    known = turn(stepper, "s0", list(range(100, 200)), lamps_call_tool="t")
    counters = stepper.scheduler.lamps.counters
    for number in (1, 2):
        crowd(stepper, number)
        loaded = counters["transfers.tokens_in"]
        last = len(known)
        known = turn(stepper, f"s{number}", [*known, *range(300, 330)], lamps_call_tool="t")
        # All full blocks of what the last turn computed; the last token of an answer is never computed.
        assert counters["transfers.tokens_in"] - loaded == (last - 1) // BLOCK * BLOCK
    assert counters["swap.foreseen"] == (3 if policy == "foreseen" else counters["swap.foreseen"])


def test_a_session_that_is_gone_leaves_no_block_on_the_host(tmp_path: Path) -> None:
    stepper = engine(tmp_path, "foreseen", LampsScheduler)
    turn(stepper, "s0", list(range(100, 200)), lamps_call_tool="t")
    stepper.drain()
    assert stepper.host_blocks == 7
    stepper.add("s1", list(range(500, 700)), 30, "s", lamps_call_tool="t")
    for _ in range(4):
        stepper.step()
    stepper.abort("s1")
    stepper.drain()
    assert stepper.host_blocks == 0
    assert not stepper.scheduler.lamps.calls.keeping.copies


def test_a_cache_reset_empties_the_host(tmp_path: Path) -> None:
    stepper = engine(tmp_path, "always", LampsScheduler)
    turn(stepper, "s0", list(range(100, 200)), lamps_call_tool="t")
    stepper.drain()
    assert stepper.scheduler.reset_prefix_cache()
    stepper.drain()
    assert stepper.host_blocks == 0


def test_a_reset_of_the_connector_is_told_to_the_ledger(tmp_path: Path) -> None:
    stepper = engine(tmp_path, "always", LampsScheduler)
    turn(stepper, "s0", list(range(100, 200)), lamps_call_tool="t")
    stepper.drain()
    assert stepper.scheduler.reset_connector_cache()
    copies = stepper.scheduler.lamps.calls.keeping.copies
    assert (stepper.host_blocks, copies.ledger.tokens) == (0, 0)
    assert stepper.scheduler.lamps.counters["copies.lost"] == 1


def test_a_copy_is_made_before_its_blocks_are_given_away(tmp_path: Path) -> None:
    """Two sessions have the same prompt and answer: they share the blocks of the one, not those of the other.

    The copy of the first, its answer included, is under way when it goes, and serves both.
    """
    stepper = engine(tmp_path, "always", LampsScheduler)
    stepper.copy_only_when_waited_for()
    prompt = list(range(100, 200))
    for name, output in (("a", 16), ("b", 20)):
        stepper.add(f"{name}0", prompt, output, name)  # no tool: it isn't foreseen, and copied when it has ended
    while "b0" not in stepper.finished:
        stepper.step()
    calls = stepper.scheduler.lamps.calls
    assert stepper.host_blocks == 7
    calls.forget("a")
    for n in range(12):
        stepper.add(f"crowd{n}", [900 + n] * 150, 4)
    while len(stepper.finished) < 14:
        stepper.step()
    stepper.copy_soon()
    stepper.drain()
    assert calls.keeping.ledger.tokens == 0  # nothing of b is on the device any more
    crowd(stepper, 1)
    turn(stepper, "b1", stepper.finished["b0"], session="b")
    assert stepper.scheduler.lamps.counters["transfers.tokens_in"] == 112


def test_what_is_foreseen_gives_way_to_what_is_decided(tmp_path: Path) -> None:
    """Host memory of 14 blocks: a running turn has stored 10 when another session's 7 are to be swapped."""
    stepper = engine(tmp_path, "foreseen", LampsScheduler, host_blocks=14)
    stepper.add("a0", list(range(500, 670)), 200, "a", lamps_call_tool="t")
    for _ in range(30):
        stepper.step()
    assert stepper.host_blocks >= 10
    stepper.add("s0", list(range(100, 200)), 20, "s", lamps_call_tool="t")
    while "s0" not in stepper.finished:
        stepper.step()
    for _ in range(30):
        stepper.step()
    assert stepper.scheduler.lamps.calls.paused["s"].handling.word == "swap"
    assert stepper.host_blocks == 7


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enable_prefix_caching": False}, "prefix caching is off"),
        ({}, "no host memory was given"),
    ],
)
def test_an_engine_that_cannot_swap_says_why(change: dict[str, bool], reason: str) -> None:
    config = vllm_config(40, 4, {"policy": "lamps"})
    if change:
        config.kv_transfer_config = KVTransferConfig(**kv_transfer_config(1 << 20))
    for name, value in change.items():
        setattr(config.cache_config, name, value)
    facts = make_scheduler(LampsScheduler, config).lamps.engine.facts
    assert not facts.can_swap
    assert facts.no_swap.startswith(reason)


def test_another_connector_is_not_ours_to_use() -> None:
    config = vllm_config(40, 4, {"policy": "lamps"})
    fields = kv_transfer_config(1 << 20) | {"kv_connector": "OffloadingConnector", "kv_connector_module_path": None}
    config.kv_transfer_config = KVTransferConfig(**fields)
    facts = make_scheduler(LampsScheduler, config).lamps.engine.facts
    assert facts.no_swap == "the KV connector is OffloadingConnector, not lamps' SwapConnector"
