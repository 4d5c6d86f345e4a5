"""The `vllm.general_plugins` entry point: gives the engine process one method through which lamps is spoken to.

vLLM carries utility calls to methods of `EngineCore` only, by name. `lamps_command(name, payload)` hands them on to
the scheduler when it is ours. vLLM calls `register` in each of its processes, also where lamps is only installed:
so it imports nothing and changes nothing but that one name.
"""

from __future__ import annotations

import sys
from typing import Any

_CORE = "vllm.v1.engine.core"
_NOT_OURS = '{"error": "the engine does not run the lamps scheduler"}'


def register() -> None:
    """Install the command where the engine's core is loaded; elsewhere there is no engine to speak to."""
    core = sys.modules.get(_CORE)
    if core is not None and hasattr(core, "EngineCore"):
        core.EngineCore.lamps_command = lamps_command


def lamps_command(engine_core: Any, name: str, payload: str) -> str:
    """Answer *name* with its JSON *payload*: JSON text. Runs on the engine's thread, between two steps."""
    answer = getattr(engine_core.scheduler, "lamps_command", None)
    return _NOT_OURS if answer is None else str(answer(name, payload))
