"""Published traces and logs of other tools, read into ours: one module a format.

Lengths and times are kept, never text: not even the names of sessions and users, which are numbered instead. What a
format doesn't tell, or ours can't hold, is said beside the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from engine_adapter.workload.importing.reading import Imported, Source

# Each is the function `read` of the module of that name.
FORMATS = {
    "mooncake": "Mooncake's request traces (FAST'25): JSON lines with hash_ids",
    "azure": "Azure's LLM inference traces, 2023 and 2024: CSV",
    "burstgpt": "BurstGPT: CSV, with or without sessions",
    "sharegpt": "ShareGPT conversations: one JSON array",
    "weka": "WEKA's coding-agent traces (kv-cache-tester): a JSON object a session",
    "openai": "Logs of chat completions: JSON lines with request, response and times",
}


def read(format_name: str, sources: Sequence[Source]) -> Imported:
    """The sessions in these files of one format. Raises TraceError with every line that isn't of it."""
    module = import_module(f"engine_adapter.workload.importing.{format_name}")
    reader: Callable[[Sequence[Source]], Imported] = module.read
    return reader(sources)
