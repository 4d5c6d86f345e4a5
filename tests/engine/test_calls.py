"""How a turn ended: told once by the API server where a tool was offered, seen by the engine itself where none was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.server import WEATHER, Server, until

pytestmark = pytest.mark.server

NAMED = {"type": "function", "function": {"name": "get_weather"}}
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]


def chat(server: Server, session: str, **options: Any) -> list[Any]:
    """The choices' messages, or the pieces of the stream, of one chat completion."""
    body = {"model": "smollm2", "messages": QUESTION, "max_tokens": 40, "temperature": 0, "session_id": session}
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json=body | options)
    assert answer.status_code == 200, answer.text
    if not options.get("stream"):
        return [choice["message"] for choice in answer.json()["choices"]]
    pieces = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert pieces[-1] == "[DONE]"
    return [json.loads(piece) for piece in pieces[:-1]]


def grown(server: Server, before: dict[str, int], name: str) -> Any:
    """How much counter *name* has grown, once all verdicts are through."""
    until(lambda: server.counters()["verdicts_under_way"] == 0)
    return server.counters().get(name, 0) - before.get(name, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("kind", "options", "tool"),
    [
        ("required", {"tools": [WEATHER], "tool_choice": "required"}, "get_weather"),
        ("named", {"tools": [WEATHER], "tool_choice": NAMED}, "get_weather"),
        ("auto", {"tools": [WEATHER], "tool_choice": "auto"}, "user"),
        ("none", {"tools": [WEATHER], "tool_choice": "none"}, "user"),
        ("plain", {}, "user"),
    ],
)
def test_the_session_is_paused_on_what_the_answer_calls(
    server: Server, kind: str, options: dict[str, Any], tool: str, stream: bool
) -> None:
    session, before = f"{kind}-{stream}", server.counters()
    chat(server, session, stream=stream, **options)
    watched = kind not in {"none", "plain"}
    ending = "verdicts.end" if tool == "user" else "verdicts.call"
    assert until(lambda: grown(server, before, "turns")) == 1
    assert until(lambda: grown(server, before, ending) == watched)
    assert grown(server, before, "verdicts_sent") == watched
    paused = server.paused(session)
    assert paused is not None
    assert paused.tool == tool
    assert paused.handling in {"preserve", "discard"}


def test_a_stream_brings_the_same_call_as_an_answer_in_one_piece(server: Server) -> None:
    options = {"tools": [WEATHER], "tool_choice": "required"}
    (message,) = chat(server, "same-whole", **options)
    pieces = chat(server, "same-stream", stream=True, **options)
    calls = [call for piece in pieces for choice in piece["choices"] for call in choice["delta"].get("tool_calls", ())]
    streamed = "".join(call["function"].get("arguments", "") for call in calls)
    assert json.loads(streamed) == json.loads(message["tool_calls"][0]["function"]["arguments"])


def test_several_choices_are_one_turn_with_one_verdict(server: Server) -> None:
    before = server.counters()
    assert len(chat(server, "choices", n=2, temperature=1, tools=[WEATHER])) == 2
    assert grown(server, before, "verdicts_sent") == 1


LONG = {"model": "smollm2", "messages": QUESTION, "max_tokens": 800, "ignore_eos": True}


@pytest.mark.parametrize("tools", [[WEATHER], None], ids=["tools", "no-tools"])
def test_a_client_that_leaves_a_stream_is_gone(server: Server, tools: list[Any] | None) -> None:
    before, session = server.counters(), f"left-stream-{bool(tools)}"
    body = LONG | {"tools": tools, "stream": True, "session_id": session}
    with server.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    assert until(lambda: grown(server, before, "verdicts.gone") == bool(tools))
    assert until(lambda: not server.status().engines[0].running)
    assert server.paused(session) is None


@pytest.mark.parametrize("tools", [[WEATHER], None], ids=["tools", "no-tools"])
def test_a_client_that_leaves_before_the_answer_is_gone(server: Server, tools: list[Any] | None) -> None:
    import httpx

    before, session = server.counters(), f"left-early-{bool(tools)}"
    with server.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=LONG | {"tools": tools, "session_id": session}, timeout=1.0)
    assert until(lambda: grown(server, before, "verdicts.gone") == bool(tools))
    assert until(lambda: not server.status().engines[0].running)
    assert server.paused(session) is None


def test_a_refused_request_leaves_nothing_behind(server: Server) -> None:
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json={"model": "other", "messages": QUESTION})
    assert answer.status_code == 404
    assert until(lambda: not server.status().engines[0].running)


def test_a_completion_announces_its_call_by_a_hint(server: Server) -> None:
    body = {"model": "smollm2", "prompt": "Thought: search.", "max_tokens": 4}
    with server.http() as http:
        hints = {"session_id": "announced", "lamps_call_tool": "search"}
        assert http.post("/v1/completions", json=body | {"vllm_xargs": hints}).status_code == 200
        hints = {"session_id": "unlikely", "lamps_call_tool": "search", "lamps_call_chance": 0.2}
        assert http.post("/v1/completions", json=body | {"vllm_xargs": hints}).status_code == 200
    announced = until(lambda: server.paused("announced"))
    unlikely = until(lambda: server.paused("unlikely"))
    assert (announced.tool, unlikely.tool) == ("search", "user")


def test_a_broken_hint_is_left_out_and_counted(server: Server) -> None:
    before = server.counters()
    body = {"model": "smollm2", "prompt": "Hello", "max_tokens": 4}
    with server.http() as http:
        answer = http.post("/v1/completions", json=body | {"vllm_xargs": {"lamps_call_duration_s": "soon"}})
    assert answer.status_code == 200
    assert grown(server, before, "hints.broken") == 1


def test_session_and_tenant_are_read_from_headers(server: Server) -> None:
    body = {"model": "smollm2", "messages": QUESTION, "max_tokens": 4}
    with server.http() as http:
        headers = {"X-Session-ID": "by-header", "X-Lamps-Tenant": "acme"}
        assert http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert until(lambda: server.paused("acme/by-header")) is not None


def test_a_client_cannot_forge_our_own_marks(server: Server) -> None:
    before = server.counters()
    hints = {"lamps_turn": "forged", "lamps_may_call": 0, "session_id": "forger"}
    chat(server, "forger", vllm_xargs=hints, tools=[WEATHER], tool_choice=NAMED)
    assert grown(server, before, "verdicts.call") == 1  # a forged turn id would leave the verdict without its turn
    paused = server.paused("forger")
    assert paused is not None and paused.handling != "provisional"


def test_the_answer_of_the_other_apis_is_read_too(server: Server) -> None:
    parameters = WEATHER["function"]["parameters"]  # type: ignore[index]
    before = server.counters()
    with server.http() as http:
        responses = http.post(
            "/v1/responses",
            json={
                "model": "smollm2",
                "input": "Weather in Paris?",
                "max_output_tokens": 60,
                "tools": [{"type": "function", "name": "get_weather", "parameters": parameters}],
                "tool_choice": "required",
                "session_id": "responses",
            },
        )
        messages = http.post(
            "/v1/messages",
            json={
                "model": "smollm2",
                "max_tokens": 60,
                "messages": QUESTION,
                "tools": [{"name": "get_weather", "input_schema": parameters}],
                "tool_choice": {"type": "any"},
            },
            headers={"X-Session-ID": "messages"},
        )
    assert (responses.status_code, messages.status_code) == (200, 200)
    assert grown(server, before, "verdicts.call") == 2
    for session in ("responses", "messages"):
        paused = server.paused(session)
        assert paused is not None and paused.tool == "get_weather"
