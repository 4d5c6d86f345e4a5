"""The checks of `make clients`: what is told of requests and read off decisions, and that what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine_adapter.control.decision_log import LoggedDecision
from examples.checks.capture import Sent, described, proxy
from examples.checks.cases import CASES, Where
from examples.checks.run import FOUND
from examples.checks.seen import Expected, Seen, metrics_in, problems, seen_in
from tests.workload.fake_server import FakeServer, serving

ROOT = Path(__file__).resolve().parents[2]


def sent(headers: dict[str, str] | None = None, **body: Any) -> Sent:
    return Sent("/v1/chat/completions", {"host": "x", "user-agent": "y", **(headers or {})}, body)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("a", "a", "a", "a"), "always the same"),
        (("a", "b", "c", "d"), "another in each request"),
        (("a", "a", "b", "b"), "2 values"),
        (("a", "a", None, "b"), "2 values, missing in 1"),
    ],
)
def test_what_could_name_a_session_is_told_with_how_it_varies(ids: tuple[str | None, ...], said: str) -> None:
    by_header = described([sent({"x-id": one} if one else {}) for one in ids])
    by_field = described([sent(user=one) for one in ids])
    assert by_header["names"] == f"header `x-id`: {said}"
    assert by_field["names"] == f"field `user`: {said}"


def test_values_are_not_told() -> None:
    told = described([sent({"x-id": "private"}, user="private", messages=[{"role": "user", "content": "private"}])])
    assert "private" not in json.dumps(told)


FLAT = {"type": "function", "name": "f", "parameters": {}}
NESTED = {"type": "function", "function": {"name": "f"}}
ANTHROPIC = {"name": "f", "input_schema": {}}


@pytest.mark.parametrize(
    ("body", "tools", "choice", "results"),
    [
        (
            {"tools": [NESTED], "tool_choice": "required", "messages": [{"role": "tool", "content": "x"}]},
            "`function` within `type: function`", "`required`", "message of role `tool`",
        ),
        (
            {"tools": [FLAT], "input": [{"type": "function_call_output", "output": "x"}]},
            "`name` and `parameters` beside `type: function`", "not said", "item `function_call_output`",
        ),
        (
            {
                "tools": [ANTHROPIC], "tool_choice": {"type": "any"},
                "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}],
            },
            "`input_schema`", "`type: any`", "block `tool_result`",
        ),
        ({"prompt": [1, 2]}, "", "", ""),
        ({"input": "a question", "messages": None}, "", "", ""),
    ],
)  # fmt: skip
def test_how_tools_and_results_are_given_is_told(body: dict[str, Any], tools: str, choice: str, results: str) -> None:
    told = described([sent(**body)])
    assert (told["tools"], told["tool_choice"], told["results"]) == (tools, choice, results)


def test_streams_are_counted() -> None:
    one, other = sent(stream=True), sent(stream=False)
    assert [described(list(those))["streamed"] for those in ((one, one), (other,), (one, other))] == [
        "all", "none", "1 of 2",
    ]  # fmt: skip


def decisions() -> Iterator[LoggedDecision]:
    """Two sessions: #1 calls and comes back to its KV, preempted meanwhile; #2 has one turn."""
    made = LoggedDecision(0, 0.0, "admit", "admitted")
    yield replace_(made, request="a", session="#1", note="0 of 100 tokens cached, waited 0.0 s")
    yield replace_(made, request="b", session="#2", note="0 of 2,000 tokens cached, waited 0.0 s")
    yield replace_(made, kind="call", what="discard", request="a", session="#1", note="search")
    yield replace_(made, kind="turn", what="ended", request="a", session="#1", note="search")
    yield replace_(made, kind="call", what="preserve, followed", request="a", session="#1")
    yield replace_(made, request="c", session="#1", note="96 of 150 tokens cached, waited 0.1 s")
    yield replace_(made, kind="preempt", what="preempted", request="c", session="#1")
    yield replace_(made, what="resumed", request="c", session="#1", note="0 of 150 tokens cached, waited 0.1 s")
    for request, session in (("b", "#2"), ("c", "#1")):
        yield replace_(made, kind="call", what="discard", request=request, session=session, note="user")
        yield replace_(made, kind="turn", what="ended", request=request, session=session, note="user")


