"""What can be found wrong before vLLM is imported, which takes seconds; loading a model takes longer."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from engine_adapter.vllm import compat_api, models
from engine_adapter.vllm.offload import config as swap
from engine_adapter.vllm.plan import LaunchError, Plan


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
