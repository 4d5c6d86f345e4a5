"""vLLM's OffloadingConnector, which also stores blocks of turns that have ended.

vLLM offers a request's blocks for storing while it runs and once when it ends; what happens to them is often decided
after that, when the API side has said how the turn ended. `swap_out` takes blocks then. Their transfer goes to the
workers beside vLLM's own, under a number of the same sequence, and is fenced as vLLM's are: should a block be given to
another request, the step that writes to it first waits for the copy.

Reaches into the connector's scheduler side (`_req_status`, `_generate_job_id`, `_block_id_to_pending_jobs`,
`_remove_pending_job`, `config.num_workers`), as seen in 0.31 and 0.32; tests/swap/test_swap.py is the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vllm.config import VllmConfig
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorMetadata, KVConnectorRole
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
    OffloadingConnectorMetadata,
    OffloadingWorkerMetadata,
    TransferJob,
)
from vllm.distributed.kv_transfer.kv_connector.v1.offloading_connector import OffloadingConnector
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.kv_cache_interface import KVCacheConfig
from vllm.v1.kv_offload.base import GPULoadStoreSpec
from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec
from vllm.v1.outputs import KVConnectorOutput

from engine_adapter.vllm.offload.manager import SwapManager

# Bytes and seconds of the transfers out of the engine, and of those into it, that ended in a step.
Transferred = Callable[[tuple[int, float], tuple[int, float]], None]


@dataclass(slots=True)
class _Job:
    """A store of our own: blocks by their keys, and workers that have yet to report it."""

    keys: list[bytes]
    block_ids: list[int]
    waiting_for: int


class SwapConnector(OffloadingConnector):
    """*transferred* is told of transfers that have ended, on the scheduler's side."""

    def __init__(self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self.transferred: Transferred = lambda out, back: None
        self._jobs: dict[int, _Job] = {}
        self._unsent: dict[int, TransferJob] = {}

    @property
    def manager(self) -> SwapManager:
        """Ours, on the scheduler's side. TypeError where the connector was configured with another spec."""
        manager = self.scheduler.manager
        if not isinstance(manager, SwapManager):
            raise TypeError(f"SwapConnector needs SwapSpec, not a spec with {type(manager).__name__}")
        return manager

    def swap_out(self, blocks: Sequence[tuple[bytes, int, int]]) -> None:
        """Copy *blocks*, as (key, block id, slot), with the next step. Slots are the manager's, taken already."""
        scheduler = self.scheduler
        keys, block_ids, slots = (list(column) for column in zip(*blocks, strict=True))
        job_id = scheduler._generate_job_id()
        self._jobs[job_id] = _Job(keys, block_ids, scheduler.config.num_workers)
        self._unsent[job_id] = TransferJob(
            req_id=f"lamps-swap-{job_id}",
            src_spec=GPULoadStoreSpec(block_ids, group_sizes=[len(block_ids)], block_indices=[0]),
            dst_spec=CPULoadStoreSpec(slots),
        )
        for block_id in block_ids:
            scheduler._block_id_to_pending_jobs.setdefault(block_id, set()).add(job_id)

    def offer_again(self, request_id: str) -> None:
        """Have vLLM offer all blocks of a running request for storing, those too that nobody wanted when they came."""
        status = self.scheduler._req_status.get(request_id)
        for group in status.group_states if status is not None else ():
            group.next_stored_chunk_idx = 0

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KVConnectorMetadata:
        meta = super().build_connector_meta(scheduler_output)
        assert isinstance(meta, OffloadingConnectorMetadata)
        meta.store_jobs.update(self._unsent)
        self._unsent.clear()
        return meta

    def update_connector_output(self, connector_output: KVConnectorOutput) -> None:
        meta = connector_output.kv_connector_worker_meta
        if isinstance(meta, OffloadingWorkerMetadata):
            for job_id in [i for i in meta.completed_jobs if i in self._jobs]:
                self._reported(job_id, meta.completed_jobs.pop(job_id))
            stats = meta.transfer_stats
            if not stats.is_empty():
                self.transferred((stats.store.bytes, stats.store.time), (stats.load.bytes, stats.load.time))
        super().update_connector_output(connector_output)

    def has_pending_push_work(self) -> bool:
        """Whether steps must go on for transfers alone, or for what there is to tell of them."""
        return bool(self._jobs) or self.manager.space.has_news or super().has_pending_push_work()

    def reset_cache(self) -> bool | None:
        self._jobs.clear()
        self._unsent.clear()
        return super().reset_cache()

    def _reported(self, job_id: int, workers: int) -> None:
        job = self._jobs[job_id]
        job.waiting_for -= workers
        if job.waiting_for > 0:
            return
        del self._jobs[job_id]
        self.scheduler._remove_pending_job(job_id, job.block_ids)
        self.manager.space.written(job.keys)
