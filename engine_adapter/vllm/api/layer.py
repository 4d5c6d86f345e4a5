"""The layer around vLLM's handlers: marks the request on its way in, watches the answer on its way out.

A request that may end in a tool call is one turn with exactly one verdict, whatever happens: answered, failed,
cancelled, or the client gone in the middle of the stream. With n > 1 or several prompts the engine's child requests
share the turn id and the verdict. Where no tool is offered, and in plain completions, whose client announces a call by
a hint, the engine sees the end (or the abort) and what it means by itself: those answers pass unwatched.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from engine_adapter.vllm.api.marks import mark, offers_call, steer
from engine_adapter.vllm.api.outcome import GONE, ChatReader, Outcome, Reader, ResponsesReader
from engine_adapter.vllm.compat_api import Answer, Handler, is_stream

Deliver = Callable[[str, Outcome], None]


class Layer:
    """Makes a handler into one that marks and watches.

    *deliver* takes a turn's id and how it ended. *engines*: how many of them this API server may choose from.
    """

    def __init__(self, deliver: Deliver, engines: int = 1) -> None:
        self._deliver = deliver
        self._engines = engines

    def chat(self, handler: Handler) -> Handler:
        return self._watched(handler, lambda request: ChatReader(getattr(request, "n", None) or 1))

    def responses(self, handler: Handler) -> Handler:
        return self._watched(handler, lambda request: ResponsesReader())

    def completion(self, handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def handle(request: Any, raw_request: Any = None, *rest: Any, **options: Any) -> Answer:
            self._mark(request, raw_request, may_call=False)
            return await handler(request, raw_request, *rest, **options)

        return handle

    def _watched(self, handler: Handler, reader_of: Callable[[Any], Reader]) -> Handler:
        @functools.wraps(handler)
        async def handle(request: Any, raw_request: Any = None, *rest: Any, **options: Any) -> Answer:
            may_call = offers_call(request)
            turn = self._mark(request, raw_request, may_call)
            if not may_call:
                return await handler(request, raw_request, *rest, **options)
            reader = reader_of(request)
            try:
                answer = await handler(request, raw_request, *rest, **options)
            except BaseException:
                self._deliver(turn, GONE)
                raise
            if is_stream(answer):
                return self._watch(answer, turn, reader)
            if (outcome := reader.whole(answer)) is not None:
                self._deliver(turn, outcome)
            return answer

        return handle

    def _mark(self, request: Any, raw_request: Any, may_call: bool) -> str:
        headers: Mapping[str, str] = raw_request.headers if raw_request is not None else {}
        turn = mark(request, headers, may_call)
        if raw_request is not None:
            steer(request, raw_request, self._engines)
        return turn

    async def _watch(self, stream: AsyncGenerator[Any, None], turn: str, reader: Reader) -> AsyncGenerator[Any, None]:
        outcome: Outcome | None = None
        try:
            async with aclosing(stream):
                async for piece in stream:
                    if outcome is None and (outcome := reader.chunk(piece)) is not None:
                        self._deliver(turn, outcome)
                    yield piece
        finally:
            if outcome is None:
                self._deliver(turn, reader.cut())
