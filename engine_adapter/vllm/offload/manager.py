"""The side of vLLM's offloading that decides what lies in host memory: only what the runtime wants swapped.

vLLM offers every block that a running request has filled, and asks for every block that a waiting one could use. Of the
first this takes those of requests whose call will probably be swapped; to the second it answers from its account.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from vllm.v1.kv_offload.base import (
    LookupResult,
    OffloadingManager,
    OffloadKey,
    PrepareStoreOutput,
    ReqContext,
    RequestOffloadingContext,
    ScheduleEndContext,
)
from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec

from engine_adapter.vllm.offload.space import HostSpace, State

if TYPE_CHECKING:  # 0.32 has it and asks for it, 0.31 neither
    from vllm.v1.metrics.cache_hit_source import CacheHitSource

_ANSWERS = {
    State.MISSING: LookupResult.MISS,
    State.COMING: LookupResult.HIT_PENDING,
    State.READY: LookupResult.HIT,
}


class SwapManager(OffloadingManager):
    """Keeps the blocks of *slots* places by owner. Lives in the scheduler's process and thread.

    *foreseen*: owner of the blocks that a running request fills, by request id. *reset*: called when everything here
    was thrown away.
    """

    def __init__(self, slots: int) -> None:
        self.space = HostSpace(slots)
        self.foreseen: dict[str, str] = {}
        self.reset: Callable[[], None] = lambda: None

    def stop(self, owner: str) -> None:
        """Store no more for *owner*, a foreseen one, and give up what was stored."""
        for request_id in [name for name, foreseen in self.foreseen.items() if foreseen == owner]:
            del self.foreseen[request_id]
        self.space.drop(owner)

    # --- asked by vLLM's connector, within a step ------------------------------------------------

    def on_new_request(self, req_context: ReqContext) -> RequestOffloadingContext:
        return RequestOffloadingContext()

    def lookup(self, key: OffloadKey, req_context: ReqContext) -> LookupResult:
        return _ANSWERS[self.space.find(key)]

    def get_load_source(self, key: OffloadKey, req_context: ReqContext) -> CacheHitSource:
        from vllm.v1.metrics.cache_hit_source import CacheHitSource

        return CacheHitSource.HOST

    def prepare_load(self, keys: Collection[OffloadKey], req_context: ReqContext) -> CPULoadStoreSpec:
        return CPULoadStoreSpec(self.space.read(keys))

    def complete_load(self, keys: Collection[OffloadKey], req_context: ReqContext) -> None:
        self.space.read_done(keys)

    def prepare_store(self, keys: Collection[OffloadKey], req_context: ReqContext) -> PrepareStoreOutput:
        owner = self.foreseen.get(req_context.req_id)
        if owner is None:
            return PrepareStoreOutput([], CPULoadStoreSpec([]), [])
        offered = list(keys)
        fitting = self.space.fitting(offered)
        if fitting < len(offered):
            del self.foreseen[req_context.req_id]  # past a gap nothing can be loaded
        written = self.space.take(offered[:fitting], owner)
        return PrepareStoreOutput(
            [OffloadKey(key) for key, _ in written], CPULoadStoreSpec([s for _, s in written]), []
        )

    def complete_store(self, keys: Collection[OffloadKey], req_context: ReqContext, success: bool = True) -> None:
        # vLLM's connector reports no failures (0.32: "we currently do not support job failures").
        self.space.written(keys)

    def on_request_finished(self, req_context: ReqContext) -> None:
        self.foreseen.pop(req_context.req_id, None)

    def on_schedule_end(self, context: ScheduleEndContext) -> None:
        self.space.end_step()

    def reset_cache(self) -> None:
        self.space.clear()
        self.reset()
