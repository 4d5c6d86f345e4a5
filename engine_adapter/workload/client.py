"""An HTTP client for vLLM's completions, made for replays: token ids in, token ids and times out.

It speaks plain HTTP with httpx, like any client would; nothing about the server is known but its address.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from engine_adapter.control.client import base_url

# Counters of the server that tell what a replay made it do.
COUNTERS = {
    "preemptions": "vllm:num_preemptions_total",
    "prefix_cache_queries": "vllm:prefix_cache_queries_total",
    "prefix_cache_hits": "vllm:prefix_cache_hits_total",
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generation_tokens": "vllm:generation_tokens_total",
}
# vLLM's server closes a connection that was idle for 5 s; one that is taken up again just then is lost.
KEEP_ALIVE_S = 2.0
_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})? (\S+)", re.MULTILINE)


class ServerError(Exception):
    """The server can't be used at all. The message is a sentence for the user."""


class NoServer(ServerError):
    """Nothing answers at the address."""


class TurnError(Exception):
    """One request failed. The message is what the user sees, the same text for the same cause."""


class ConnectionFailed(TurnError):
    """The request failed below HTTP: the server may be gone."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    model: str
    max_model_len: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one turn. Times are of time.perf_counter, in seconds."""

    token_ids: list[int]
    cached_tokens: int | None
    """Prompt tokens found in the prefix cache; None unless the server runs with --enable-prompt-tokens-details."""
    first_token_at: float
    done_at: float


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None

    @property
    def cached_tokens(self) -> int | None:
        """Prompt tokens from the prefix cache; None unless the server runs with --enable-prompt-tokens-details."""
        return None if self.prompt_tokens_details is None else self.prompt_tokens_details.cached_tokens


class _Error(msgspec.Struct):
    message: str = "no message"


class Event(msgspec.Struct):
    """What any answer may hold."""

    usage: Usage | None = None
    error: _Error | None = None


class _Chunk(Event):
    choices: list[_Choice] = []


class _Model(msgspec.Struct):
    id: str
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


T = TypeVar("T", bound=Event)


