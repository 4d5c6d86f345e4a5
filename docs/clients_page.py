"""The tables of docs/clients.md, from what `make clients` has found, and of replicas, from their benchmark."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOUND = Path(__file__).parents[1] / "examples" / "checks" / "seen.json"


def sent() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """What each client sends."""
    head = ("client", "package", "path", "what could name a session", "streamed", "tools", "tool choice", "results")
    keys = ("path", "names", "streamed", "tools", "tool_choice", "results")
    return head, [
        (one["title"], one["package"], *(one["sent"][key].replace("; ", "<br>") or "none" for key in keys))
        for one in _found()
    ]


def seen() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """What lamps saw of it."""
    head = (
        "client",
        "requests",
        "sessions",
        "recognised by",
        "calls",
        "decided",
        "follow-ups with KV",
        "tokens cached",
    )
    return head, [(one["title"], *_seen(one["seen"], one["sent"])) for one in _found()]


def _seen(one: Mapping[str, Any], sent: Mapping[str, str]) -> Sequence[str]:
    turns = one["turns"]
    alike = f"{len(turns)} of {_turns(turns[0])}" if len(set(turns)) == 1 else ", ".join(map(_turns, turns))
    by = "name" if one["named"] else "prefix" if one["follow_ups"] else "single requests"
    return (
        sent["requests"], alike, by, _counted(one["calls"], "`") or "none", _counted(one["handlings"]) or "nothing",
        f"{one['reused']} of {one['follow_ups']}", f"{one['cached_tokens']:,} of {one['prompt_tokens']:,}",
    )  # fmt: skip


def _turns(count: int) -> str:
    return f"{count} turn" if count == 1 else f"{count} turns"


def _counted(counts: Mapping[str, int], quote: str = "") -> str:
    return ", ".join(f"{count} {quote}{name}{quote}" for name, count in sorted(counts.items()))


def _found() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FOUND.read_text(encoding="utf-8"))
    return found


def replicas() -> str:
    """What `python -m benchmarks.replicas` has measured."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ stands beside us and is not installed
    from benchmarks.replicas import RESULTS, table

    return f"```text\n{table(json.loads(RESULTS.read_text(encoding='utf-8'))['runs'])}\n```"
