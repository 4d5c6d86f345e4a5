"""A stepped engine with a device whose KV can be checked: every slot holds the token that was computed there.

The worker's side is vLLM's own, with our portable worker in it, which here copies as late as it may: a job runs when
somebody waits for it, or when chance says so, each direction in its own order. What is read too late, or from a block
that was given away, shows as a wrong token.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from vllm.config import KVTransferConfig
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.worker import OffloadingConnectorWorker
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_offload.base import CanonicalKVCacheRef, CanonicalKVCaches, CanonicalKVCacheTensor, TransferResult
from vllm.v1.outputs import KVConnectorOutput, ModelRunnerOutput
from vllm.v1.request import Request

from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.offload.config import kv_transfer_config
from engine_adapter.vllm.offload.connector import SwapConnector
from engine_adapter.vllm.offload.worker import PortableWorker
from tests.engine.stepping import BLOCK, Clock, Stepper, vllm_config

TOKEN_BYTES = 256
_BLOCK_BYTES = BLOCK * TOKEN_BYTES


class LateWorker(PortableWorker):
    """Copies as late as *chance* allows; without one, only when somebody waits for it."""

    def __init__(self, kv_caches: CanonicalKVCaches, slots: int, chance: random.Random) -> None:
        super().__init__(kv_caches, slots)
        self.chance: random.Random | None = chance
        self._held: dict[Any, list[tuple[int, Any]]] = {}
        self._results: list[TransferResult] = []

    def _submit(self, job_id: int, blocks: Any, slots: Any, copy: Any) -> bool:
        ids = torch.from_numpy(blocks.block_ids).long(), torch.from_numpy(slots.block_ids).long()
        sizes = list(blocks.group_sizes)
        self._held.setdefault(copy, []).append((job_id, lambda: self._run(job_id, sizes, *ids, copy)))
        return True

    def _first(self, queue: list[tuple[int, Any]]) -> None:
        self._results.append(queue.pop(0)[1]())

    def wait(self, job_ids: set[int]) -> None:
        for queue in self._held.values():
            while any(job_id in job_ids for job_id, _ in queue):
                self._first(queue)

    def get_finished(self) -> list[TransferResult]:
        for queue in self._held.values():
            while queue and self.chance is not None and self.chance.random() < 0.4:
                self._first(queue)
        done, self._results = self._results, []
        return done


class SwapStepper(Stepper):
    """A `Stepper` with host memory of *host_blocks*, whose KV is checked at every step."""

    def __init__(self, scheduler: Scheduler, clock: Clock, host_blocks: int, seed: int) -> None:
        super().__init__(scheduler, clock)
        connector = SwapConnector(scheduler.vllm_config, KVConnectorRole.WORKER, scheduler.kv_cache_config)
        worker = connector.connector_worker
        assert isinstance(worker, OffloadingConnectorWorker)
        self.worker = worker
        pages = torch.zeros((scheduler.kv_cache_config.num_blocks, _BLOCK_BYTES), dtype=torch.int8)
        self._slots = pages.view(torch.int32).view(-1, TOKEN_BYTES // 4)  # one row for each token
        caches = CanonicalKVCaches(
            [CanonicalKVCacheTensor(pages, _BLOCK_BYTES)], [[CanonicalKVCacheRef(0, _BLOCK_BYTES)]]
        )
        worker.worker = LateWorker(caches, host_blocks, random.Random(seed))
        self.checked = 0

    def copy_only_when_waited_for(self) -> None:
        """From now on no transfer ends by itself."""
        assert isinstance(self.worker.worker, LateWorker)
        self.worker.worker.chance = None

    def copy_soon(self, seed: int = 0) -> None:
        """From now on transfers end by chance again."""
        assert isinstance(self.worker.worker, LateWorker)
        self.worker.worker.chance = random.Random(seed)

    @property
    def host_blocks(self) -> int:
        return self.scheduler.lamps_swap.host_blocks

    def _schedule(self) -> tuple[Any, ModelRunnerOutput]:
        output, answer = super()._schedule()
        meta = output.kv_connector_metadata
        self.worker.handle_preemptions(meta)
        for name, count in output.num_scheduled_tokens.items():
            self._compute(self.scheduler.requests[name], count)
        self.worker.start_kv_transfers(meta)
        self.worker.prepare_store_kv(meta)
        _, loaded = self.worker.get_finished(set())
        answer.kv_connector_output = KVConnectorOutput(
            finished_recving=loaded or None, kv_connector_worker_meta=self.worker.build_connector_worker_meta()
        )
        return output, answer

    def _compute(self, request: Request, count: int) -> None:
        """Write the tokens of this step; everything before them must be there."""
        end = request.num_computed_tokens  # of this step's tokens the last but one: vLLM has counted them
        prompt = request.prompt_token_ids or []
        known = torch.tensor([*prompt, *range(7, 7 + max(end - len(prompt), 0))][:end], dtype=torch.int32)
        (block_ids,) = self.scheduler.kv_cache_manager.get_block_ids(request.request_id)
        places = torch.arange(end)
        slots = torch.tensor(block_ids)[places // BLOCK] * BLOCK + places % BLOCK
        begin = end - count
        there = self._slots[slots[:begin], 0]
        assert torch.equal(there, known[:begin]), f"{request.request_id} reads what isn't its own"
        self.checked += begin
        self._slots[slots[begin:]] = known[begin:, None]

    def drain(self) -> None:
        """Step until nothing is left to compute or to move."""
        self.run()
        for _ in range(10_000):
            if self.scheduler.has_requests():
                self.step()
            elif self._in_flight:
                self._finish(*self._in_flight.pop(0))
            else:
                return
        raise AssertionError("transfers never end")


def swapping(policy: str, base: type[Scheduler], blocks: int = 40, host_blocks: int = 60, seed: int = 0) -> SwapStepper:
    """An engine of *blocks* KV blocks (one is vLLM's) and *host_blocks* on the host."""
    clock = Clock()
    config = vllm_config(blocks, 4, {"policy": policy})
    config.kv_transfer_config = KVTransferConfig(**kv_transfer_config(host_blocks * _BLOCK_BYTES))
    return SwapStepper(make_scheduler(timed(base, clock), config, TOKEN_BYTES), clock, host_blocks, seed)
