"""What a client sends: a proxy that passes everything on unchanged and keeps the requests, and a description of them.

Described is what matters to a scheduler: what could name a session, whether answers are streamed, how tools are offered
and how their results come back. Values are never kept.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine_adapter.workload.client import KEEP_ALIVE_S

ANSWERING = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
# What every client sends, and what names the machine or the package, not a session.
COMMON = frozenset({
    "host", "connection", "accept", "accept-encoding", "accept-language", "content-type", "content-length",
    "user-agent", "authorization", "x-api-key", "cookie", "transfer-encoding", "anthropic-version",
})  # fmt: skip
COMMON_PREFIXES = ("x-stainless-",)
# Fields of a request that somebody could take for the name of a session.
NAMING = (
    "session_id", "user", "prompt_cache_key", "safety_identifier", "metadata", "previous_response_id", "conversation",
)  # fmt: skip
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Sent:
    """A request for an answer: names of *headers* in small letters."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(slots=True)
class Proxy:
    """*url*: where clients turn to. *sent*: what they asked for so far, oldest first."""

    upstream: str
    url: str = ""
    sent: list[Sent] = field(default_factory=list)

    def app(self) -> Starlette:
        limits = httpx.Limits(keepalive_expiry=KEEP_ALIVE_S)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
            async with httpx.AsyncClient(base_url=self.upstream, timeout=600, limits=limits, trust_env=False) as http:
                yield {"http": http}

        async def forward(request: Request) -> Response:
            http: httpx.AsyncClient = request.state.http
            body = await request.body()
            if request.url.path in ANSWERING and (asked := _asked(body)):
                self.sent.append(Sent(request.url.path, dict(request.headers), asked))
            headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP | {"host"}]
            target = httpx.URL(path=request.url.path, query=request.url.query.encode())
            onward = http.build_request(request.method, target, headers=headers, content=body)
            answer = await http.send(onward, stream=True)
            told = {name: value for name, value in answer.headers.items() if name not in _HOP}
            return StreamingResponse(
                answer.aiter_raw(), answer.status_code, told, background=BackgroundTask(answer.aclose)
            )

        return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST", "DELETE"])], lifespan=lifespan)


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy before *upstream*, in a thread of this process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        made = Proxy(upstream, f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield made
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _asked(body: bytes) -> dict[str, Any]:
    """The body of a request; {} where it is none."""
    try:
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def described(sent: Sequence[Sent]) -> dict[str, str]:
    """What a client's requests have in common, in words; a value of "" says that there is none of it."""
    streamed = sum(bool(one.body.get("stream")) for one in sent)
    return {
        "requests": str(len(sent)),
        "path": _list(one.path for one in sent),
        "names": "; ".join([*_headers(sent), *_fields(sent)]),
        "streamed": "all" if streamed == len(sent) else f"{streamed} of {len(sent)}" if streamed else "none",
        "tools": _list(_shape(tool) for one in sent for tool in one.body.get("tools") or ()),
        "tool_choice": _list(_choice(one.body) for one in sent if one.body.get("tools")),
        "results": _list(result for one in sent for result in _results(one.body)),
    }


def _list(words: Iterable[str]) -> str:
    """Each once, in the order of their first coming."""
    return ", ".join(dict.fromkeys(words))


def _headers(sent: Sequence[Sent]) -> Iterator[str]:
    names = {name for one in sent for name in one.headers}
    for name in sorted(name for name in names - COMMON if not name.startswith(COMMON_PREFIXES)):
        yield f"header `{name}`: {_varies([one.headers[name] for one in sent if name in one.headers], len(sent))}"


def _fields(sent: Sequence[Sent]) -> Iterator[str]:
    for name in NAMING:
        values = [json.dumps(one.body[name], sort_keys=True) for one in sent if one.body.get(name) is not None]
        if values:
            yield f"field `{name}`: {_varies(values, len(sent))}"


def _varies(values: Sequence[str], requests: int) -> str:
    """How many values there are: one for everything, one for each request, or something between, as sessions have."""
    different = len(set(values))
    missing = "" if len(values) == requests else f", missing in {requests - len(values)}"
    if different == 1:
        return f"always the same{missing}"
    return f"another in each request{missing}" if different == len(values) else f"{different} values{missing}"


def _shape(tool: Mapping[str, Any]) -> str:
    if "function" in tool:
        return "`function` within `type: function`"
    return "`input_schema`" if "input_schema" in tool else "`name` and `parameters` beside `type: function`"


def _choice(body: Mapping[str, Any]) -> str:
    match body.get("tool_choice"):
        case None:
            return "not said"
        case str() as word:
            return f"`{word}`"
        case {"type": "function"}:
            return "a named tool"
        case {"type": str() as word}:
            return f"`type: {word}`"
        case other:
            return f"`{json.dumps(other)}`"


def _results(body: Mapping[str, Any]) -> Iterator[str]:
    """How results of tools stand in a request."""
    items = body.get("messages") or body.get("input") or ()
    for item in items if isinstance(items, list) else ():
        if item.get("role") == "tool":
            yield "message of role `tool`"
        elif item.get("type") == "function_call_output":
            yield "item `function_call_output`"
        for block in item.get("content") or () if isinstance(item.get("content"), list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_result":
                yield "block `tool_result`"
