"""Whether an engine can swap, and the port to it where it can. Cheap to import: vLLM's offloading comes when used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.vllm.offload.config import CONNECTOR, MODULE

if TYPE_CHECKING:
    from engine_adapter.vllm.offload.port import SwapPort


def connect(scheduler: Scheduler) -> SwapPort | str:
    """The port of *scheduler*'s engine, or a sentence that says why it can't swap."""
    connector = scheduler.connector
    if connector is None:
        return "no host memory was given (lamps serve --swap-space GIB)"
    if type(connector).__module__ != MODULE:
        return f"the KV connector is {type(connector).__name__}, not lamps' {CONNECTOR}"
    if not scheduler.cache_config.enable_prefix_caching:
        return "prefix caching is off, so a copy could not be found again"
    groups = len(scheduler.kv_cache_config.kv_cache_groups)
    if groups != 1:
        return f"this model keeps its KV in {groups} groups of blocks, and swap works with one"
    if scheduler.hash_block_size != scheduler.block_size:
        return f"blocks of {scheduler.block_size} tokens are hashed in parts of {scheduler.hash_block_size}"
    from engine_adapter.vllm.offload.port import SwapPort

    port = SwapPort(connector, scheduler.block_size)
    return port if port.host_memory().total_tokens else "the host memory given is smaller than one block of KV"
