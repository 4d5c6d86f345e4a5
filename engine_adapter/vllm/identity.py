"""What an engine is, as far as the times of its steps depend on it, and its limits: for profiles.

Names of vLLM's configuration were seen in 0.31 and 0.32; one that is missing leaves its word out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.runtime.processor import processor
from engine_adapter.vllm import internals
from engine_adapter.vllm.compat_api import installed_vllm


def identity(scheduler: Scheduler) -> dict[str, str]:
    """In words: a profile of an engine with other words is of another engine."""
    config = scheduler.vllm_config
    model, parallel = config.model_config, config.parallel_config
    found = installed_vllm()
    return {
        "model": str(getattr(model, "served_model_name", None) or model.model),
        "device": device(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": str(getattr(model, "quantization", None) or "none"),
        "parallel": f"{getattr(parallel, 'tensor_parallel_size', 1)}x{getattr(parallel, 'pipeline_parallel_size', 1)}",
        "graphs": "no" if getattr(model, "enforce_eager", False) else "yes",
        "vllm": f"{found.distribution} {found.version}" if found else "",
    }


def about(scheduler: Scheduler) -> dict[str, Any]:
    """What a profile says of an engine beside its times."""
    facts = internals.facts_of(scheduler)
    return {
        "identity": identity(scheduler),
        "block_size": facts.block_size,
        "token_bytes": round(facts.token_bytes),
        "kv_blocks": facts.kv_total_tokens // facts.block_size,
        "max_num_seqs": facts.seats,
        "max_num_batched_tokens": facts.chunk_tokens,
        "max_model_len": scheduler.max_model_len,
        "async_scheduling": isinstance(scheduler, AsyncScheduler),
    }


@cache
def device() -> str:
    """The device's name; of a processor its model and how many cores the machine has (which of them this process may
    use changes while it starts)."""
    from vllm.platforms import current_platform

    name = ""
    with suppress(Exception):  # a platform that doesn't say
        name = str(current_platform.get_device_name())
    if name and name != "cpu":
        return name
    return f"{processor()}, {os.cpu_count()} cores"
