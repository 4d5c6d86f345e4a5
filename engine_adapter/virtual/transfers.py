"""The worker's side of vLLM's offloading in virtual time: KV moves at the profile's speed, beside the steps.

As on the server: what a step computed is stored from the end of that step on, loads begin with the step that asks for
them, each direction moves one thing after another, and a step that would write to blocks whose copy isn't made yet
waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
    OffloadingConnectorMetadata,
    OffloadingWorkerMetadata,
    TransferJob,
)
from vllm.v1.kv_offload.base import GPULoadStoreSpec
from vllm.v1.outputs import KVConnectorOutput


@dataclass(frozen=True, slots=True)
class _Moving:
    """A transfer under way. *request_id*: whose load it is, "" for a store."""

    moved_bytes: int
    began_s: float
    ends_s: float
    request_id: str


class Transfers:
    """*token_s*: to move one token's KV one way; blocks are of *block_tokens*, each token of *token_bytes*."""

    def __init__(self, token_s: float, block_tokens: int, token_bytes: int) -> None:
        self._block_s = token_s * block_tokens
        self._block_bytes = block_tokens * token_bytes
        self._moving: dict[int, _Moving] = {}
        self._free_s = {"out": 0.0, "in": 0.0}  # when each direction has done what it was given
        self._waiting: dict[int, TransferJob] = {}  # stores of the last step, which begin with the next one

    def __bool__(self) -> bool:
        """Whether anything is under way."""
        return bool(self._moving or self._waiting)

    def begin(self, meta: OffloadingConnectorMetadata, now: float) -> float:
        """A step begins at *now*; returns the instant from which it may compute."""
        flushed = meta.jobs_to_flush or set[int]()
        for job_id in flushed & meta.store_jobs.keys():
            self._waiting[job_id] = meta.store_jobs.pop(job_id)
        for job_id, job in self._waiting.items():
            self._move(job_id, job, "out", now)
        self._waiting = dict(meta.store_jobs)
        for job_id, job in meta.load_jobs.items():
            self._move(job_id, job, "in", now)
        return max([now, *(self._moving[i].ends_s for i in flushed if i in self._moving)])

    def next_end_s(self, now: float) -> float:
        """When the next transfer ends; *now* where one has only to begin."""
        return now if self._waiting else min(moving.ends_s for moving in self._moving.values())

    def ended(self, now: float) -> KVConnectorOutput | None:
        """What a worker says at the end of a step: transfers that have ended until *now*; None where none has."""
        done = {job_id: moving for job_id, moving in self._moving.items() if moving.ends_s <= now}
        if not done:
            return None
        meta = OffloadingWorkerMetadata()
        for job_id, moving in done.items():
            del self._moving[job_id]
            meta.mark_completed(job_id)
            stats = meta.transfer_stats.load if moving.request_id else meta.transfer_stats.store
            stats.record(moving.moved_bytes, moving.ends_s - moving.began_s)
        loaded = {moving.request_id for moving in done.values() if moving.request_id}
        return KVConnectorOutput(finished_recving=loaded or None, kv_connector_worker_meta=meta)

    def _move(self, job_id: int, job: TransferJob, direction: str, now: float) -> None:
        device = job.src_spec if direction == "out" else job.dst_spec
        assert isinstance(device, GPULoadStoreSpec)
        blocks = len(device.block_ids)
        began = max(now, self._free_s[direction])
        self._free_s[direction] = ends = began + blocks * self._block_s
        whose = job.req_id if direction == "in" else ""
        self._moving[job_id] = _Moving(blocks * self._block_bytes, began, ends, whose)
