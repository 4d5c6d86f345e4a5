"""Starts vLLM's OpenAI server with a policy: checks what can be checked before vLLM is imported, then hands over.

Importing vLLM takes seconds and loading a model takes longer, so what would fail late is found first. What vLLM itself
finds wrong is told in one sentence where the cause is known, with its whole log where it isn't.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine_adapter.runtime.folders import cache_folder
from engine_adapter.vllm import compat_api, models
from engine_adapter.vllm.causes import explained
from engine_adapter.vllm.checks import (
    check_decisions,
    check_engine,
    check_port,
    check_record,
    check_swap,
    resolve_model,
)
from engine_adapter.vllm.offload import config as swap
from engine_adapter.vllm.plan import LaunchError, Plan
from engine_adapter.vllm.ready import announce_when_ready
from engine_adapter.vllm.startlog import StartLog, kept_back

DEFAULT_MODEL = "smollm2"
# The CPU build's own default is 128 tokens a block: prompts shorter than that share nothing, and a session's last
# turn is found by its full blocks only. 32 is the smallest that the CPU attention kernels take.
CPU_BLOCK_SIZE = 32
# GiB of KV cache for an embedded model: 46,000 tokens of SmolLM2 in bf16, five full contexts.
EMBEDDED_KV_GIB = "1"


def serve(plan: Plan) -> None:
    """Serve *plan* until stopped. LaunchError when it can't start; SystemExit 2 for a flag that vLLM doesn't know."""
    check_engine()
    check_port(plan.host, plan.port, plan.flags)
    check_swap(plan)
    check_record(plan.record)
    check_decisions(plan)
    name = plan.model or DEFAULT_MODEL
    folder = resolve_model(name)
    os.environ.update(environment(plan, folder))
    verbose = "VLLM_LOGGING_LEVEL" in os.environ
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    started = time.monotonic()
    with kept_back(echo=verbose) as log:
        log.say(f"lamps: starting vLLM {_release()} with {name} ...")
        args = _parsed(plan, name, folder, log)
        if not args.headless and not args.uds:
            announce_when_ready(plan, args, log, started, name)
        try:
            compat_api.serve(args)
        except SystemExit as leaving:
            if leaving.code not in (0, None):
                raise explained(leaving, log) from leaving
        except Exception as failure:
            raise explained(failure, log) from failure


def environment(plan: Plan, folder: Path | None) -> dict[str, str]:
    """Variables for vLLM and its child processes; what the user has set stays, but for the plug-in list."""
    wanted = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if folder is not None:
        wanted["HF_HUB_OFFLINE"] = "1"
        if folder.parent == cache_folder() / "models":
            wanted["VLLM_CPU_KVCACHE_SPACE"] = EMBEDDED_KV_GIB
    values = {name: value for name, value in wanted.items() if name not in os.environ}
    if plan.policy is not None:
        values["VLLM_PLUGINS"] = compat_api.allowed_plugins(os.environ.get("VLLM_PLUGINS"))
    return values


def merged_config(plan: Plan, given: Any) -> Any:
    """vLLM's additional config with our settings in it. The user's own keys stay, under "lamps" too."""
    if plan.policy is None:
        return given
    if not isinstance(given, dict):
        raise LaunchError("--additional-config must be a JSON object for lamps to add its settings to")
    settings = {
        "policy": str(plan.policy.path),
        "store": str(plan.store) if plan.store else None,
        "params": dict(plan.policy.params),
        **({"record": str(plan.record)} if plan.record else {}),
        **({"decisions": str(plan.decisions)} if plan.decisions else {}),
        **({"predictor": str(plan.predictor)} if plan.predictor else {}),
        **({"profile": plan.profile} if plan.profile else {}),
    }
    return {**given, "lamps": {**settings, **given.get("lamps", {})}}


def _parsed(plan: Plan, name: str, folder: Path | None, log: StartLog) -> Namespace:
    """vLLM's arguments. What its parser prints (help, its errors) is the user's to see."""
    try:
        args = compat_api.parse_serve_args(plan.flags, *_defaults(plan, name, folder))
    except SystemExit:
        log.show()
        raise
    except (ValueError, TypeError, KeyError, AssertionError, OSError) as problem:
        raise LaunchError(f"vLLM refuses the flags: {problem}") from problem
    if args.model_tag is not None or args.model != str(folder or name):
        raise LaunchError(
            f"the model {args.model_tag or args.model} stands among vLLM's flags",
            "name it first, as in `lamps serve MODEL --flag ...`, or with --model",
        )
    args.additional_config = merged_config(plan, args.additional_config)
    if plan.swap_gib:
        args.kv_transfer_config = compat_api.kv_transfer(swap.kv_transfer_config(int(plan.swap_gib * swap.GIB)))
    return args


def _defaults(plan: Plan, name: str, folder: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Defaults in place of vLLM's, for every platform and for the CPU. Any flag wins over them."""
    common: dict[str, Any] = {"model": str(folder or name), "host": plan.host, "port": plan.port}
    if "VLLM_LOGGING_LEVEL" not in os.environ or os.environ["VLLM_LOGGING_LEVEL"] == "WARNING":
        common["uvicorn_log_level"] = "warning"
    if plan.policy is not None:
        common["scheduler_cls"] = compat_api.SCHEDULER
    if name in models.BUILDERS:
        common |= {"served_model_name": [name], "enable_auto_tool_choice": True, "tool_call_parser": "hermes"}
        # Unless its arguments are held to their schema, a model of this size makes up its own and never stops.
        common["tool_strict_level"] = "parameter"
    # Compiling takes minutes on a CPU and wins little at these sizes.
    return common, {"enforce_eager": True, "block_size": CPU_BLOCK_SIZE}


def _release() -> str:
    found = compat_api.installed_vllm()
    return found.version if found else ""
