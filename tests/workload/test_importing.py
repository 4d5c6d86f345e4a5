"""Importers: records as the formats are published, what becomes of them, and that nothing but numbers is kept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.workload.importing import FORMATS, read
from engine_adapter.workload.importing.reading import Imported, Source, common_prefix, open_sources
from engine_adapter.workload.trace import SessionTrace, TraceError, Turn, parsed, written


def imported(format_name: str, text: str | bytes) -> Imported:
    found = read(format_name, [Source("log", text if isinstance(text, bytes) else text.encode())])
    assert parsed("again", written(found.sessions)) == found.sessions
    return found


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def one(name: str, start_s: float | None, *turns: Turn, **more: Any) -> SessionTrace:
    return SessionTrace(name, turns, start_s=start_s, **more)


# Azure

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_azure_of_2023_and_2024() -> None:
    found = imported("azure", AZURE + "2023-11-16 18:17:03.9799600,374,44\n2023-11-16 18:17:04.4799600,396,0\n")
    assert [s.turns for s in found.sessions] == [(Turn(374, 0, 44),), (Turn(396, 0, 1),)]
    assert [s.start_s for s in found.sessions] == pytest.approx([0.0, 0.5])
    found = imported("azure", AZURE + "2024-05-10 00:00:00+00:00,2162,5\n2024-05-10 00:01:00.500000+00:00,0,6\n")
    assert found.sessions == (one("azure-000000", 0.0, Turn(2162, 0, 5)),)
    assert found.skipped == (("no prompt", 1),)


def test_bad_rows_of_a_table_are_all_told() -> None:
    text = AZURE + "yesterday,1,2\n2024-05-10 00:00:00,-1,2\n2024-05-10 00:00:00,1\n2024-05-10 00:00:00,1,1e3\n"
    with pytest.raises(TraceError) as caught:
        imported("azure", text)
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        "log:2: TIMESTAMP is 'yesterday'",
        "log:3: ContextTokens is -1",
        "log:4: not as many cells as the table has columns",
        "log:5: GeneratedTokens is '1e3'",
    ]
    with pytest.raises(TraceError, match="log:1: no column ContextTokens"):
        imported("azure", "TIMESTAMP,GeneratedTokens\n")


# BurstGPT

BURST = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def test_burstgpt_with_sessions() -> None:
    found = imported(
        "burstgpt",
        BURST
        + "19440110.0,aa,43,GPT-4,906,446,1352,Conversation log\n"
        + "19440192.0,bb,8,GPT-4,1779,0,1779,Conversation log\n"
        + "19440200.0,aa,5,GPT-4,1400,100,1500,Conversation log\n"
        + "19440120.0,cc,2,ChatGPT,36,29,65,API log\n"
        + "19440202.0,aa,5,GPT-4,20,7,27,Conversation log\n",
    )
    assert found.sessions == (
        one(
            "burstgpt-000000", 0.0,
            Turn(906, 0, 446), Turn(1400, 1352, 100, 47.0, "user"), Turn(20, 0, 7, 0.0, "user"),
        ),
        one("burstgpt-000001", 10.0, Turn(36, 0, 29)),
    )  # fmt: skip
    assert found.skipped == (("failed requests", 1),)


def test_burstgpt_of_the_first_release_has_no_sessions() -> None:
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    found = imported("burstgpt", head + "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,API log\n")
    assert [(s.start_s, s.turns) for s in found.sessions] == [(0.0, (Turn(472, 0, 18),)), (40.0, (Turn(1087, 0, 230),))]


# Mooncake


def asked(at_ms: int, prompt: int, output: int, blocks: list[int], **more: Any) -> dict[str, Any]:
    return {"timestamp": at_ms, "input_length": prompt, "output_length": output, "hash_ids": blocks, **more}


def test_mooncake_sessions_are_found_by_their_prefix() -> None:
    found = imported(
        "mooncake",
        lines(
            asked(27000, 1500, 52, [46, 47, 48]),  # two full blocks and a part: 46 is the system's
            asked(28000, 1400, 26, [46, 50, 51]),  # another session with the same system prompt
            asked(30000, 2600, 9, [46, 47, 60, 61, 62, 63]),  # follows the first
            asked(33000, 900, 9, [46, 70]),  # nothing but the system prompt
        ),
    )
    assert found.sessions == (
        one("mooncake-000000", 0.0, Turn(1500, 0, 52), Turn(2600, 1024, 9, 3.0, "user")),
        one("mooncake-000001", 1.0, Turn(1400, 0, 26)),
        one("mooncake-000002", 6.0, Turn(900, 0, 9)),
    )
    assert "sharing between sessions: 1,024 prompt tokens repeat another session's" in found.lost


def test_mooncake_sessions_may_be_named() -> None:
    rows = [asked(0, 600, 1, [1, 2], session_id="x"), asked(2000, 700, 1, [1, 3], session_id="x")]
    assert imported("mooncake", lines(*rows)).sessions[0].turns == (Turn(600, 0, 1), Turn(700, 512, 1, 2.0, "user"))


# ShareGPT


def test_sharegpt_keeps_lengths_and_draws_times() -> None:
    said = [
        ("gpt", "Hi"),
        ("human", "x" * 40),
        ("gpt", "y" * 80),
        ("human", "z" * 20),
        ("gpt", "é" * 4),
        ("human", "?"),
    ]
    data = [
        {"id": "QWJhYvA_0", "conversations": [{"from": who, "value": text} for who, text in said]},
        {"id": "i6IyJda_0", "conversations": []},
    ]
    found = imported("sharegpt", json.dumps(data))
    first, second = found.sessions[0].turns
    assert first == Turn(10, 0, 20)
    assert (second.prompt, second.shared, second.output, second.after) == (35, 30, 2, "user")
    assert 1 < second.gap_s < 300
    assert found.sessions == imported("sharegpt", json.dumps(data)).sessions
    assert found.skipped == (("conversations without question and answer", 1),)


# weka


def call(at_s: float, prompt: int, blocks: list[int], **more: Any) -> dict[str, Any]:
    return {
        "t": at_s, "type": "n", "model": "opus", "in": prompt, "out": 5, "hash_ids": blocks, "input_types": ["text"],
        "output_types": ["text"], "stop": "tool_use", **more,
    }  # fmt: skip


def weka(*requests: dict[str, Any]) -> str:
    head = {"id": "trace_0001", "models": ["opus"], "block_size": 64, "tool_tokens": 9, "system_tokens": 9}
    return json.dumps(head | {"requests": list(requests)})


def test_weka_gaps_are_those_between_answer_and_request() -> None:
    result = {"input_types": ["tool_result"]}
    found = imported(
        "weka",
        weka(
            call(0.0, 130, [1, 2, 3], api_time=2.0),
            call(5.0, 200, [1, 2, 4, 5], api_time=1.0, **result),
            call(9.0, 300, [1, 2, 4, 5, 6], api_time=1.0, think_time=2.5),
        ),
    )
    turns = (Turn(130, 0, 5), Turn(200, 128, 5, 3.0, "tool"), Turn(300, 200, 5, 2.5, "user"))
    assert found.sessions == (one("weka-0000", 0.0, *turns),)


def test_weka_side_calls_and_sub_agents_are_sessions_with_a_parent() -> None:
    sub = {"type": "subagent", "agent_id": "a1", "subagent_type": "Explore"}
    requests = [
        call(0.0, 130, [1, 2, 3], api_time=10.0),
        call(1.0, 70, [9], model="haiku"),  # another model
        call(2.0, 190, [1, 2, 7], api_time=1.0),  # the first isn't answered yet
        {"t": 20.0, **sub, "requests": [call(0.5, 64, [50]), call(4.5, 128, [50, 51])]},
        call(40.0, 260, [1, 2, 3, 4]),
    ]
    found = imported("weka", weka(*requests)).sessions
    assert [(s.name, s.parent, s.start_s, len(s.turns)) for s in found] == [
        ("weka-0000", None, 0.0, 2),
        ("weka-0000/1", "weka-0000", 1.0, 1),
        ("weka-0000/2", "weka-0000", 2.0, 1),
        ("weka-0000/3", "weka-0000", 20.5, 2),
    ]
    # SemiAnalysis counts the times of sub-agents from the session's start.
    requests[3] = {"t": 20.0, **sub, "requests": [call(20.5, 64, [50]), call(24.5, 128, [50, 51])]}
    assert imported("weka", weka(*requests)).sessions == found


def test_weka_records_of_a_request_streamed_and_not_are_one_turn() -> None:
    pair = [call(0.0, 130, [1, 2], type="s", stop=""), call(3.0, 130, [1, 2], out=7)]
    found = imported("weka", weka(*pair, call(7.0, 200, [1, 2, 3])))
    assert found.sessions[0].turns == (Turn(130, 0, 7), Turn(200, 128, 5, 4.0, "user"))
    assert found.skipped == (("second records of a request", 1),)


def test_weka_objects_may_stand_one_a_line() -> None:
    found = imported("weka", weka(call(0.0, 1, [])) + "\n" + weka(call(0.0, 2, [])) + "\n")
    assert [s.name for s in found.sessions] == ["weka-0000", "weka-0001"]


# OpenAI-style logs

TOOLS = [{"type": "function", "function": {"name": "secret_tool"}}]
ASK = {"role": "user", "content": "secret question"}
CALLS = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "secret_tool", "arguments": "{}"}}]}
TOLD = {"role": "tool", "tool_call_id": "1", "content": "secret answer"}


def chat(messages: list[Any], prompt: int, output: int, reply: Any, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    request = {"model": "m", "messages": messages, "tools": TOOLS, "user": "secret user"}
    return {"request": request, "response": {"choices": [{"message": reply}], "usage": usage}, **more}


CONVERSATION = [
    chat([ASK], 100, 20, CALLS, start=1.7e9, end=1.7e9 + 2),
    chat([ASK, CALLS, TOLD], 150, 10, ASK, start=1.7e9 + 5, end=1.7e9 + 6),
]
AS_TRACE = one("openai-000000", 0.0, Turn(100, 0, 20), Turn(150, 120, 10, 3.0, "tool", "tool-00"), tenant="tenant-0000")


def test_sessions_of_a_log_are_found_by_the_messages_they_repeat() -> None:
    other = chat([{"role": "user", "content": "?"}, CALLS, TOLD], 90, 9, ASK, start=1.7e9 + 7)
    found = imported("openai", lines(*reversed(CONVERSATION), other))
    assert found.sessions == (AS_TRACE, one("openai-000001", 7.0, Turn(90, 0, 9), tenant="tenant-0000"))


def test_a_prompt_with_other_tools_shares_nothing() -> None:
    changed = json.loads(json.dumps(CONVERSATION))
    changed[1]["request"]["tools"] = []
    assert [turn.shared for turn in imported("openai", lines(*changed)).sessions[0].turns] == [0, 0]


def test_times_of_a_log_may_be_milliseconds_text_or_the_responses() -> None:
    first, second = json.loads(json.dumps(CONVERSATION))
    first |= {"start": 1_700_000_000_000, "end": 1_700_000_002_000}
    second |= {"start": "2023-11-14T22:13:25Z", "end": "2023-11-14T22:13:26+00:00"}
    assert imported("openai", lines(first, second)).sessions == (AS_TRACE,)
    del first["start"], first["end"]
    first["response"]["created"], first["duration"] = 1_700_000_000, 2
    assert imported("openai", lines(first, second)).sessions == (AS_TRACE,)


def test_litellms_payload_with_its_texts_redacted() -> None:
    line = {"messages": "redacted-by-litellm", "response": "redacted", "end_user": "u", "status": "success"}
    rows = [
        line | {"trace_id": "t", "startTime": 10.0, "endTime": 12.5, "prompt_tokens": 30, "completion_tokens": 4},
        line | {"trace_id": "t", "startTime": 20.0, "endTime": 21.0, "prompt_tokens": 50, "completion_tokens": 4},
        line | {"trace_id": "v", "startTime": 20.0, "status": "failure"},
    ]
    found = imported("openai", lines(*rows))
    turns = (Turn(30, 0, 4), Turn(50, 34, 4, 7.5, "user"))
    assert found.sessions == (one("openai-000000", 0.0, *turns, tenant="tenant-0000"),)
    assert found.skipped == (("failed requests", 1),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "noon"}, "log:1: the start is 'noon', must be a time"),
        ({"start": True}, "log:1: the start is True, must be a time"),
        ({"start": 1e308}, "log:1: the start is 1e+308, must be a time"),
        ({"start": None}, "log:1: it has no time"),
        ({"end": 5}, "log:1: its end is before its start"),
        ({"response": {}}, "log:1: it has no usage.prompt_tokens"),
        ({"response": {"usage": {"prompt_tokens": -3}}}, "log:1: prompt_tokens is -3"),
    ],
)
def test_a_bad_line_of_a_log_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError) as caught:
        imported("openai", lines(CONVERSATION[0] | change))
    assert message in str(caught.value)


def test_no_text_of_a_log_is_kept() -> None:
    rows = [row | {"session_id": "secret session"} for row in CONVERSATION]
    kept = written(imported("openai", lines(*rows)).sessions)
    assert b"secret" not in kept
    assert b"120" in kept


# All


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_empty_file_is_an_error(format_name: str) -> None:
    with pytest.raises(TraceError):
        imported(format_name, "")
    with pytest.raises(TraceError):
        imported(format_name, b"\xff\xfe{}")


@given(st.sampled_from(list(FORMATS)), st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_are_more_than_a_bad_file(format_name: str, data: bytes) -> None:
    with pytest.raises(TraceError):
        imported(format_name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


LINE = ("request", "response", "messages", "start", "end", "duration", "usage", "metadata", "error")
REQUEST = ("messages", "tools", "user", "session_id", "metadata")


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(LINE, JSON)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(REQUEST, JSON)),
)
def test_no_line_of_a_log_breaks_the_importer(line: dict[str, Any], request: dict[str, Any]) -> None:
    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    for row in (line, {**line, "request": request, "response": usage}):
        try:
            imported("openai", lines(row))
        except TraceError as error:
            assert str(error)


@given(st.lists(st.integers(0, 2), max_size=9), st.lists(st.integers(0, 2), max_size=9))
def test_common_prefix_is_the_longest(left: list[int], right: list[int]) -> None:
    same = common_prefix(left, right)
    assert left[:same] == right[:same]
    assert left[same : same + 1] != right[same : same + 1] or len(left) == len(right) == same


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(weka(call(0.0, 1, [])))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(weka(call(0.0, 2, [])).encode()))
    (tmp_path / "notes.txt").write_text("x")
    found = read("weka", open_sources([tmp_path], ".json"))
    assert [session.turns[0].prompt for session in found.sessions] == [2, 1]
    with pytest.raises(TraceError, match=r"no \.csv file"):
        open_sources([tmp_path], ".csv")
    with pytest.raises(TraceError, match="can't read"):
        open_sources([tmp_path / "c"], ".csv")
