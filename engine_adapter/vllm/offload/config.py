"""How vLLM is told to swap: the value of its `--kv-transfer-config`. Imports nothing of vLLM."""

from __future__ import annotations

import os
from typing import Any

MODULE = "engine_adapter.vllm.offload.connector"
CONNECTOR = "SwapConnector"
GIB = 1 << 30


def kv_transfer_config(host_bytes: int) -> dict[str, Any]:
    """vLLM's `kv_transfer_config` for swapping into *host_bytes* of host memory, over all workers of an engine."""
    return {
        "kv_connector": CONNECTOR,
        "kv_connector_module_path": MODULE,
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "spec_name": "SwapSpec",
            "spec_module_path": "engine_adapter.vllm.offload.spec",
            "cpu_bytes_to_use": host_bytes,
        },
    }


def problem(host_bytes: int) -> tuple[str, str] | None:
    """What is wrong with swapping into *host_bytes* on this machine and what to do, each a sentence; None if nothing.

    The engine takes memory too: more than half of the machine's is refused.
    """
    physical_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if host_bytes > physical_bytes / 2:
        found = f"{host_bytes / GIB:g} GiB for swap are more than half of this machine's {physical_bytes / GIB:.1f} GiB"
        return found, f"--swap-space {int(physical_bytes / GIB / 4)} leaves room for the engine"
    return None
