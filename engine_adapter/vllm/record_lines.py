"""An engine and its requests in the words of a step record."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vllm.v1.request import Request, RequestStatus

from engine_adapter.control import step_record as record
from engine_adapter.vllm import shape
from engine_adapter.vllm.compat_api import installed_vllm

AWAITS_GRAMMAR = RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR


def header(scheduler: Any) -> record.Header:
    """The first line of a record that begins now."""
    runtime = scheduler.lamps
    policy = runtime.policy
    found = installed_vllm()
    return record.Header(
        lamps_record=record.VERSION,
        lamps=_lamps_version(),
        vllm=f"{found.distribution} {found.version}" if found else "",
        policy=record.Policy(policy.name, policy.revision, policy.text, dict(policy.params)),
        engine=shape.describe(scheduler),
        costs=runtime.costs.beginning(),
        learned=record.rows_of(runtime.expecting.predictor.state()),
        beyond=[
            *shape.beyond(scheduler),
            *(["a trained predictor"] if runtime.expecting.foretelling is not None else []),
        ],
    )


def added(request: Request) -> record.Add:
    """What a scheduler needs of *request*; of what its client said, only what lamps reads."""
    params = request.sampling_params
    assert params is not None
    repeats = params.repetition_detection
    told = {k: v for k, v in (params.extra_args or {}).items() if k == "session_id" or k.startswith("lamps_")}
    return record.Add(
        id=request.request_id,
        prompt=list(request.prompt_token_ids or ()),
        max_tokens=request.max_tokens,
        min_tokens=params.min_tokens,
        stop=list(params.stop_token_ids or ()),
        eos=params.eos_token_id,
        repetition=(repeats.max_pattern_size, repeats.min_pattern_size, repeats.min_count) if repeats else None,
        priority=request.priority,
        arrival=request.arrival_time,
        session=request.session_id,
        told=json.dumps(told, default=repr),
        salt=hashlib.sha256(request.cache_salt.encode()).hexdigest() if request.cache_salt else None,
        skip_cache=request.skip_reading_prefix_cache,
        ignore_eos=params.ignore_eos,
        grammar=request.status is AWAITS_GRAMMAR,
    )


def strange(request: Request) -> str:
    """What about *request* a record can't hold; "" where nothing is."""
    found = {
        "images or sounds in a prompt": bool(request.mm_features),
        "a prompt of embeddings": request.prompt_token_ids is None or request.prompt_embeds is not None,
        "a LoRA adapter": request.lora_request is not None,
        "a pooling request": request.sampling_params is None,
        "a streaming session": request.resumable,
        "a KV transfer": request.kv_transfer_params is not None,
    }
    return next((name for name, there in found.items() if there), "")


def _lamps_version() -> str:
    try:
        return version("vllm-lamps")
    except PackageNotFoundError:
        return ""
