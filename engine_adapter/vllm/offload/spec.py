"""What vLLM's OffloadingConnector is told to use: our manager everywhere; vLLM's worker on GPUs, ours elsewhere."""

from __future__ import annotations

from vllm.platforms import current_platform
from vllm.v1.kv_offload.base import CanonicalKVCaches, OffloadingManager, OffloadingWorker
from vllm.v1.kv_offload.config import OffloadingConfig
from vllm.v1.kv_offload.cpu.spec import CPUOffloadingSpec

from engine_adapter.vllm.offload.manager import SwapManager
from engine_adapter.vllm.offload.worker import PortableWorker


class SwapSpec(CPUOffloadingSpec):
    """Sizes and shared host memory are as vLLM's own CPU spec has them (`cpu_bytes_to_use`).

    ValueError when blocks are to be joined into larger chunks: swap keeps and finds single blocks.
    """

    def __init__(self, config: OffloadingConfig) -> None:
        super().__init__(config)
        if self.blocks_per_chunk != 1:
            raise ValueError("lamps' swap moves single blocks: leave block_size and blocks_per_chunk out")
        self.offload_prompt_only = False  # a follow-up repeats the answer too
        self._swap_manager = SwapManager(self.num_chunks)
        self._portable: PortableWorker | None = None

    def get_manager(self) -> OffloadingManager:
        return self._swap_manager

    def get_worker(self, kv_caches: CanonicalKVCaches) -> OffloadingWorker:
        if not current_platform.is_cpu():
            return super().get_worker(kv_caches)
        if self._portable is None:
            self._portable = PortableWorker(kv_caches, self.num_chunks)
        return self._portable
