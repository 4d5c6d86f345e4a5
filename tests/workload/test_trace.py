"""Traces: what ships loads, what is written reads the same, what is wrong is named with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.workload.lines import MAX_SECONDS, MAX_TOKENS
from engine_adapter.workload.trace import SHIPPED, SessionTrace, TraceError, Turn, load_trace, parsed, written

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
    "infinite gap": (
        '{"session": "x", "turns": [{"prompt": 1, "shared": 0, "output": 1, "gap": Infinity}]}',
        "small.jsonl:2: JSON is malformed",
    ),
    "gap that is no number": (
        '{"session": "x", "turns": [{"prompt": 1, "shared": 0, "output": 1, "gap": NaN}]}',
        "small.jsonl:2: JSON is malformed",
    ),
    "gap that overflows": (
        '{"session": "x", "turns": [{"prompt": 1, "shared": 0, "output": 1, "gap": 1e999}]}',
        "small.jsonl:2: Number out of range",
    ),
    "gap longer than anything": (
        json.dumps({"session": "x", "turns": [GOOD, {**GOOD, "gap": 1e308}]}),
        "turn 2: gap is 1e+308, must be from 0 to 1e+08 seconds",
    ),
    "prompt larger than any model": (
        json.dumps({"session": "x", "turns": [{**GOOD, "prompt": 10**9}]}),
        "turn 1: prompt is 1000000000, larger than any model takes (100000000)",
    ),
    "number of arbitrary size": (
        json.dumps({"session": "x", "turns": [{**GOOD, "prompt": 10**30}]}),
        "small.jsonl:2: ",
    ),
    "output larger than any model": (
        json.dumps({"session": "x", "turns": [{**GOOD, "output": 10**9}]}),
        "turn 1: output is 1000000000",
    ),
    "negative start": (json.dumps({"session": "x", "start": -1, "turns": [GOOD]}), "start is -1.0"),
    "own parent": (json.dumps({"session": "x", "parent": "x", "turns": [GOOD]}), "is its own parent"),
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


def test_all_bad_lines_are_told_and_nothing_is_kept(trace_file: Path) -> None:
    bad = [json.dumps({"session": f"x{n}", "turns": [{"prompt": 0, "shared": 0, "output": -1}]}) for n in range(3)]
    trace_file.write_text("\n".join([trace_file.read_text().splitlines()[0], "{", *bad, "", "[]"]))
    with pytest.raises(TraceError) as caught:
        load_trace(trace_file)
    told = [line.removeprefix(f"{trace_file}:") for line in str(caught.value).splitlines()]
    assert [line.split(":")[0] for line in told] == ["2", "3", "3", "4", "4", "5", "5", "7"]
    assert told[1:3] == [
        "3: session 'x0': turn 1: prompt is 0, must be at least 1",
        "3: session 'x0': turn 1: output is -1, must not be negative",
    ]


def test_of_many_bad_lines_the_first_twenty_are_told(trace_file: Path) -> None:
    trace_file.write_text("{\n" * 1234)
    with pytest.raises(TraceError) as caught:
        load_trace(trace_file)
    told = str(caught.value).splitlines()
    assert len(told) == 21
    assert told[19].startswith(f"{trace_file}:20: ")
    assert told[20] == "... and 1,214 more"


def test_a_byte_order_mark_is_no_error(trace_file: Path) -> None:
    before = load_trace(trace_file)
    trace_file.write_bytes(b"\xef\xbb\xbf" + trace_file.read_bytes())
    assert load_trace(trace_file) == before


def test_a_tool_may_be_told_turn_by_turn() -> None:
    turns = (Turn(10, 0, 1), Turn(20, 11, 1, 1.0, "tool", "search"), Turn(30, 21, 1, 1.0, "tool"), Turn(40, 0, 1))
    session = SessionTrace("s", turns, tool="any")
    assert [session.calls_after(index) for index in range(4)] == ["search", "any", None, None]


def turns(first: bool) -> st.SearchStrategy[Turn]:
    lengths = (st.integers(1, MAX_TOKENS), st.just(0), st.integers(1, MAX_TOKENS))
    if first:
        return st.builds(Turn, *lengths)
    tool = st.none() | st.text(max_size=5)
    return st.builds(Turn, *lengths, st.floats(0, MAX_SECONDS), st.sampled_from(["tool", "user"]), tool)


@given(
    turns(first=True), st.lists(turns(first=False), max_size=4), st.none() | st.text(), st.none() | st.floats(0, 1e8)
)
def test_what_is_written_reads_the_same(
    first: Turn, later: list[Turn], tenant: str | None, start: float | None
) -> None:
    # A prompt may repeat all of the turn before: the longest that is still right.
    known = 0
    linked = []
    for turn in (first, *later):
        linked.append(Turn(turn.prompt, min(known, turn.prompt), turn.output, turn.gap_s, turn.after, turn.tool))
        known = turn.prompt + turn.output
    sessions = (SessionTrace("a\nb", tuple(linked), "ve", None, tenant, start),)
    assert parsed("x", written(sessions)) == sessions


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_a_bad_trace(data: bytes) -> None:
    with pytest.raises(TraceError):
        parsed("x", data)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    text = bytearray(gzip.compress(written(load_trace("augmented-single").sessions[:3]), mtime=0))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed("x", bytes(text))
    except TraceError as error:
        assert str(error)