class Client:
    """Use it as an async context manager. *timeout_s* bounds one turn, from sending to its last token."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float, stream_interval: int) -> None:
        self.url = base_url(url)
        self._timeout_s = timeout_s
        self._stream_interval = stream_interval
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(10.0, read=None, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=KEEP_ALIVE_S),
            trust_env=False,  # a proxy set for the web must not stand between client and server
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def probe(self, model: str | None = None) -> ServerInfo:
        """Which model answers (the first, or *model*). Raises ServerError when there is none to be had."""
        try:
            response = await self._http.get("/v1/models", timeout=10.0)
        except httpx.InvalidURL as error:
            raise ServerError(f"{self.url} is not an address: {error}") from None
        except httpx.UnsupportedProtocol:
            raise ServerError(f"{self.url} is not an http address") from None
        except httpx.TransportError as error:
            raise NoServer(f"no server answers at {self.url} ({_reason(error)})") from None
        if response.status_code in (401, 403):
            raise ServerError(f"{self.url} wants an API key: --api-key, or LAMPS_API_KEY in the environment")
        try:
            models = msgspec.json.decode(response.content, type=_Models).data
        except msgspec.MsgspecError:
            raise ServerError(f"{self.url} is no OpenAI server: /v1/models answers {response.status_code}") from None
        names = ", ".join(known.id for known in models)
        chosen = next((known for known in models if model in (None, known.id)), None)
        if chosen is None:
            raise ServerError(f"{self.url} doesn't serve {model}, it serves {names or 'nothing'}")
        return ServerInfo(chosen.id, chosen.max_model_len)

    async def alive(self) -> bool:
        """Whether the server still answers, asked three times over two seconds."""
        for _ in range(3):
            try:
                await self._http.get("/health", timeout=10.0)
                return True
            except httpx.TransportError:
                await asyncio.sleep(0.7)
        return False

    async def counters(self) -> dict[str, float] | None:
        """The server's COUNTERS now, summed over engines; None when it has no metrics or doesn't answer."""
        try:
            response = await self._http.get("/metrics", timeout=10.0)
        except httpx.TransportError:
            return None
        if response.status_code != 200:
            return None
        totals: dict[str, float] = {}
        for name, value in _SAMPLE.findall(response.text):
            totals[name] = totals.get(name, 0.0) + float(value)
        return {key: totals[name] for key, name in COUNTERS.items() if name in totals}

    async def turn(
        self, model: str, prompt: Sequence[int], output: int, session: str, salt: str, xargs: Mapping[str, str | float]
    ) -> Answer:
        """Generate exactly *output* tokens after *prompt*. Raises TurnError when the server doesn't.

        Prefixes are found again only by requests of the same *salt*.
        """
        body = {
            "model": model,
            "prompt": prompt,
            "max_tokens": output,
            "min_tokens": output,
            "ignore_eos": True,
            "temperature": 0.0,
            "session_id": session,
            "cache_salt": salt,
            "stream": True,
            "stream_options": {"include_usage": True},
            "stream_interval": self._stream_interval,
            "return_token_ids": True,
        }
        if xargs:
            body["vllm_xargs"] = xargs
        return await self._stream(body, session, output)

    async def streamed(
        self, path: str, body: Mapping[str, Any], session: str, kind: type[T]
    ) -> AsyncGenerator[T, None]:
        """What the server sends in answer to *body*, event by event. Raises TurnError when it fails or takes too long.

        Close it (contextlib.aclosing): a connection that is read to the end is used again.
        """
        # A router before several servers keeps a session together by the header; in the server the body wins.
        headers = {"Content-Type": "application/json", "X-Session-ID": quote(session)}
        content = msgspec.json.encode(body)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream("POST", path, content=content, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise TurnError(_refusal(response.status_code, await response.aread()))
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield _decoded(line[6:], kind)
        except TimeoutError:
            raise TurnError(f"no complete answer within {self._timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise ConnectionFailed(f"connection lost ({_reason(error)})") from None

    async def _stream(self, body: Mapping[str, Any], session: str, output: int) -> Answer:
        token_ids: list[int] = []
        cached: int | None = None
        first_at = done_at = 0.0
        finish = None
        async with aclosing(self.streamed("/v1/completions", body, session, _Chunk)) as chunks:
            async for chunk in chunks:
                cached = chunk.usage.cached_tokens if chunk.usage is not None else cached
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    if choice.token_ids:
                        done_at = time.perf_counter()
                        first_at = first_at or done_at
                        token_ids += choice.token_ids
        if not token_ids and finish == "length":
            raise TurnError("the server sends no token ids: it must know vLLM's return_token_ids")
        if len(token_ids) != output:
            raise TurnError(f"the answer ended early ({finish or 'cut off'})")
        return Answer(token_ids, cached, first_at, done_at)


def _reason(error: httpx.TransportError) -> str:
    """A few words: httpx leaves some messages empty and words others by exception name."""
    match error:
        case httpx.ConnectTimeout() | httpx.ReadTimeout() | httpx.PoolTimeout():
            return "timed out"
        case httpx.ConnectError():
            return "connection refused" if "All connection attempts failed" in str(error) else str(error)
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "the server closed it"
        case _:
            return str(error) or type(error).__name__


def _decoded(data: str, kind: type[T]) -> T:
    """One event. Raises TurnError for a failure that the server tells, or what is none of its kind."""
    try:
        event = msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise TurnError(f"the server sent something else than a completion: {error}") from None
    if event.error is not None:
        raise TurnError(f"the server failed: {event.error.message}")
    return event


def _refusal(status: int, body: bytes) -> str:
    """The server's own words, where it has some."""
    try:
        said = msgspec.json.decode(body, type=_Chunk).error
    except msgspec.MsgspecError:
        said = None
    return f"{status}: {said.message if said else body[:200].decode(errors='replace')}"
