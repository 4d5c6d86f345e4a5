"""Every internal of vLLM's engine process that lamps touches, in one place.

None of it is a public interface. The names were seen in 0.30 to 0.32 (`touches` lists them, `make compat` looks); the
contract test (tests/engine/test_internals.py) runs the functions against the installed release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vllm.v1.core.kv_cache_utils import KVCacheBlock
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.request_queue import RequestQueue
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from engine_adapter.runtime.engine import EngineFacts, Held

_RUNNING = RequestStatus.RUNNING


def facts_of(scheduler: Scheduler) -> EngineFacts:
    """Memory and limits of the engine. Pinning needs the prefix cache and one group of KV blocks."""
    groups = scheduler.kv_cache_config.kv_cache_groups
    pool = scheduler.kv_cache_manager.block_pool
    block_size = scheduler.block_size
    page_bytes = sum(group.kv_cache_spec.page_size_bytes * len(group.layer_names) for group in groups)
    return EngineFacts(
        kv_total_tokens=(pool.num_gpu_blocks - 1) * block_size,  # one block is vLLM's null block
        block_size=block_size,
        hash_block_size=scheduler.hash_block_size,
        token_bytes=page_bytes / block_size,
        chunk_tokens=scheduler.max_num_scheduled_tokens,
        seats=scheduler.max_num_running_reqs,
        can_preserve=bool(scheduler.cache_config.enable_prefix_caching) and len(groups) == 1,
    )


def free_blocks(scheduler: Scheduler) -> int:
    """Blocks that can be allocated now."""
    return int(scheduler.kv_cache_manager.block_pool.get_num_free_blocks())


def cached_blocks(scheduler: Scheduler) -> int:
    """About how many free blocks hold a prefix that may be found again: all that have a hash, less those in use.

    Blocks in use without a hash (one unfilled tail a request) are not told apart; blocks of equal content count once.
    """
    pool = scheduler.kv_cache_manager.block_pool
    used = pool.num_gpu_blocks - 1 - pool.get_num_free_blocks()
    hashed = len(pool.cached_block_hash_to_block)
    return int(min(max(hashed - used, 0), pool.get_num_free_blocks()))


def cached_tokens(scheduler: Scheduler, request: Request) -> int:
    """Tokens of *request*'s prompt that a prefix-cache lookup finds now. Looks only; counts nothing."""
    return int(scheduler.kv_cache_manager.get_computed_blocks(request)[1])


def hold_blocks(scheduler: Scheduler, request: Request) -> Held | None:
    """Take one more reference on the full blocks of a request that ends; None when it has none.

    Blocks without a hash (an unfilled tail) can't be found again, so they are left to go.
    """
    held: list[KVCacheBlock] = []
    for block in scheduler.kv_cache_manager.get_blocks(request.request_id).blocks[0]:
        if block.block_hash is None or block.is_null:
            break
        held.append(block)
    if not held:
        return None
    scheduler.kv_cache_manager.block_pool.touch(held)
    return Held(tuple(held), len(held) * scheduler.block_size)


def release_blocks(scheduler: Scheduler, blocks: Iterable[KVCacheBlock]) -> None:
    """Give back references, tail first, so that a prefix outlives what follows it (vLLM's own order)."""
    scheduler.kv_cache_manager.block_pool.free_blocks(reversed(list(blocks)))


def frees_on_release(blocks: Iterable[KVCacheBlock]) -> int:
    """How many of these blocks nobody else refers to: what giving them back would free."""
    return sum(block.ref_cnt == 1 for block in blocks)


