"""The control routes of a server: who may ask, what engines are asked, and what is answered."""

from __future__ import annotations

import asyncio
import json

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from engine_adapter.control.frames import parse_status
from engine_adapter.vllm.api import routes
from engine_adapter.vllm.api.changes import Changes
from engine_adapter.vllm.api.plugin import LampsEndpoints
from engine_adapter.vllm.api.routes import Control, Keys


@pytest.mark.parametrize(
    ("shown", "admitted"),
    [
        ("Bearer one", True),
        ("bearer two", True),
        ("Bearer", False),
        ("Basic one", False),
        ("one", False),
        (None, False),
    ],
)
def test_keys(shown: str | None, admitted: bool) -> None:
    assert Keys(["one", "two"]).admit(shown) is admitted
    assert Keys([]).admit(shown)


ENGINE_FRAME = '{"version": 1, "policy": {"name": "p", "revision": "r"}}'


def control(answers: list[list[str]]) -> tuple[Control, list[tuple[str, str]]]:
    """A Control whose engines give *answers* in turn, the last again and again; and what it asked of them."""
    asked: list[tuple[str, str]] = []

    async def command(name: str, payload: str) -> list[str]:
        asked.append((name, payload))
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return Control(Keys(["secret"]), command, lambda: {"verdicts_sent": 3}), asked


def getting(query: str = "", key: str = "secret") -> Request:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    return Request({"type": "http", "method": "GET", "query_string": query.encode(), "headers": headers})


async def test_the_status_has_each_engine_and_the_counters() -> None:
    made, _ = control([[ENGINE_FRAME, ENGINE_FRAME]])
    status = parse_status(bytes((await made.status(getting())).body))
    assert [frame.policy.name for frame in status.engines] == ["p", "p"]
    assert status.api == {"verdicts_sent": 3}


async def test_an_engine_that_fails_is_told() -> None:
    made, _ = control([[ENGINE_FRAME, '{"error": "KeyError: x"}']])
    answer = await made.status(getting())
    assert answer.status_code == 500 and b"KeyError: x" in answer.body


async def test_events_carry_the_status_and_go_on_after_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LEAST_EVERY_S", 0.0)
    made, asked = control([[ENGINE_FRAME], ['{"error": "a\\nb"}'], [ENGINE_FRAME]])
    answer = await made.events(getting("every=0&rows=7&judged=paused"))
    assert isinstance(answer, StreamingResponse) and answer.media_type == "text/event-stream"
    body = aiter(answer.body_iterator)
    pieces = [bytes(await anext(body)) for _ in range(3)]  # type: ignore[arg-type]
    assert parse_status(pieces[0].removeprefix(b"data: ")).engines[0].policy.revision == "r"
    assert pieces[1] == b"event: trouble\ndata: a b\n\n"
    assert pieces[2].startswith(b"data: {") and pieces[2].endswith(b"\n\n")
    assert asked[0] == ("status", '{"rows": 7, "judged": ["paused"], "since": {}}')


async def test_each_event_asks_for_the_decisions_since_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LEAST_EVERY_S", 0.0)
    decided = [
        ENGINE_FRAME[:-1]
        + f', "id": "{engine}", "decisions": [{{"number": 4, "at": 0}}, {{"number": {last}, "at": 1}}]}}'
        for engine, last in (("0", 5), ("1", 7))
    ]
    quiet = ENGINE_FRAME[:-1] + ', "id": "0", "decisions": []}'
    made, asked = control([decided, [quiet], [quiet]])
    answer = await made.events(getting("every=0"))
    assert isinstance(answer, StreamingResponse)
    body = aiter(answer.body_iterator)
    for _ in range(3):
        await anext(body)
    assert [json.loads(payload)["since"] for _, payload in asked] == [{}, {"0": 5, "1": 7}, {"0": 5, "1": 7}]
    assert json.loads(asked[0][1])["judged"] == ["waiting", "paused"]
    for wrong in ("judged=running", "rows=x"):
        assert (await made.events(getting(wrong))).status_code == 400


async def test_streams_end_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LOOK_S", 0.01)
    stops = asyncio.Event()

    async def command(name: str, payload: str) -> list[str]:
        return [ENGINE_FRAME if name == "status" else '{"engine": "0", "number": 0}']

    made = Control(Keys([]), command, dict, stops.is_set)
    for answer in (await made.events(getting("every=60")), await made.turns(getting())):
        assert isinstance(answer, StreamingResponse)
        body = aiter(answer.body_iterator)
        assert bytes(await anext(body)).startswith(b"data: ")  # type: ignore[arg-type]
        stops.set()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(body), 5)
        stops.clear()


async def test_an_engine_that_ends_before_it_answers_keeps_no_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LOOK_S", 0.01)
    stops = asyncio.Event()

    async def command(name: str, payload: str) -> list[str]:
        stops.set()  # Ctrl-C: the server is told to stop, and the engine is gone
        await asyncio.Event().wait()
        return []

    answer = await Control(Keys([]), command, dict, stops.is_set).events(getting())
    assert isinstance(answer, StreamingResponse)
    body = aiter(answer.body_iterator)
    event = await asyncio.wait_for(anext(body), 5)
    assert isinstance(event, bytes) and event.startswith(b"event: trouble\n")
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(body), 5)


def test_every_control_route_asks_for_the_key() -> None:
    made, asked = control([[ENGINE_FRAME]])
    endpoints, app = LampsEndpoints(), FastAPI()
    endpoints.attach_router(app)
    endpoints._control, endpoints._changes = made, Changes(Keys(["secret"]), made._command)
    routes = [(route.path, method) for route in app.routes for method in getattr(route, "methods", ())]
    ours = [(path, method) for path, method in routes if path.startswith("/lamps/")]
    assert {("/lamps/state", "GET"), ("/lamps/turns", "GET"), ("/lamps/reload", "POST")} < set(ours)
    client = TestClient(app)
    for path, method in ours:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            assert client.request(method, path, headers=headers).status_code == 401, (path, headers)
    assert asked == []


async def test_a_stream_at_no_pace_is_refused() -> None:
    made, _ = control([[ENGINE_FRAME]])
    assert (await made.events(getting("every=soon"))).status_code == 400
