"""vLLM's scheduler and KV manager without model, weights or server, as a profile describes the engine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from vllm.config import CacheConfig, DeviceConfig, KVTransferConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.structured_output import StructuredOutputManager

from engine_adapter.virtual.beside import DecodesBeside
from engine_adapter.virtual.profile import Profile
from engine_adapter.vllm.offload.config import kv_transfer_config
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler

# Policies that are none: vLLM as it is, with its prefix cache and without.
STOCK = "stock"
STOCK_NO_CACHE = "stock-no-cache"
# The smallest model that vLLM's configuration believes in; nothing of it is ever computed.
_MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 32_000,
    "torch_dtype": "float32",
}


def vllm_config(profile: Profile, lamps: Mapping[str, Any] | None = None, caching: bool = True) -> VllmConfig:
    """vLLM's configuration of such an engine; *lamps* is what `--additional-config` would say under that key.

    With it the engine swaps, where *profile* has host memory to swap to.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(
            json.dumps({**_MODEL, "max_position_embeddings": profile.max_model_len})
        )
        model = ModelConfig(
            model=folder, skip_tokenizer_init=True, dtype="float32", max_model_len=profile.max_model_len
        )
        cache = CacheConfig(block_size=profile.block_size, enable_prefix_caching=caching)
        cache.num_gpu_blocks = profile.blocks + 1  # one is vLLM's null block
        limits = SchedulerConfig(
            max_num_seqs=profile.max_num_seqs,
            max_num_batched_tokens=profile.max_num_batched_tokens,
            max_model_len=profile.max_model_len,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
            async_scheduling=False,  # the CPU platform refuses it; the base class is chosen here instead
        )
        swap = None
        if lamps is not None and profile.host_bytes is not None:
            swap = KVTransferConfig(**kv_transfer_config(int(profile.host_bytes)))
        return VllmConfig(
            kv_transfer_config=swap,
            model_config=model,
            cache_config=cache,
            scheduler_config=limits,
            device_config=DeviceConfig("cpu"),
            additional_config={"lamps": dict(lamps or {})},
        )


def make_scheduler(cls: type[Scheduler], config: VllmConfig, token_bytes: int = 256) -> Scheduler:
    """A scheduler of class *cls* over one group of full-attention KV blocks. *token_bytes*: a multiple of four."""
    block_size, blocks = config.cache_config.block_size, config.cache_config.num_gpu_blocks
    # One key and one value of two bytes a number: the page is as large as the profile says.
    spec = FullAttentionSpec(block_size=block_size, num_kv_heads=1, head_size=token_bytes // 4, dtype=torch.bfloat16)
    kv = KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
    return cls(config, kv, StructuredOutputManager(config), block_size=block_size, log_stats=False)


def timed(cls: type[Scheduler], clock: Callable[[], float]) -> type[Scheduler]:
    """A lamps scheduler class that reads *clock* instead of the machine's."""
    return type(cls.__name__, (cls,), {"clock": staticmethod(clock), "in_real_time": False})


def scheduler_for(
    profile: Profile,
    policy: str,
    params: Mapping[str, float],
    clock: Callable[[], float],
    predictor: Path | None = None,
) -> Scheduler:
    """The scheduler of *profile* under *policy*: a name, a file, `STOCK` or `STOCK_NO_CACHE`.
    *predictor*: the file of a trained model, which is asked at once.

    Raises what `runtime.activation.load_policy` does for a policy that can't be used.
    """
    ahead = profile.async_scheduling
    if policy in (STOCK, STOCK_NO_CACHE):
        config = vllm_config(profile, caching=policy == STOCK)
        return make_scheduler(_beside(AsyncScheduler if ahead else Scheduler), config, profile.token_bytes)
    lamps = {"policy": policy, "params": dict(params), "predictor": None if predictor is None else str(predictor)}
    config = vllm_config(profile, lamps)
    cls = timed(_beside(AsyncLampsScheduler if ahead else LampsScheduler), clock)
    return make_scheduler(cls, config, profile.token_bytes)


def _beside(cls: type[Scheduler]) -> type[Scheduler]:
    """*cls* with `DecodesBeside` between it and vLLM's own `schedule()`."""
    return DecodesBeside if cls is Scheduler else type(cls.__name__, (cls, DecodesBeside), {})
