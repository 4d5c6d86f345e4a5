"""The control routes: /lamps/status and /lamps/state, behind the same key as /v1.

vLLM's own key check covers a few path prefixes and these are not among them, so they check for themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Command = Callable[[str, str], Awaitable[list[str]]]

STATUS_PATH = "/lamps/status"
STATE_PATH = "/lamps/state"


def failure(status: HTTPStatus, message: str) -> JSONResponse:
    """An error in the shape of vLLM's own."""
    error = {"message": message, "type": status.phrase, "param": None, "code": int(status)}
    return JSONResponse({"error": error}, status_code=int(status))


class Keys:
    """The keys a caller may show. Without any the server is open, as vLLM is."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def admit(self, authorization: str | None) -> bool:
        """Whether *authorization* (`Bearer KEY`) shows a key. The time it takes tells nothing about the keys."""
        if not self._digests:
            return True
        scheme, _, key = (authorization or "").partition(" ")
        shown = hashlib.sha256(key.encode()).digest()
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)


class Control:
    """Answers the control routes through *command*, which asks every engine of this server."""

    def __init__(self, keys: Keys, command: Command, counters: Callable[[], Mapping[str, int]]) -> None:
        self._keys = keys
        self._command = command
        self._counters = counters

    async def status(self, request: Request) -> Response:
        """One frame for each data-parallel engine, and the counters of this API server."""
        frames = await self._asked(request, "status", {})
        if isinstance(frames, Response):
            return frames
        return JSONResponse(finite({"version": 1, "engines": frames, "api": dict(self._counters())}))

    async def state(self, request: Request) -> Response:
        """The live rows of each data-parallel engine, those of `?request=NAME` in any case."""
        states = await self._asked(request, "state", {"requests": request.query_params.getlist("request")})
        return states if isinstance(states, Response) else JSONResponse({"version": 1, "engines": states})

    async def _asked(self, request: Request, name: str, payload: Mapping[str, Any]) -> list[Any] | Response:
        """What every engine answers to the command *name*, or why there is no answer."""
        if not self._keys.admit(request.headers.get("Authorization")):
            return failure(HTTPStatus.UNAUTHORIZED, "this server asks for an API key: Authorization: Bearer KEY")
        try:
            answers = [json.loads(answer) for answer in await self._command(name, json.dumps(payload))]
        except Exception as problem:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, f"the engine did not answer: {problem}")
        for answer in answers:
            if "error" in answer:
                return failure(HTTPStatus.INTERNAL_SERVER_ERROR, str(answer["error"]))
        return answers


def finite(value: Any) -> Any:
    """*value* with infinities and NaN as null: a rank may be infinite, JSON may not."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list():
            return [finite(item) for item in value]
        case _:
            return value