def missing_blocks(scheduler: Scheduler, request: Request, new_tokens: int, computed: Any) -> int:
    """About how many more free blocks *request* needs to be allocated, as `allocate_slots` counts them.

    A waiting request is admitted only if its whole prompt fits and the watermark stays free; a
    running one needs room for its next tokens. Prefix blocks that others hold need no new block.
    """
    manager = scheduler.kv_cache_manager
    if request.status is RequestStatus.RUNNING:
        tokens = request.num_computed_tokens + new_tokens + scheduler.num_lookahead_tokens
        has = len(manager.get_blocks(request.request_id).blocks[0])
        spare = 0
    else:
        tokens = max(request.num_tokens, request.num_computed_tokens + new_tokens) + scheduler.num_lookahead_tokens
        has = sum(block.ref_cnt > 0 for block in computed.blocks[0]) if computed is not None else 0
        spare = manager.watermark_blocks if scheduler.running else 0
    return -(-tokens // scheduler.block_size) - has + spare - free_blocks(scheduler)


def all_seated(scheduler: Scheduler) -> bool:
    """Whether as many requests run as may; streaming sessions between two inputs keep their seat."""
    # max_num_active_reqs and num_waiting_for_streaming_input are 0.32's.
    seats = getattr(scheduler, "max_num_active_reqs", scheduler.max_num_running_reqs)
    return len(scheduler.running) + getattr(scheduler, "num_waiting_for_streaming_input", 0) >= seats


def second_queue(scheduler: Scheduler) -> RequestQueue:
    """vLLM's other queue: of waiting requests that hold KV; before 0.31 also of those skipped for another reason."""
    queue: RequestQueue = getattr(scheduler, "kv_holding_waiting", None)
    return scheduler.skipped_waiting if queue is None else queue


def loading(scheduler: Scheduler) -> frozenset[str]:
    """Ids of requests whose KV is on its way from elsewhere."""
    waits = RequestStatus.WAITING_FOR_REMOTE_KVS
    return frozenset(name for name, request in scheduler.requests.items() if request.status is waits)


class Allocation:
    """Lets *make_room* free memory when an allocation fails, and tries again while it says it did; once it is watched.

    *make_room* gets the request, its new tokens, and the prefix blocks it brings. Unwatched, vLLM's own method is
    called as it is: every running request is allocated for in every step, and a step of 64 took 25 us more.
    """

    def __init__(self, scheduler: Scheduler, make_room: Callable[[Request, int, Any], bool]) -> None:
        self._manager = scheduler.kv_cache_manager
        self._make_room = make_room
        self._own: Callable[..., Any] | None = None  # vLLM's, while it is watched

    @property
    def watched(self) -> bool:
        return self._own is not None

    def watch(self, wanted: bool) -> None:
        """Begin or cease to ask *make_room*."""
        if wanted == self.watched:
            return
        if self._own is not None:
            self._manager.allocate_slots, self._own = self._own, None
            return
        self._own = allocate = self._manager.allocate_slots
        make_room = self._make_room

        def allocate_or_yield(request: Request, num_new_tokens: int, *args: Any, **kwargs: Any) -> Any:
            while True:
                blocks = allocate(request, num_new_tokens, *args, **kwargs)
                if blocks is not None or not make_room(request, num_new_tokens, kwargs.get("new_computed_blocks")):
                    return blocks

        self._manager.allocate_slots = allocate_or_yield


def next_slot(scheduler: Scheduler, request: Request) -> None:
    """What `schedule()` does about the KV of a running request that gains one token. There must be a free block."""
    blocks = scheduler.kv_cache_manager.allocate_slots(request, 1, num_lookahead_tokens=scheduler.num_lookahead_tokens)
    assert blocks is not None


def take_block(scheduler: Scheduler, request: Request, tokens: int) -> Any:
    """The blocks that a running request lacks to hold *tokens*, as `allocate_slots` gives them; None: none is free.

    Only where that is all it would do: of full attention, and with nothing new to enter the prefix cache.
    """
    if not free_blocks(scheduler):
        return None
    manager = scheduler.kv_cache_manager
    return manager.create_kv_cache_blocks(manager.coordinator.allocate_new_blocks(request.request_id, tokens, tokens))


def only_decode(running: Iterable[Request], under_way: int) -> bool:
    """Whether all that each lacks is its next token, with *under_way* tokens of each being computed (0 or 1)."""
    for request in running:
        if (
            request.is_prefill_chunk
            or len(request._all_token_ids) + under_way - request.num_computed_tokens != 1
            or request.num_in_flight_tokens != under_way
            or request.num_output_placeholders != under_way
            or request.num_stale_output_tokens
        ):
            return False
    return True


def begin_decode(request: Request) -> None:
    """What scheduling one token leaves in a running request."""
    request.num_computed_tokens += 1
    request.num_in_flight_tokens += 1


def append(scheduler: Scheduler, request: Request, tokens: list[int]) -> None:
    """`request.append_output_token_ids`, for tokens that complete a block with the last of them or not at all."""
    request._output_token_ids.extend(tokens)
    request._all_token_ids.extend(tokens)
    if len(request._all_token_ids) % scheduler.hash_block_size == 0:
        request.update_block_hashes()


Decoded = tuple[Request, int, Sequence[int]]
"""A request, the tokens that a step computed of it, and those it sampled: one or none."""


def decoded(scheduler: Scheduler, rows: Iterable[Decoded]) -> None:
    """What `update_from_output` leaves in running requests that go on. Of a synchronous scheduler."""
    size = scheduler.hash_block_size
    for request, count, tokens in rows:
        request.num_in_flight_tokens -= count
        if tokens:  # as `append`, without a call for each
            request._output_token_ids.extend(tokens)
            known = request._all_token_ids
            known.extend(tokens)
            if len(known) % size == 0:
                request.update_block_hashes()


def decoded_ahead(scheduler: Scheduler, rows: Iterable[Decoded]) -> None:
    """The same, of an asynchronous one."""
    cache = scheduler.kv_cache_manager.cache_blocks
    for row in rows:
        decoded(scheduler, (row,))
        request, _, tokens = row
        if tokens:
            request.num_output_placeholders -= 1
            cache(request, request.num_computed_tokens - request.num_output_placeholders)


def leading_decodes(scheduler: Scheduler) -> Sequence[Request]:
    """The running requests that come first and lack their next token alone, but the last of all.

    None where there may not be a free block for each running request that begins one, or no budget for each token.
    """
    running, size = scheduler.running, scheduler.block_size
    count = blocks = 0
    for request in running[:-1]:
        ahead, computed = request.num_output_placeholders, request.num_computed_tokens
        if (
            request.is_prefill_chunk
            or len(request._all_token_ids) + ahead - computed != 1
            or request.num_in_flight_tokens != ahead
            or request.num_stale_output_tokens
            # What is under way is its last token.
            or (ahead and computed + 2 - ahead >= request.num_prompt_tokens + request.max_tokens)
        ):
            break
        blocks += computed % size == 0
        count += 1
    for request in running[count:]:
        lacks = request.num_tokens + request.num_output_placeholders - request.num_computed_tokens
        blocks += min(lacks, scheduler.max_num_scheduled_tokens) // size + 2
    enough = blocks <= free_blocks(scheduler) and count <= scheduler.max_num_scheduled_tokens
    return running[:count] if enough else ()


def narrow(scheduler: Scheduler, requests: int) -> None:
    """Take the seats of so many running requests away, and a token of each from a step's budget. Negative: back."""
    scheduler.max_num_scheduled_tokens -= requests
    scheduler.max_num_running_reqs -= requests
    if hasattr(scheduler, "max_num_active_reqs"):  # 0.32
        scheduler.max_num_active_reqs -= requests


def scheduled_beside(scheduler: Scheduler, requests: Sequence[Request], output: SchedulerOutput) -> None:
    """A token of each of *requests*, which run, was scheduled in the step of *output*, before all others."""
    ahead = isinstance(scheduler, AsyncScheduler)
    for request in requests:
        begin_decode(request)
        request.num_output_placeholders += ahead
    names = [request.request_id for request in requests]
    output.num_scheduled_tokens = dict.fromkeys(names, 1) | output.num_scheduled_tokens
    output.total_num_scheduled_tokens += len(names)
    if not scheduler.use_v2_model_runner:
        scheduler.prev_step_scheduled_req_ids.update(names)


def may_end(request: Request | None, tokens: Sequence[int]) -> bool:
    """Whether a request isn't just one that goes on with *tokens* (one, or none in the middle of its prompt)."""
    return (
        request is None
        or request.status is not _RUNNING
        or request.num_stale_output_tokens > 0
        or (bool(tokens) and len(request._output_token_ids) + 1 >= request.max_tokens)
    )


def count_steps(scheduler: Scheduler, steps: int) -> None:
    """What is left in the scheduler by *steps* that scheduled one token of each running request, with none waiting."""
    scheduler.current_step += steps
    scheduler.finished_req_ids = set()
    scheduler.reset_preempted_req_ids = set()
    scheduler.prefill_capacity_bound = False
    if not scheduler.use_v2_model_runner:
        scheduler.prev_step_scheduled_req_ids = {request.request_id for request in scheduler.running}