def replace_(one: LoggedDecision, **changes: Any) -> LoggedDecision:
    import msgspec

    return msgspec.structs.replace(one, **changes)


SEEN = seen_in(decisions())
EXPECTED = Expected((1, 2), False, {"search": 1}, reused=1)
GROWN = {"lamps_turns_total": 3.0, "lamps_verdicts_total.call": 1.0}


def test_sessions_calls_and_kv_are_read_off_the_decisions() -> None:
    assert Seen({"#1": 2, "#2": 1}, {"search": 1}, {"discard": 1}, 3, 1, 1, 96, 2250) == SEEN
    assert not SEEN.named
    assert replace(SEEN, turns={"mine": 2}).named
    assert list(problems(EXPECTED, SEEN, 3, GROWN)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turns": {"#1": 1, "#2": 1, "#3": 1}}, "sessions of [1, 2] turns were sent, of [1, 1, 1] seen"),
        ({"turns": {"x": 2, "#2": 1}}, None),
        ({"turns": {"x": 2, "y": 1}}, "sessions are called x, y"),
        ({"calls": {}}, "calls {'search': 1} were made, {} seen"),
        ({"calls": {"other": 1}}, "calls {'search': 1} were made, {'other': 1} seen"),
        ({"reused": 0}, "1 follow-ups should find their session's KV, 0 did"),
        ({"ended": 2}, "3 requests were sent, 3 admitted and 2 ended"),
    ],
)
def test_what_is_not_as_it_must_be_is_said(changes: dict[str, Any], said: str | None) -> None:
    found = list(problems(EXPECTED, replace(SEEN, **changes), 3, GROWN))
    assert (said in found) if said else found == []


def test_metrics_that_say_otherwise_are_told() -> None:
    text = 'lamps_turns_total{engine="0"} 2\nlamps_turns_total{engine="1"} 1\nlamps_verdicts_total{outcome="call"} 2\n'
    grown = metrics_in(text + 'lamps_verdicts_total{outcome="end"} 9\nvllm:other{engine="0"} 5\n')
    assert grown == {"lamps_turns_total": 3, "lamps_verdicts_total.call": 2, "lamps_verdicts_total.end": 9}
    assert list(problems(EXPECTED, SEEN, 3, grown)) == ["lamps_verdicts_total.call grew by 2, not by 1"]


def test_the_proxy_changes_nothing_and_keeps_what_asks_for_an_answer() -> None:
    body = {"prompt": [1, 2], "max_tokens": 3, "user": "me"}
    with serving(FakeServer()) as server, proxy(server.url) as door:
        straight = httpx.post(f"{server.url}/v1/completions", json=body)
        through = httpx.post(f"{door.url}/v1/completions", json=body, headers={"X-Session-ID": "s"})
        models = httpx.get(f"{door.url}/v1/models?x=1")
        missing = httpx.get(f"{door.url}/nothing")
    assert (through.status_code, through.text) == (200, straight.text)
    assert through.headers["content-type"] == straight.headers["content-type"]
    assert server.asked == [body, body]
    assert (models.json()["data"][0]["id"], missing.status_code) == ("fake", 404)
    assert [(one.path, one.headers["x-session-id"], one.body) for one in door.sent] == [("/v1/completions", "s", body)]


def test_the_page_tells_of_every_client_and_nothing_was_wrong() -> None:
    found = json.loads(FOUND.read_text())
    assert [one["name"] for one in found] == [case.name for case in CASES]
    assert [one["wrong"] for one in found] == [[]] * len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_clients_are_ordinary_programs(case: Any, tmp_path: Path) -> None:
    command = case.command(Where("http://127.0.0.1:1", tmp_path, tmp_path))
    programs = [Path(word) for word in command if word.endswith(".py")]
    assert all(program.is_relative_to(ROOT / "examples") for program in programs)
    for program in programs:
        code = program.read_text()
        assert not any(ours in code for ours in ("lamps_", "engine_adapter", "/lamps/"))
    assert not any("lamps_" in word for word in command)
