"""What a vLLM engine's scheduler is made from, as plain values, so that its like can be built elsewhere without model.

Only what scheduling depends on is in it. Features whose effect isn't described are named by `beyond`. Seen to hold in
0.32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from vllm.config import VllmConfig
from vllm.v1 import kv_cache_interface
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import KVCacheConfig, KVCacheGroupSpec

Plain = bool | int | float | str | None
_CACHE = ("block_size", "enable_prefix_caching", "prefix_caching_hash_algo")
_PARALLEL = ("pipeline_parallel_size", "decode_context_parallel_size", "prefill_context_parallel_size")
# Attributes of a scheduler that say nothing about how it schedules.
_ASIDE = frozenset({"log_stats", "spec_decode_metrics_level", "block_size"})
_DTYPE = "torch."


def describe(scheduler: Scheduler) -> dict[str, Any]:
    """The shape of the engine around *scheduler*."""
    config = scheduler.vllm_config
    return {
        "async": isinstance(scheduler, AsyncScheduler),
        "max_model_len": scheduler.max_model_len,
        "block_size": scheduler.block_size,
        "hash_block_size": scheduler.hash_block_size,
        "blocks": scheduler.kv_cache_config.num_blocks,
        "groups": [
            {"layers": len(group.layer_names), "kind": type(group.kv_cache_spec).__name__, **_spec(group.kv_cache_spec)}
            for group in scheduler.kv_cache_config.kv_cache_groups
        ],
        "scheduler_config": _plain_fields(config.scheduler_config),
        "cache_config": {name: getattr(config.cache_config, name) for name in _CACHE},
        "parallel_config": {name: getattr(config.parallel_config, name, 1) for name in _PARALLEL},
        "scheduler": traits(scheduler),
    }


def traits(scheduler: Scheduler) -> dict[str, Plain]:
    """The plain attributes that vLLM gave its new scheduler: two that schedule alike have the same."""
    return {
        name: value
        for name, value in vars(scheduler).items()
        if not name.startswith("_") and name not in _ASIDE and isinstance(value, Plain)
    }


def beyond(scheduler: Scheduler) -> list[str]:
    """Features of this engine that change what is scheduled in ways that no description here holds."""
    config = scheduler.vllm_config
    found = {
        "a KV connector": config.kv_transfer_config is not None,
        "an encoder cache connector": config.ec_transfer_config is not None,
        "speculative decoding": config.speculative_config is not None,
        "an encoder-decoder model": scheduler.is_encoder_decoder,
        "a pooling model": config.model_config.runner_type == "pooling",
        "several data-parallel engines that share their prefills": scheduler.scheduler_config.prefill_schedule_interval
        > 1,
    }
    odd = [
        f"the KV cache of {type(group.kv_cache_spec).__name__}"
        for group in scheduler.kv_cache_config.kv_cache_groups
        if _spec(group.kv_cache_spec)["odd"]
    ]
    return [name for name, there in found.items() if there] + odd


def fit(config: VllmConfig, shape: Mapping[str, Any]) -> KVCacheConfig:
    """Give *config*, of a small engine, the limits of *shape*; returns the KV cache that goes with it.

    ValueError where this vLLM doesn't know a kind of KV cache.
    """
    # What the CPU platform would refuse at the start (asynchronous scheduling) is set like the rest, afterwards.
    for part in ("scheduler_config", "cache_config", "parallel_config"):
        for name, value in shape[part].items():
            if hasattr(getattr(config, part), name):
                setattr(getattr(config, part), name, value)
    config.cache_config.num_gpu_blocks = shape["blocks"]
    groups = [
        KVCacheGroupSpec([f"{place}.{layer}" for layer in range(group["layers"])], _spec_of(group))
        for place, group in enumerate(shape["groups"])
    ]
    return KVCacheConfig(num_blocks=shape["blocks"], kv_cache_tensors=[], kv_cache_groups=groups)


def differing(scheduler: Scheduler, shape: Mapping[str, Any]) -> list[str]:
    """The traits in which *scheduler*, just built, is not the one that was described."""
    mine = traits(scheduler)
    return [name for name, value in shape["scheduler"].items() if name in mine and mine[name] != value]


def _plain_fields(config: Any) -> dict[str, Plain]:
    values = {field.name: getattr(config, field.name, None) for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if isinstance(value, Plain) and name != "scheduler_cls"}


def _spec(spec: Any) -> dict[str, Any]:
    """The fields of a KV cache spec that aren't its defaults; *odd*: whether some can't be written down."""
    fields: dict[str, Any] = {}
    odd = False
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if value == field.default:
            continue
        if isinstance(value, torch.dtype):
            value = str(value)
        fields[field.name] = value
        odd |= not isinstance(value, Plain)
    return {"fields": {name: value for name, value in fields.items() if isinstance(value, Plain)}, "odd": odd}


def _spec_of(group: Mapping[str, Any]) -> Any:
    kind = getattr(kv_cache_interface, group["kind"], None)
    if kind is None:
        raise ValueError(f"this vLLM has no KV cache of the kind {group['kind']}")
    return kind(
        **{
            name: getattr(torch, value.removeprefix(_DTYPE)) if str(value).startswith(_DTYPE) else value
            for name, value in group["fields"].items()
        }
    )
