"""What a virtual engine leaves out of vLLM's step because its outcome is known: half its time, none of its decisions.

A running request that gains one token in the middle of a block needs no block: allocation returns the empty answer it
would have come to. None here stops at a token or a text, or has more to hash of a block than its
tokens. And the part of a step's output that only a model runner reads is not put together.
tests/virtual/test_shortcuts.py runs the same load with and without them and wants the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vllm.v1.core import kv_cache_utils
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import CachedRequestData
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from engine_adapter.vllm import internals

Hasher = Callable[[Request], list[Any]]
_UNSIGNED = (1 << 64) - 1


def skip_idle_allocations(scheduler: Scheduler) -> None:
    """Answer the allocations that need no block, and only let a block that is full enter the prefix cache."""
    manager, size, idle = scheduler.kv_cache_manager, scheduler.block_size, settled(scheduler)
    allocate, nothing, running = manager.allocate_slots, manager.empty_kv_cache_blocks, RequestStatus.RUNNING
    begins = 1 % size
    # Of a synchronous engine the block before is in the prefix cache already: a new one is all that is left to do.
    takes_block = idle == 2 and size > 1 and not scheduler.num_lookahead_tokens

    def allocate_if_needed(request: Request, num_new_tokens: int, *args: Any, **kwargs: Any) -> Any:
        if num_new_tokens != 1 or request.status is not running:
            return allocate(request, num_new_tokens, *args, **kwargs)
        tokens = request.num_computed_tokens + 1
        place = tokens % size
        if place == begins:
            blocks = internals.take_block(scheduler, request, tokens) if takes_block else None
            return allocate(request, num_new_tokens, *args, **kwargs) if blocks is None else blocks
        if place < idle:
            manager.cache_blocks(request, min(tokens, request.num_tokens))
        return nothing

    manager.allocate_slots = allocate_if_needed


def settled(scheduler: Scheduler) -> int:
    """The token of a block, counted from 0 for the one before its first, from which on nothing is done about memory.

    The second one needs nothing any more; in asynchronous scheduling the block before may still wait for its last
    tokens to come back and enter the prefix cache.
    """
    return 4 if isinstance(scheduler, AsyncScheduler) else 2


def block_hash(value: object) -> bytes:
    """A hash of vLLM's (parent hash, tokens, extra keys), much cheaper than SHA-256. No request here has extra keys."""
    parent, tokens, _ = value if isinstance(value, tuple) else (b"", b"", None)
    number = int.from_bytes(parent, "little")
    # Only numbers are hashed: the hash of a text or of None differs between processes.
    return hash((number, tuple(tokens))).to_bytes(8, "little", signed=True)


def plain_hasher(size: int, hash_block: Callable[[Any], bytes]) -> Hasher:
    """vLLM's hasher of a request's new full blocks, of *size* tokens each, for requests that are nothing but tokens.

    *hash_block* is `block_hash`, written out here: without a call for each block it takes half the time.
    """
    assert hash_block is block_hash
    nothing: list[Any] = []

    def hasher(request: Request) -> list[Any]:
        known, count = request.block_hashes, len(request._all_token_ids)
        begin = len(known) * size
        if begin + size > count:
            return nothing
        end = count - count % size
        tokens = tuple(request._all_token_ids[begin:end])
        number = int.from_bytes(known[-1] if known else kv_cache_utils.NONE_HASH, "little")
        found = []
        for place in range(0, end - begin, size):
            hashed = hash((number, tokens[place : place + size]))
            found.append(hashed.to_bytes(8, "little", signed=True))
            number = hashed & _UNSIGNED
        return found

    return hasher


def skip_stop_checks(scheduler: Scheduler) -> None:
    """Append a token and stop at the request's length: nothing else stops a request here. Synchronous base only."""
    if isinstance(scheduler, AsyncScheduler):
        return
    longest = scheduler.max_model_len

    def appended(request: Request, new_token_ids: list[int], is_stale: bool = False) -> tuple[list[int], bool]:
        internals.append(scheduler, request, new_token_ids)
        if request.num_output_tokens < request.max_tokens and request.num_tokens < longest:
            return new_token_ids, False
        request.status = RequestStatus.FINISHED_LENGTH_CAPPED
        return new_token_ids, True

    scheduler._update_request_with_output = appended


def skip_model_runner_data(scheduler: Scheduler) -> None:
    """Tell of requests that were scheduled before only which they are and which of them were preempted meanwhile."""

    def names_only(running: Sequence[Request], resumed: Sequence[Request], *args: Any) -> CachedRequestData:
        data = CachedRequestData.make_empty()
        data.req_ids = [request.request_id for request in (*running, *resumed)]
        data.resumed_req_ids = {request.request_id for request in resumed}
        return data

    scheduler._make_cached_request_data = names_only
