"""Marks, readers, verdicts and the layer around handlers, without vLLM: requests and answers are made by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from engine_adapter.vllm.api import verdicts as verdicts_module
from engine_adapter.vllm.api.layer import Layer
from engine_adapter.vllm.api.marks import mark, offers_call, steer
from engine_adapter.vllm.api.outcome import ChatReader, Outcome, ResponsesReader
from engine_adapter.vllm.api.verdicts import Verdicts


def request(**fields: Any) -> Any:
    return SimpleNamespace(**{"vllm_xargs": None, "session_id": None, "tools": None, "tool_choice": None} | fields)


def offering(**fields: Any) -> Any:
    return request(tools=[{"function": {"name": "f"}}], **fields)


def event(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> str:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]}, separators=(',', ':'))}\n\n"


def call(name: str | None, index: int = 0) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"name": name} if name else {"arguments": "{"}}]}


@pytest.mark.parametrize(
    ("body", "header", "hint", "wanted"),
    [("b", "h", "x", "b"), (None, "h", "x", "h"), (None, None, "x", "x"), (None, None, None, None)],
)
def test_the_session_of_the_body_wins_over_header_and_hint(
    body: str | None, header: str | None, hint: str | None, wanted: str | None
) -> None:
    asked = request(session_id=body, vllm_xargs={"session_id": hint} if hint else None)
    mark(asked, {"X-Session-ID": header} if header else {}, offers_call=False)
    assert (asked.vllm_xargs or {}).get("session_id") == wanted


def test_a_request_about_which_there_is_nothing_to_say_stays_as_it_is() -> None:
    asked = request()
    assert mark(asked, {}, offers_call=False) == ""
    assert asked.vllm_xargs is None


@pytest.mark.parametrize("offers_call", [True, False])
def test_marks_keep_hints_and_replace_our_own_words(offers_call: bool) -> None:
    given = {"lamps_output_tokens": 9, "lamps_turn": "forged", "lamps_may_call": 1, "lamps_tenant": "mine"}
    asked = request(vllm_xargs=given)
    turn = mark(asked, {"X-Lamps-Tenant": "theirs"}, offers_call=offers_call)
    ours = {"lamps_turn": turn, "lamps_may_call": 1} if offers_call else {}
    assert asked.vllm_xargs == {"lamps_output_tokens": 9, "lamps_tenant": "mine", **ours}
    assert bool(turn) is offers_call
    assert turn != "forged"
    assert given["lamps_turn"] == "forged"  # the client's own object is left alone


def test_a_session_stays_with_its_engine() -> None:
    def rank_of(session: str | None, *headers: tuple[bytes, bytes], engines: int = 4) -> str | None:
        raw = Request({"type": "http", "headers": list(headers)})
        asked = request(session_id=session)
        mark(asked, raw.headers, offers_call=False)
        steer(asked, raw, engines)
        return raw.headers.get("X-data-parallel-rank")

    ranks = {rank_of(f"s{number}") for number in range(100)}
    assert ranks == {"0", "1", "2", "3"}
    assert rank_of("s1") == rank_of("s1")
    assert rank_of("s1", (b"x-data-parallel-rank", b"9")) == "9"
    assert rank_of(None) is None
    assert rank_of("s1", engines=1) is None


@pytest.mark.parametrize(
    ("tools", "choice", "wanted"),
    [
        ([1], "auto", True),
        ([1], None, True),
        ([1], {"type": "function"}, True),
        ([1], "none", False),
        ([], "auto", False),
    ],
)
def test_a_turn_may_call_where_tools_are_offered_and_allowed(tools: list[int], choice: Any, wanted: bool) -> None:
    assert offers_call(request(tools=tools, tool_choice=choice)) is wanted


def test_a_streamed_call_is_told_by_its_last_piece() -> None:
    reader = ChatReader(1)
    assert reader.chunk(event({"role": "assistant", "content": ""})) is None
    assert reader.chunk(event(call("get_weather"))) is None
    assert reader.chunk(event(call("get_time", index=1))) is None
    assert reader.chunk(event(call(None))) is None
    assert reader.chunk(event({}, "tool_calls")) == Outcome("call", ("get_weather", "get_time"))


def test_a_forced_call_finishes_with_stop_and_is_a_call() -> None:
    reader = ChatReader(1)
    reader.chunk(event(call("get_weather")))
    assert reader.chunk(event({}, "stop")) == Outcome("call", ("get_weather",))


def test_text_that_looks_like_a_call_is_text() -> None:
    reader = ChatReader(1)
    assert (
        reader.chunk(event({"content": '"tool_calls": [{"function": {"name": "x"}}] "finish_reason":"stop"'})) is None
    )
    assert reader.chunk(event({"content": "."}, "stop")) == Outcome("end")


def test_all_choices_must_finish() -> None:
    reader = ChatReader(2)
    assert reader.chunk(event({"content": "a"}, "stop", index=1)) is None
    reader.chunk(event(call("f")))
    assert reader.chunk(event({}, "tool_calls")) == Outcome("call", ("f",))


@pytest.mark.parametrize(
    "piece", ["data: [DONE]\n\n", ": keep-alive\n\n", 'data: {"error":{"finish_reason":"x"}}\n\n', "\n"]
)
def test_other_pieces_tell_nothing(piece: str) -> None:
    reader = ChatReader(1)
    assert reader.chunk(piece) is None
    assert reader.cut() == Outcome("gone")


def test_whole_chat_answers() -> None:
    function = SimpleNamespace(function=SimpleNamespace(name="f"))
    choices = [SimpleNamespace(message=SimpleNamespace(tool_calls=calls)) for calls in (None, [function])]
    assert ChatReader(2).whole(SimpleNamespace(choices=choices)) == Outcome("call", ("f",))
    assert ChatReader(1).whole(SimpleNamespace(choices=choices[:1])) == Outcome("end")
    assert ChatReader(1).whole(SimpleNamespace(error="no")) == Outcome("gone")


def test_responses_answers() -> None:
    item = SimpleNamespace(type="function_call", name="f")
    assert ResponsesReader().whole(SimpleNamespace(output=[item], status="completed")) == Outcome("call", ("f",))
    assert ResponsesReader().whole(SimpleNamespace(output=[], status="queued")) is None
    reader = ResponsesReader()
    assert reader.chunk(SimpleNamespace(type="response.output_item.done", item=item)) is None
    assert reader.chunk(SimpleNamespace(type="response.completed")) == Outcome("call", ("f",))


class Told:
    """Collects verdicts."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.turns: list[str] = []

    def __call__(self, turn: str, outcome: Outcome) -> None:
        self.turns.append(turn)
        self.outcomes.append(outcome)


