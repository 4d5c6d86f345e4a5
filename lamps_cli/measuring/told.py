"""What a server says of itself: its version, its policy, and what it has decided so far."""

from __future__ import annotations

import json
from typing import Any

from engine_adapter.control.client import Unreachable, fetch_status, fetch_text
from lamps_cli.measuring.asked import System


def identity(system: System, api_key: str | None) -> dict[str, str] | None:
    """Version of vLLM, policy and revision of a server that runs already; None for one that is started here."""
    if not system.url:
        return None
    found = {"vllm": str(_version(system.url, api_key).get("version", ""))}
    try:
        engines = fetch_status(system.url, api_key).engines
    except Unreachable:
        return found
    return found | ({"policy": engines[0].policy.name, "revision": engines[0].policy.revision} if engines else {})


def decisions(url: str, api_key: str | None) -> dict[str, float]:
    """What the engines of a lamps server have counted, as `runtime.NAME`, summed; nothing of plain vLLM."""
    try:
        engines = fetch_status(url, api_key).engines
    except Unreachable:
        return {}
    total: dict[str, float] = {}
    for engine in engines:
        for name, value in engine.counters.items():
            total[f"runtime.{name}"] = total.get(f"runtime.{name}", 0.0) + value
    return total


def _version(url: str, api_key: str | None) -> dict[str, Any]:
    try:
        said = json.loads(fetch_text(url, "/version", api_key))
    except (Unreachable, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
