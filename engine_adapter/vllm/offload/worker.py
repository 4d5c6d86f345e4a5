"""Moves KV blocks between the engine's tensors and host memory with plain torch: any device, no kernels of its own.

What vLLM has for this needs CUDA or XPU. Here one thread copies, job after job, while the model computes; the index
copies of torch let go of Python's lock meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from vllm.v1.kv_offload.base import (
    BlockIDsLoadStoreSpec,
    CanonicalKVCaches,
    GPULoadStoreSpec,
    LoadStoreSpec,
    OffloadingWorker,
    TransferResult,
)

Copy = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], None]


class PortableWorker(OffloadingWorker):
    """Copies whole blocks between *kv_caches* and as many host tensors, of *slots* rows each.

    The host tensors' pages are only had from the system as they are written to.
    """

    def __init__(self, kv_caches: CanonicalKVCaches, slots: int) -> None:
        self._device = [entry.tensor for entry in kv_caches.tensors]
        self._host = [torch.empty((slots, tensor.shape[1]), dtype=tensor.dtype) for tensor in self._device]
        # Of each group of layers, the tensors that its blocks lie in.
        self._groups = [sorted({ref.tensor_idx for ref in refs}) for refs in kv_caches.group_data_refs]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lamps-swap")
        self._jobs: dict[int, Future[TransferResult]] = {}

    def submit_store(self, job_id: int, src_spec: GPULoadStoreSpec, dst_spec: LoadStoreSpec) -> bool:
        """Begin to copy blocks to host memory."""
        return self._submit(job_id, src_spec, dst_spec, _to_host)

    def submit_load(self, job_id: int, src_spec: LoadStoreSpec, dst_spec: GPULoadStoreSpec) -> bool:
        """Begin to copy blocks back."""
        return self._submit(job_id, dst_spec, src_spec, _to_device)

    def get_finished(self) -> list[TransferResult]:
        """Jobs that have ended since this was last asked. Raises what a copy raised."""
        done = [job_id for job_id, job in self._jobs.items() if job.done()]
        return [self._jobs.pop(job_id).result() for job_id in done]

    def wait(self, job_ids: set[int]) -> None:
        """Return when none of these jobs runs any more; those that have been reported are none."""
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            if job is not None:
                job.exception()

    def shutdown(self) -> None:
        """Let the job under way end, begin no other."""
        self._thread.shutdown(cancel_futures=True)
        self._jobs.clear()

    def _submit(self, job_id: int, blocks: GPULoadStoreSpec, slots: LoadStoreSpec, copy: Copy) -> bool:
        assert isinstance(slots, BlockIDsLoadStoreSpec)
        sizes = blocks.group_sizes
        block_ids, slot_ids = torch.from_numpy(blocks.block_ids).long(), torch.from_numpy(slots.block_ids).long()
        self._jobs[job_id] = self._thread.submit(self._run, job_id, list(sizes), block_ids, slot_ids, copy)
        return True

    def _run(
        self, job_id: int, sizes: list[int], block_ids: torch.Tensor, slot_ids: torch.Tensor, copy: Copy
    ) -> TransferResult:
        began = time.perf_counter()
        moved_bytes = start = 0
        for tensors, size in zip(self._groups, sizes, strict=True):
            places = block_ids[start : start + size], slot_ids[start : start + size]
            start += size
            for index in tensors if size else ():
                copy(self._device[index], self._host[index], *places)
                moved_bytes += size * self._host[index].shape[1] * self._host[index].element_size()
        return TransferResult(job_id, True, moved_bytes, time.perf_counter() - began)


def _to_host(device: torch.Tensor, host: torch.Tensor, blocks: torch.Tensor, slots: torch.Tensor) -> None:
    host.index_copy_(0, slots, device.index_select(0, blocks.to(device.device)).to(host.device))


def _to_device(device: torch.Tensor, host: torch.Tensor, blocks: torch.Tensor, slots: torch.Tensor) -> None:
    device.index_copy_(0, blocks.to(device.device), host.index_select(0, slots).to(device.device))