async def collect(stream: Any) -> list[Any]:
    return [piece async for piece in stream]


async def pieces(*items: str, fail: BaseException | None = None) -> AsyncGenerator[str, None]:
    for item in items:
        yield item
    if fail is not None:
        raise fail


async def test_a_stream_passes_unchanged_and_is_told_before_its_last_piece_is_read() -> None:
    told = Told()
    events = [event({"content": "a"}), event({}, "stop"), "data: [DONE]\n\n"]

    async def handler(request: Any, raw_request: Any) -> Any:
        return pieces(*events)

    asked = offering()
    stream = await Layer(told).chat(handler)(asked, None)
    assert await anext(stream) == events[0]
    assert await anext(stream) == events[1]
    assert told.outcomes == [Outcome("end")]
    assert await collect(stream) == events[2:]
    assert told.outcomes == [Outcome("end")]
    assert told.turns == [asked.vllm_xargs["lamps_turn"]]


async def test_an_answer_that_cannot_call_passes_unwatched() -> None:
    told = Told()
    stream = pieces(event({"content": "a"}), fail=RuntimeError("broken"))

    async def handler(request: Any, raw_request: Any) -> Any:
        return stream

    layer = Layer(told)
    asked = [request(), offering(tool_choice="none"), request(vllm_xargs={"lamps_call_tool": "search"})]
    for wrap, ask in zip((layer.chat, layer.responses, layer.completion), asked, strict=True):
        assert await wrap(handler)(ask, None) is stream
    assert [ask.vllm_xargs for ask in asked] == [None, None, {"lamps_call_tool": "search"}]
    assert told.turns == []
    with pytest.raises(RuntimeError):
        await collect(stream)
    assert told.outcomes == []


async def test_a_stream_that_is_left_is_gone_and_closed() -> None:
    told, inner = Told(), pieces(event({"content": "a"}), event({"content": "b"}))

    async def handler(request: Any, raw_request: Any) -> Any:
        return inner

    stream = await Layer(told).chat(handler)(offering(), None)
    await anext(stream)
    await stream.aclose()
    assert told.outcomes == [Outcome("gone")]
    assert await collect(inner) == []  # closed, so vLLM aborts the request


@pytest.mark.parametrize("failure", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_a_failure_is_passed_on_and_told(failure: BaseException) -> None:
    told = Told()

    async def handler(request: Any, raw_request: Any) -> Any:
        raise failure

    async def streaming(request: Any, raw_request: Any) -> Any:
        return pieces(event({"content": "a"}), fail=failure)

    with pytest.raises(type(failure)):
        await Layer(told).chat(handler)(offering(), None)
    with pytest.raises(type(failure)):
        await collect(await Layer(told).chat(streaming)(offering(), None))
    assert told.outcomes == [Outcome("gone"), Outcome("gone")]


async def test_verdicts_never_wait_and_failures_are_counted() -> None:
    arrived: list[Any] = []
    gate = asyncio.Event()

    async def command(name: str, payload: str) -> None:
        await gate.wait()
        arrived.append((name, json.loads(payload)))
        if len(arrived) == 2:
            raise ConnectionError("engine died")

    verdicts = Verdicts(command)
    verdicts.deliver("t1", Outcome("call", ("f",)))
    verdicts.deliver("t2", Outcome("end"))
    assert verdicts.counters["verdicts_under_way"] == 2
    gate.set()
    await asyncio.sleep(0.01)
    assert arrived[0] == ("verdict", {"turn": "t1", "outcome": "call", "tools": ["f"]})
    assert verdicts.counters == {
        "verdicts_sent": 1, "verdicts_failed": 1, "verdicts_dropped": 0, "verdicts_under_way": 0
    }  # fmt: skip


async def test_an_engine_that_hangs_costs_a_bounded_number_of_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts_module, "MAX_UNDER_WAY", 2)
    monkeypatch.setattr(verdicts_module, "TIMEOUT_S", 0.01)

    async def hangs(name: str, payload: str) -> None:
        await asyncio.Event().wait()

    verdicts = Verdicts(hangs)
    for number in range(3):
        verdicts.deliver(str(number), Outcome("end"))
    assert verdicts.counters["verdicts_dropped"] == 1
    await asyncio.sleep(0.1)
    assert (verdicts.counters["verdicts_failed"], verdicts.counters["verdicts_under_way"]) == (2, 0)
