"""Starts vLLM's OpenAI server with a policy: checks what can be checked before vLLM is imported, then hands over.

Importing vLLM takes seconds and loading a model takes longer, so what would fail late is found first. What vLLM itself
finds wrong is told in one sentence where the cause is known, with its whole log where it isn't.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_adapter.runtime.folders import cache_folder
from engine_adapter.vllm import compat_api, models
from engine_adapter.vllm.filewatch import FileWatch, sender
from engine_adapter.vllm.offload import config as swap
from engine_adapter.vllm.startlog import StartLog, kept_back

DEFAULT_MODEL = "smollm2"
READY_POLL_S = 0.25
# The CPU build's own default is 128 tokens a block: prompts shorter than that share nothing, and a session's last
# turn is found by its full blocks only. 32 is the smallest that the CPU attention kernels take.
CPU_BLOCK_SIZE = 32
# GiB of KV cache for an embedded model: 46,000 tokens of SmolLM2 in bf16, five full contexts.
EMBEDDED_KV_GIB = "1"


class LaunchError(Exception):
    """The server can't start: *message* says why in one sentence, *hint* what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file that was checked: what goes to the engine and what is told to the user."""

    path: Path
    name: str
    revision: str
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """The policy's file is watched. *params*: those that the user gave, which a reload keeps."""

    params: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve. *policy* None is vLLM as it is; *flags* go to vLLM's own parser, unread.

    *swap_gib*: host memory for swapped KV, of each engine; 0 for none.
    *record*: a new file for a record of all steps, or None. *decisions*: the decision log, or None.
    *watch*: the policy is reloaded when its file changes; None: it isn't.
    """

    policy: Policy | None
    model: str | None
    host: str
    port: int
    store: Path | None
    flags: tuple[str, ...] = ()
    swap_gib: float = 0.0
    record: Path | None = None
    decisions: Path | None = None
    watch: Watched | None = None


# What vLLM logs -> what it means, what to do. Groups fill the sentence.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"max seq len \((\d+)\), \(([\d.]+) GiB KV cache is needed.*?memory \(([\d.]+) GiB\)"
        r"(?:.*?maximum model length is (\d+))?",
        "the KV cache has no room for one request of {0} tokens: it takes {1} GiB, there are {2} GiB",
        "give it more memory with VLLM_CPU_KVCACHE_SPACE=GIB (on GPUs --gpu-memory-utilization) "
        "or more blocks with --num-gpu-blocks-override, or shorten requests with --max-model-len{3}",
    ),
    (
        r"No available memory for the cache blocks",
        "there is no memory left for the KV cache",
        "give it more with VLLM_CPU_KVCACHE_SPACE=GIB (on GPUs --gpu-memory-utilization)",
    ),
    (
        r"(?:OSError|ValueError): .*?(\S+) is not a local folder and is not a valid model identifier",
        "there is no model {0!r}, neither a folder here nor a name on the hub",
        "check the spelling, or give the path of a folder",
    ),
    (
        r"(?:LocalEntryNotFoundError|We couldn't connect to 'https://huggingface\.co'|Failed to resolve 'huggingface)",
        "the model is not on this machine and the hub can't be reached",
        "give the path of a model folder, or leave --model out to serve the embedded SmolLM2",
    ),
    (
        r"Address already in use",
        "the port was taken while the model was loading",
        "choose another with --port",
    ),
)


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
            _announce_when_ready(plan, args, log, started, name)
        try:
            compat_api.serve(args)
        except SystemExit as leaving:
            if leaving.code not in (0, None):
                raise _explained(leaving, log) from leaving
        except Exception as failure:
            raise _explained(failure, log) from failure


def check_engine() -> None:
    """LaunchError unless a supported vLLM is installed."""
    found = compat_api.installed_vllm()
    releases = " and ".join(compat_api.SUPPORTED)
    if found is None:
        raise LaunchError(
            "vLLM is not installed in this environment",
            "`make setup` installs its CPU build; beside a GPU: pip install 'vllm-lamps[engine]'",
        )
    if not found.supported:
        raise LaunchError(
            f"{found.distribution} {found.version} is installed; this lamps works with vLLM {releases}",
            f"pip install '{found.distribution}~={compat_api.SUPPORTED[-1]}.0'",
        )


def check_port(host: str, port: int, flags: tuple[str, ...]) -> None:
    """LaunchError when *port* can't be had on *host*. A server without one (a Unix socket, headless) needs none."""
    if any(flag.partition("=")[0] in {"--uds", "--headless"} for flag in flags):
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as problem:
        raise LaunchError(f"there is no host {host!r}", "127.0.0.1 is this machine, 0.0.0.0 all networks") from problem
    except PermissionError as problem:
        raise LaunchError(f"port {port} needs more rights than you have", "choose one above 1023") from problem
    except OSError as problem:
        raise LaunchError(
            f"port {port} on {host} is taken", f"stop what listens there, or choose another: --port {port + 1}"
        ) from problem


