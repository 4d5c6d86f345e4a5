"""The control routes under /lamps: status, events, turns, steps and state, behind the same key as /v1.

vLLM's own key check covers a few path prefixes and these are not among them, so they check for themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from engine_adapter.control.frames import JUDGED

Command = Callable[[str, str], Awaitable[list[str]]]

STATUS_PATH = "/lamps/status"
STATE_PATH = "/lamps/state"
EVENTS_PATH = "/lamps/events"
TURNS_PATH = "/lamps/turns"
STEPS_PATH = "/lamps/steps"
TURNS_EVERY_S = 1.0
# A frame costs the engine a few milliseconds between two steps: nobody may ask for it all the time.
LEAST_EVERY_S, MOST_EVERY_S = 0.25, 60.0
# A stream looks so often whether its server stops.
LOOK_S = 0.25


def failure(status: HTTPStatus, message: str) -> JSONResponse:
    """An error in the shape of vLLM's own."""
    error = {"message": message, "type": status.phrase, "param": None, "code": int(status)}
    return JSONResponse({"error": error}, status_code=int(status))


class Keys:
    """The keys a caller may show. Without any the server is open, as vLLM is."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    @property
    def open(self) -> bool:
        """Whether no key is asked for."""
        return not self._digests

    def admit(self, authorization: str | None) -> bool:
        """Whether *authorization* (`Bearer KEY`) shows a key. The time it takes tells nothing about the keys."""
        if not self._digests:
            return True
        scheme, _, key = (authorization or "").partition(" ")
        shown = hashlib.sha256(key.encode()).digest()
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)


class Control:
    """Answers the control routes through *command*, which asks every engine of this server. *stopping*: whether the
    server is on its way out; it waits for its streams."""

    def __init__(
        self,
        keys: Keys,
        command: Command,
        counters: Callable[[], Mapping[str, int]],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._keys = keys
        self._command = command
        self._counters = counters
        self._stopping = stopping

    async def status(self, request: Request) -> Response:
        """One frame for each data-parallel engine, and the counters of this API server."""
        if (refused := self._refused(request)) is not None:
            return refused
        return _response(await self._status({}))

    async def counts(self) -> bytes:
        """The status without rows, for metrics, which are open as vLLM's are. RuntimeError where there is none."""
        answer = await self._status({"rows": 0})
        if isinstance(answer, Trouble):
            raise RuntimeError(answer.sentence)
        return answer

    async def events(self, request: Request) -> Response:
        """The status again and again, as server-sent events: every `?every=` seconds, with `?rows=` rows of a kind.

        `?judged=waiting,paused`: those with what the policy says of each now. Each event has the decisions since
        the one before. An event `trouble` says in a sentence why there is no status now; the stream goes on.
        """
        if (refused := self._refused(request)) is not None:
            return refused
        try:
            every_s = min(max(float(request.query_params.get("every", 1.0)), LEAST_EVERY_S), MOST_EVERY_S)
            rows = int(request.query_params.get("rows", 50))
        except ValueError:
            return failure(HTTPStatus.BAD_REQUEST, "every is in seconds, rows is a whole number")
        judged = [kind for kind in request.query_params.get("judged", ",".join(JUDGED)).split(",") if kind]
        if not set(judged) <= set(JUDGED):
            return failure(HTTPStatus.BAD_REQUEST, f"judged is one or several of {', '.join(JUDGED)}, with commas")
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # a proxy passes each event on at once
        return StreamingResponse(self._stream(every_s, rows, judged), media_type="text/event-stream", headers=headers)

    async def state(self, request: Request) -> Response:
        """The live rows of each data-parallel engine, those of `?request=NAME` in any case."""
        if (refused := self._refused(request)) is not None:
            return refused
        return _response(await self._asked("state", {"requests": request.query_params.getlist("request")}))

    async def turns(self, request: Request) -> Response:
        """Lengths and times of the turns that finish from now on, as server-sent events: what `lamps record` reads."""
        if (refused := self._refused(request)) is not None:
            return refused
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._turns(), media_type="text/event-stream", headers=headers)

    async def steps(self, request: Request) -> Response:
        """What each step did and how long it took, after those of `?since=ENGINE:NUMBER`: for `lamps profile`."""
        if (refused := self._refused(request)) is not None:
            return refused
        try:
            named = [part.partition(":") for part in request.query_params.getlist("since")]
            since = {engine: int(number) for engine, _, number in named}
        except ValueError:
            return failure(HTTPStatus.BAD_REQUEST, "since is ENGINE:NUMBER, as 0:1234")
        return _response(await self._asked("steps", {"since": since}))

    async def _turns(self) -> AsyncIterator[bytes]:
        since: dict[str, int] = {}
        goes_on = True
        while goes_on:
            answer = await self._asked("turns", {"since": since})
            match answer:
                case bytes():
                    engines = msgspec.json.decode(answer, type=_Numbers).engines
                    since = {one.engine: one.number for one in engines}
                    yield b"data: " + answer + b"\n\n"
                case _:
                    yield f"event: trouble\ndata: {answer.sentence}\n\n".encode()
            goes_on = await self._goes_on(TURNS_EVERY_S)

    async def _stream(self, every_s: float, rows: int, judged: Sequence[str]) -> AsyncIterator[bytes]:
        since: dict[str, int] = {}
        goes_on = True
        while goes_on:
            answer = await self._status({"rows": rows, "judged": judged, "since": since})
            match answer:
                case bytes():
                    engines = msgspec.json.decode(answer, type=_Decided).engines
                    since |= {one.id: one.decisions[-1].number for one in engines if one.decisions}
                    yield b"data: " + answer + b"\n\n"
                case _:
                    yield f"event: trouble\ndata: {answer.sentence}\n\n".encode()
            goes_on = await self._goes_on(every_s)

    async def _goes_on(self, after_s: float) -> bool:
        """Wait, but not longer than the server lives; whether there is more to come."""
        end = time.monotonic() + after_s
        while not self._stopping() and (left_s := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, LOOK_S))
        return not self._stopping()

    async def _while_it_lives(self, asked: Awaitable[list[str]]) -> list[str]:
        """What the engines answer. One that ends meanwhile never does, and a server that waited for it would never end.

        Raises RuntimeError where the server stops first, and what *asked* raises.
        """
        answer = asyncio.ensure_future(asked)
        try:
            while not (await asyncio.wait({answer}, timeout=LOOK_S))[0]:
                if self._stopping():
                    raise RuntimeError("the server stops")
            return answer.result()
        finally:
            answer.cancel()  # where it isn't done: the server stops, or who asked has gone

    async def _status(self, payload: Mapping[str, Any]) -> bytes | Trouble:
        return await self._asked("status", payload, b', "api": ' + json.dumps(dict(self._counters())).encode())

    def _refused(self, request: Request) -> Response | None:
        if self._keys.admit(request.headers.get("Authorization")):
            return None
        return failure(HTTPStatus.UNAUTHORIZED, "this server asks for an API key: Authorization: Bearer KEY")

    async def _asked(self, name: str, payload: Mapping[str, Any], more: bytes = b"") -> bytes | Trouble:
        """What every engine answers to the command *name*, as one document with *more* in it; or why there is none."""
        try:
            answers = await self._while_it_lives(self._command(name, json.dumps(payload)))
            for answer in answers:
                if error := msgspec.json.decode(answer, type=_Answer).error:
                    return Trouble(HTTPStatus.INTERNAL_SERVER_ERROR, error)
        except Exception as problem:
            return Trouble(HTTPStatus.SERVICE_UNAVAILABLE, f"the engine did not answer: {problem}")
        return b'{"version": 1, "engines": [' + ", ".join(answers).encode() + b"]" + more + b"}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an engine gave no answer."""

    status: HTTPStatus
    message: str

    @property
    def sentence(self) -> str:
        return " ".join(self.message.split())


class _Answer(msgspec.Struct):
    error: str = ""


class _Number(msgspec.Struct):
    engine: str
    number: int


class _Numbers(msgspec.Struct):
    engines: list[_Number]


class _Decision(msgspec.Struct):
    number: int


class _Frame(msgspec.Struct):
    id: str = ""
    decisions: list[_Decision] = []


class _Decided(msgspec.Struct):
    engines: list[_Frame]


def _response(answer: bytes | Trouble) -> Response:
    match answer:
        case bytes():
            return Response(answer, media_type="application/json")
        case _:
            return failure(answer.status, answer.message)
