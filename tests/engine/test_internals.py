"""What lamps takes for granted about vLLM's internals, asked of the installed release."""

from __future__ import annotations

import pytest
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import RequestStatus

from engine_adapter.virtual.build import make_scheduler
from engine_adapter.vllm import internals
from tests.engine.stepping import Clock, Stepper, vllm_config


@pytest.fixture
def engine() -> Stepper:
    return Stepper(make_scheduler(Scheduler, vllm_config(33)), Clock())


def prompt(tokens: int) -> list[int]:
    return [i % 900 + 3 for i in range(tokens)]


def test_facts(engine: Stepper) -> None:
    facts = internals.facts_of(engine.scheduler)
    assert facts.kv_total_tokens == 32 * 16
    assert (facts.block_size, facts.hash_block_size) == (16, 16)
    assert facts.token_bytes == 256
    assert facts.chunk_tokens == 512
    assert facts.can_preserve


def test_without_a_prefix_cache_nothing_can_be_preserved() -> None:
    config = vllm_config(33)
    config.cache_config.enable_prefix_caching = False
    assert not internals.facts_of(make_scheduler(Scheduler, config)).can_preserve


def test_held_blocks_outlive_their_request_and_are_found_again(engine: Stepper) -> None:
    request = engine.add("r", prompt(70), 4)
    engine.step()
    engine.step()
    held = internals.hold_blocks(engine.scheduler, request)
    assert held is not None
    assert held.tokens == 64  # four full blocks; the fifth has no hash
    engine.run()
    assert internals.free_blocks(engine.scheduler) == 28
    assert internals.frees_on_release(held.blocks) == 4
    again = engine.add("again", prompt(70), 4)
    assert internals.cached_tokens(engine.scheduler, again) == 64
    internals.release_blocks(engine.scheduler, held.blocks)
    assert internals.free_blocks(engine.scheduler) == 32


def test_looking_for_cached_tokens_counts_nothing(engine: Stepper) -> None:
    request = engine.add("r", prompt(70), 4)
    before = engine.scheduler.kv_cache_manager.make_prefix_cache_stats()
    internals.cached_tokens(engine.scheduler, request)
    assert engine.scheduler.kv_cache_manager.make_prefix_cache_stats() == before
    assert request.num_computed_tokens == 0


def test_a_shared_block_is_not_freed_by_its_release(engine: Stepper) -> None:
    request = engine.add("r", prompt(70), 40)
    engine.step()
    held = internals.hold_blocks(engine.scheduler, request)
    assert held is not None
    assert internals.frees_on_release(held.blocks) == 0
    internals.release_blocks(engine.scheduler, held.blocks)
    engine.run()


@pytest.mark.parametrize("tokens", [300, 310, 400, 470])
def test_missing_blocks_are_what_an_allocation_lacks(engine: Stepper, tokens: int) -> None:
    """Freeing as many as said is enough, freeing one less isn't."""
    scheduler = engine.scheduler
    pool = scheduler.kv_cache_manager.block_pool
    taken = pool.get_new_blocks(20)
    request = engine.add("r", prompt(tokens), 4)
    assert request.status is RequestStatus.WAITING
    missing = internals.missing_blocks(scheduler, request, tokens, None)
    assert missing > 0
    pool.free_blocks(taken[: missing - 1])
    engine.step()
    assert not scheduler.running
    pool.free_blocks(taken[missing - 1 : missing])
    engine.step()
    assert scheduler.running == [request]
    pool.free_blocks(taken[missing:])


def test_make_room_is_asked_when_an_allocation_fails_and_tried_again(engine: Stepper) -> None:
    scheduler = engine.scheduler
    pool = scheduler.kv_cache_manager.block_pool
    taken = pool.get_new_blocks(30)
    asked = []

    def make_room(request: object, new_tokens: int, computed: object) -> bool:
        asked.append(new_tokens)
        pool.free_blocks([taken.pop() for _ in range(min(4, len(taken)))])
        return True

    allocation = internals.Allocation(scheduler, make_room)
    engine.add("r", prompt(150), 4)
    engine.step()
    assert not scheduler.running  # nobody watches yet
    allocation.watch(True)
    engine.step()
    assert len(asked) == 2  # ten blocks for 150 tokens, two were free
    assert len(scheduler.running) == 1
    allocation.watch(False)
    assert not allocation.watched
    taken += pool.get_new_blocks(pool.get_num_free_blocks())
    engine.add("s", prompt(160)[::-1], 4)
    engine.step()
    assert len(asked) == 2
    pool.free_blocks(taken)
