"""Sessions of real text: what is sent turn by turn, what comes back, and what is a failure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.workload import dialogue
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.result import BenchResult
from engine_adapter.workload.summary import summarize
from engine_adapter.workload.trace import load_trace
from tests.workload.fake_server import FakeServer, serving

TURNS = [
    {"prompt": 100, "shared": 0, "output": 8, "gap": None, "after": None},
    {"prompt": 140, "shared": 108, "output": 9, "gap": 0.01, "after": "tool"},
    {"prompt": 180, "shared": 149, "output": 4, "gap": 0.01, "after": "user"},
]


def replayed(fake: FakeServer, folder: Path, **changes: object) -> BenchResult:
    path = folder / "small.jsonl"
    path.write_text(
        "".join(json.dumps({"session": f"s{n}", "tool": "a search", "turns": TURNS}) + "\n" for n in (1, 2))
    )
    config = BenchConfig(fake.url, load_trace(path), Load(rate=100), prompts="text", hints="none")
    return run_bench(replace(config, **changes))  # type: ignore[arg-type]


def test_a_session_is_a_chat_that_calls_its_tool(tmp_path: Path) -> None:
    with serving(FakeServer()) as fake:
        result = replayed(fake, tmp_path)
    assert all(session.finished for session in result.sessions)
    assert len({body["session_id"] for body in fake.asked}) == 2
    by_session = {
        body["session_id"]: [b for b in fake.asked if b["session_id"] == body["session_id"]] for body in fake.asked
    }
    first, second, third = next(iter(by_session.values()))
    assert [message["role"] for message in third["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    # What was said stays as it was: it is the prefix that a server may have kept.
    assert third["messages"][:3] == second["messages"]
    assert second["messages"][:1] == first["messages"]
    assert first["tools"] == second["tools"] == third["tools"]
    assert first["tool_choice"] == {"type": "function", "function": {"name": "a_search"}}
    assert second["tool_choice"] == third["tool_choice"] == "none"
    call = third["messages"][1]["tool_calls"][0]
    assert third["messages"][2]["tool_call_id"] == call["id"]
    assert [first["max_tokens"], second["max_tokens"]] == [dialogue.CALL_TOKENS, 9]
    assert len(first["messages"][0]["content"]) == 100 * dialogue.CHARACTERS
    assert "vllm_xargs" not in first


def test_figures_are_of_what_was_said(tmp_path: Path) -> None:
    with serving(FakeServer()) as fake:
        result = replayed(fake, tmp_path)
    turns = [turn for session in result.sessions for turn in session.turns]
    assert {turn.output_tokens for turn in turns} == {5}
    assert {turn.cached_tokens for turn in turns} == {7}
    first, second, _ = result.sessions[0].turns
    assert second.shared_tokens == first.prompt_tokens + 5
    assert all(turn.ttft_s is not None and turn.ttft_s >= fake.delay_s for turn in turns)
    assert summarize(result).output_tokens == 30


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    said = []
    for seed in (1, 1, 2):
        with serving(FakeServer()) as fake:
            replayed(fake, tmp_path, load=Load(rate=100, seed=seed))
        said.append(sorted(body["messages"][0]["content"] for body in fake.asked))
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize(
    ("how", "why"),
    [({"cut_after": 1}, "the answer was cut off"), ({"call": "{half"}, "the model's call isn't JSON")],
)
def test_what_is_no_answer_fails_the_session(how, why: str, tmp_path: Path, monkeypatch) -> None:
    if "call" in how:
        monkeypatch.setattr("tests.workload.fake_server.CALL", how.pop("call"))
    with serving(FakeServer(**how)) as fake:
        result = replayed(fake, tmp_path)
    assert {session.error for session in result.sessions} == {why}
