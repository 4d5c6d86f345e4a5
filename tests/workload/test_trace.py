"""Traces: what ships loads, what is wrong is named with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engine_adapter.workload.trace import SHIPPED, TraceError, load_trace

# Sessions, requests, longest turn: counted when the files were made.
COUNTS = {
    "augmented-single": (397, 794, 2048),
    "augmented-multi": (397, 2054, 2051),
    "agentic-coding": (390, 24478, 881_413),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_traces_hold_what_their_description_says(name: str) -> None:
    trace = load_trace(name)
    sessions = trace.sessions
    assert (len(sessions), sum(len(s.turns) for s in sessions), max(s.longest for s in sessions)) == COUNTS[name]


def test_a_file_reads_the_same_gzipped_or_not(trace_file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "small.jsonl.gz"
    packed.write_bytes(gzip.compress(trace_file.read_bytes()))
    assert load_trace(packed) == load_trace(trace_file)


def test_only_a_tool_that_is_followed_by_a_turn_is_a_call(trace_file: Path) -> None:
    session = load_trace(trace_file).sessions[0]
    assert [session.calls_after(0), session.calls_after(1)] == ["math", None]


GOOD = {"prompt": 10, "shared": 0, "output": 5}
BAD = {
    "not json": ("{", "small.jsonl:2: Input data was truncated"),
    "missing field": (json.dumps({"session": "x"}), "small.jsonl:2: Object missing required field `turns`"),
    "wrong type": (
        json.dumps({"session": "x", "turns": [{**GOOD, "prompt": "10"}]}),
        "small.jsonl:2: Expected `int`, got `str` - at `$.turns[0].prompt`",
    ),
    "no turns": (json.dumps({"session": "x", "turns": []}), "small.jsonl:2: session 'x': has no turns"),
    "no prompt": (json.dumps({"session": "x", "turns": [{**GOOD, "prompt": 0}]}), "turn 1: prompt is 0"),
    "negative output": (json.dumps({"session": "x", "turns": [{**GOOD, "output": -1}]}), "turn 1: output is -1"),
    "shares too much": (
        json.dumps({"session": "x", "turns": [GOOD, {"prompt": 30, "shared": 16, "output": 1, "gap": 1}]}),
        "turn 2: shared is 16, but the turn before has 15 tokens with its answer",
    ),
    "negative gap": (
        json.dumps({"session": "x", "turns": [GOOD, {"prompt": 30, "shared": 5, "output": 1, "gap": -1}]}),
        "turn 2: gap is -1.0",
    ),
    "no gap": (
        json.dumps({"session": "x", "turns": [GOOD, {"prompt": 30, "shared": 5, "output": 1}]}),
        "turn 2: gap is missing",
    ),
    "unknown after": (
        json.dumps({"session": "x", "turns": [{**GOOD, "after": "cat"}]}),
        "Invalid enum value 'cat' - at `$.turns[0].after`",
    ),
    "same name twice": (json.dumps({"session": "s0", "turns": [GOOD]}), "session 's0' is also in line 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_line_is_named(case: str, trace_file: Path) -> None:
    text, message = BAD[case]
    first = trace_file.read_text().splitlines()[0]
    trace_file.write_text(f"{first}\n{text}\n")
    with pytest.raises(TraceError) as caught:
        load_trace(trace_file)
    assert message in str(caught.value)
    assert "small.jsonl:2: " in str(caught.value)


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="did you mean augmented-multi"):
        load_trace("augmentd-multi")
    with pytest.raises(TraceError, match=r"can't read .*: Is a directory"):
        load_trace(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(TraceError, match="holds no session"):
        load_trace(tmp_path / "empty.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:15])
    with pytest.raises(TraceError, match="damaged gzip file"):
        load_trace(tmp_path / "cut.jsonl.gz")
    (tmp_path / "latin.jsonl").write_bytes(b'{"session": "\xe9", "turns": []}\n')
    with pytest.raises(TraceError, match=r"latin.jsonl:1: "):
        load_trace(tmp_path / "latin.jsonl")