def check_swap(plan: Plan) -> None:
    """LaunchError for host memory that can't be used, or that this machine doesn't have."""
    if not plan.swap_gib:
        return
    if plan.policy is None:
        raise LaunchError("vLLM's own scheduler swaps nothing: --swap-space needs a policy")
    for flag in plan.flags:
        if flag.partition("=")[0] in {"--kv-transfer-config", "--kv-offloading-size", "--kv-offloading-backend"}:
            raise LaunchError(
                f"--swap-space and {flag.partition('=')[0]} both say where KV is moved to",
                "leave one out: an engine has one KV connector",
            )
    if found := swap.problem(int(plan.swap_gib * swap.GIB)):
        raise LaunchError(*found)


def check_decisions(plan: Plan) -> None:
    """LaunchError for a decision log that can't be written."""
    if plan.decisions is None:
        return
    if plan.policy is None:
        raise LaunchError("vLLM's own scheduler logs no decisions: --decisions needs a policy")
    try:
        plan.decisions.parent.mkdir(parents=True, exist_ok=True)
        plan.decisions.open("ab").close()
    except OSError as problem:
        raise LaunchError(f"decisions can't be logged to {plan.decisions}: {problem.strerror}") from problem


def check_record(path: Path | None) -> None:
    """LaunchError unless a new file can be made at *path*."""
    if path is None:
        return
    if path.exists() or path.is_symlink():
        raise LaunchError(f"{path} exists: a record is never written over another file", "choose another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise LaunchError(f"{path} can't be made: there is no folder {path.parent} that may be written to")


def resolve_model(name: str) -> Path | None:
    """The local folder of *name*, or None for a name on the hub. Embedded models are built on first use."""
    if name in models.BUILDERS:
        try:
            return models.embedded(name)
        except models.ModelUnavailable as problem:
            raise LaunchError(str(problem)) from problem
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file() and not any(path.glob("*.gguf")):
            raise LaunchError(f"{name} holds no model: there is no config.json in it")
        return path.resolve()
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        embedded = " and ".join(models.BUILDERS)
        raise LaunchError(f"there is no model folder {name}", f"embedded models that need no folder: {embedded}")
    return None


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


def _announce_when_ready(plan: Plan, args: Namespace, log: StartLog, started: float, name: str) -> None:
    """Say so, once, when the server answers; from a daemon thread, since vLLM keeps this one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(args.host, args.host)
    scheme = "https" if args.ssl_certfile else "http"
    url = f"{scheme}://[{args.host}]:{args.port}" if ":" in args.host else f"{scheme}://{args.host}:{args.port}"

    def watch() -> None:
        while not _is_healthy(scheme, host, args.port):
            time.sleep(READY_POLL_S)
        by = f"policy {plan.policy.name} (revision {plan.policy.revision})" if plan.policy else "vLLM's own scheduler"
        took = time.monotonic() - started
        log.release()
        log.say(f"lamps: {name} with {by} on {url}/v1, ready after {took:.0f} s")
        if plan.policy is not None and plan.watch is not None:
            near = f"{scheme}://[{host}]:{args.port}" if ":" in host else f"{scheme}://{host}:{args.port}"
            key = next(iter(compat_api.api_keys(args)), None)
            path = plan.policy.path
            FileWatch(path, sender(near, path, plan.watch.params, key), log.say).run()

    threading.Thread(target=watch, name="lamps-ready", daemon=True).start()


def _is_healthy(scheme: str, host: str, port: int) -> bool:
    connection = (
        http.client.HTTPConnection(host, port, timeout=2)
        if scheme == "http"
        # It is our own server that is asked, and only whether it is up: its certificate names some other host.
        else http.client.HTTPSConnection(host, port, timeout=2, context=ssl._create_unverified_context())
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _explained(failure: BaseException, log: StartLog) -> LaunchError:
    """The cause of *failure* in a sentence where the log or the failure shows a known one, else the log's end."""
    if log.released:
        return LaunchError(f"the server stopped: {failure}", "the log above says why")
    lines = log.lines()
    text = "\n".join([*lines, str(failure)])
    for pattern, sentence, advice in _CAUSES:
        if match := re.search(pattern, text, re.DOTALL):
            groups = list(match.groups(default=""))
            if len(groups) == 4:
                groups[3] = f" {groups[3]}" if groups[3] else ""
            return LaunchError(sentence.format(*groups), advice.format(*groups))
    errors = [line for line in lines if re.search(r"\b(ERROR|Error)\b", line)] or lines
    return LaunchError(f"vLLM did not start: {failure}", "\n".join(["the end of its log:", *errors[-25:]]))


def _release() -> str:
    found = compat_api.installed_vllm()
    return found.version if found else ""
