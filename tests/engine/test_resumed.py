"""A session that comes back to KV that was kept computes no token of its prefix again: a real engine's own counters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Three engines in turn, in one process: 40 s on an idle machine of two cores.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PROGRAM = Path(__file__).with_name("resumed_run.py")
HANDLINGS = ("preserve", "swap", "discard")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By handling: what a session of three turns computed, what was found of it, and all its tokens."""
    folder = tmp_path_factory.mktemp("policies")
    files = [folder / f"{handling}.lamps" for handling in HANDLINGS]
    for handling, file in zip(HANDLINGS, files, strict=True):
        rule = f'if call.tool == "search" {{ {handling} }} else {{ discard }}'
        file.write_text(f'lamps 1\npolicy p "P."\nrank request.arrival\non call {rule}\n')
    command = [sys.executable, PROGRAM, *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return dict(zip(HANDLINGS, lines, strict=True))


@pytest.mark.parametrize("handling", ["preserve", "swap"])
def test_what_was_kept_is_not_computed_again(handling: str, runs: dict[str, dict[str, Any]]) -> None:
    assert runs[handling]["found"] == runs[handling]["computed"] == [224, 256]


def test_what_was_not_kept_is(runs: dict[str, dict[str, Any]]) -> None:
    """Or the two above would show nothing: the others take its blocks."""
    assert max(runs["discard"]["found"]) < 224


def test_the_answers_are_the_same(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["preserve"]["tokens"] == runs["swap"]["tokens"] == runs["discard"]["tokens"]
