"""A trace small enough to think about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

Line = dict[str, Any]


def turn(prompt: int, shared: int, output: int, gap: float | None = None, after: str | None = "tool") -> Line:
    return {
        "prompt": prompt, "shared": shared, "output": output, "gap": gap, "after": after if gap is not None else None
    }  # fmt: skip


def line(name: str, *turns: Line, tool: str = "math") -> Line:
    return {"session": name, "tool": tool, "turns": list(turns), "trailing_call": None}


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    """Ten sessions of two turns: 30 tokens in, 8 out, a call of 0.05 s, 45 tokens in of which 38 repeat."""
    path = tmp_path / "small.jsonl"
    lines = [line(f"s{number}", turn(30, 0, 8), turn(45, 38, 4, 0.05)) for number in range(10)]
    path.write_text("".join(json.dumps(session) + "\n" for session in lines))
    return path
