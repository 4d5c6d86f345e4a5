"""The routes that change what decides: POST /lamps/off, /lamps/on, /lamps/reload, /lamps/params and /lamps/shadow.

Behind the same key as /v1. A server without a key takes them from its own machine only, and from no web page: they do
more than a completion does. A policy is checked here, in the API server's process, before any engine hears of it; then
every engine tries it on what waits there, and it is put in force only where none of them refuses.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine_adapter.runtime.activation import compiled
from engine_adapter.vllm.api.routes import Command, Keys, failure
from policy_dsl.compiled import ParamError

OFF_PATH, ON_PATH = "/lamps/off", "/lamps/on"
RELOAD_PATH, PARAMS_PATH, SHADOW_PATH = "/lamps/reload", "/lamps/params", "/lamps/shadow"
# The text of a policy; the longest shipped one has 6 kB.
LARGEST = 1_000_000
# A policy is compiled in a tenth of a second, on a busy machine in a few.
LOOKS_AGAIN_S, LONGEST_S = 0.02, 30.0


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request. *text* of a policy, which *path* names for people; *params*: words NAME=VALUE.

    *dry_run*: try it, change nothing. *shadow*: ask it beside the policy in force. *promote*: the shadow is meant.
    *drop*: the shadow is asked no longer. *trial_s*: for so long the guard returns to the policy before.
    """

    text: str | None = None
    path: str = "<sent>"
    params: tuple[str, ...] = ()
    dry_run: bool = False
    shadow: bool = False
    promote: bool = False
    drop: bool = False
    trial_s: float = 300.0


class Refused(Exception):
    """The change is not made; the message says why."""


class Changes:
    """Answers the routes through *command*, which asks every engine of this server. One change at a time."""

    def __init__(self, keys: Keys, command: Command) -> None:
        self._keys = keys
        self._command = command
        self._lock = asyncio.Lock()

    async def off(self, request: Request) -> Response:
        """Every engine serves first come, first served, and holds nothing for paused sessions."""
        return await self._answered(request, lambda ask: self._told("off", {}))

    async def on(self, request: Request) -> Response:
        """The chosen policy decides again."""
        return await self._answered(request, lambda ask: self._told("on", {}))

    async def reload(self, request: Request) -> Response:
        """Another policy: *text*, or the shadow where *promote* says so."""
        return await self._answered(request, self._reload)

    async def params(self, request: Request) -> Response:
        """Other values for params of the chosen policy."""
        return await self._answered(request, self._set)

    async def shadow(self, request: Request) -> Response:
        """Drop the shadow, or promote it."""
        return await self._answered(request, self._of_shadow)

    async def _answered(self, request: Request, change: Callable[[Ask], Awaitable[dict[str, Any]]]) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        body = await request.body()
        if len(body) > LARGEST:
            return failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST:,} bytes")
        try:
            ask = msgspec.json.decode(body or b"{}", type=Ask)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            return failure(HTTPStatus.BAD_REQUEST, str(problem))
        try:
            async with self._lock:
                return JSONResponse({"version": 1, **await change(ask)})
        except Refused as problem:
            return failure(HTTPStatus.UNPROCESSABLE_ENTITY, str(problem))
        except Exception as problem:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, f"the engine did not answer: {problem}")

    def _refused(self, request: Request) -> Response | None:
        if not self._keys.admit(request.headers.get("Authorization")):
            return failure(HTTPStatus.UNAUTHORIZED, "this server asks for an API key: Authorization: Bearer KEY")
        if self._keys.open and (not _is_near(request) or "Origin" in request.headers):
            why = "a server without an API key takes changes from its own machine only: start it with --api-key"
            return failure(HTTPStatus.FORBIDDEN, why)
        return None

    async def _reload(self, ask: Ask) -> dict[str, Any]:
        if ask.text is None and not ask.promote:
            raise Refused("the text of a policy is wanted")
        if ask.text is not None:
            try:  # parsing takes a tenth of a second, in which other requests are answered
                await asyncio.to_thread(compiled, ask.text, ask.path, ask.params)
            except (ValueError, ParamError) as problem:
                raise Refused(str(problem)) from problem
        what = {"promote": True} if ask.text is None else {"text": ask.text, "path": ask.path}
        return await self._prepared({**what, "params": ask.params}, ask)

    async def _set(self, ask: Ask) -> dict[str, Any]:
        if not ask.params:
            raise Refused("no param is named: NAME=VALUE")
        return await self._prepared({"params": ask.params}, ask)

    async def _of_shadow(self, ask: Ask) -> dict[str, Any]:
        if ask.drop:
            return await self._told("drop-shadow", {})
        return await self._reload(ask)

    async def _prepared(self, what: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
        """Tried in every engine, and put in force where none refuses and nobody asked for a trial only."""
        if "text" in what:
            await self._compiled(what)
        prepared = (await self._told("prepare", what))["engines"]
        if ask.dry_run:
            return {"engines": prepared}
        revision = prepared[0]["policy"]["revision"]
        commit = {"revision": revision, "shadow": ask.shadow, "trial_s": ask.trial_s}
        standing = (await self._told("commit", commit))["engines"]
        return {"engines": [{**a, **b} for a, b in zip(prepared, standing, strict=True)]}

    async def _compiled(self, what: Mapping[str, Any]) -> None:
        """Every engine has compiled the text, or found out why it can't: `prepare` will say. They serve meanwhile."""
        end = time.monotonic() + LONGEST_S
        while any(engine["pending"] for engine in (await self._told("compile", what))["engines"]):
            if time.monotonic() > end:
                raise Refused(f"an engine has not compiled it within {LONGEST_S:g} s")
            await asyncio.sleep(LOOKS_AGAIN_S)

    async def _told(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What every engine answers."""
        answers = [json.loads(answer) for answer in await self._command(name, json.dumps(payload))]
        for number, answer in enumerate(answers):
            if "error" in answer:
                raise RuntimeError(answer["error"])
            if "refused" in answer:
                raise Refused(answer["refused"] if len(answers) == 1 else f"engine {number}: {answer['refused']}")
        return {"engines": answers}


def _is_near(request: Request) -> bool:
    """Whether the caller is on this machine. A socket in the file system has no address."""
    if request.client is None:
        return True
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
