"""Asks a server for its status and its live rows over HTTP, and says in one sentence why there is no answer.

`stream_status` goes on asking: by server-sent events where the server has them, else by polling.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from engine_adapter.control.frames import JUDGED, FrameError, Status, parse_status

if TYPE_CHECKING:  # it takes 0.2 s to import: functions do when they first ask
    import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_VARIABLES = ("LAMPS_API_KEY", "VLLM_API_KEY")
STATUS_PATH = "/lamps/status"
STATE_PATH = "/lamps/state"
EVENTS_PATH = "/lamps/events"
# A server that has sent nothing for so long beyond what was asked for is taken for lost.
SILENCE_S = 10.0


class Unreachable(Exception):
    """No status could be had; the message is one sentence, *hint* says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotLamps(Unreachable):
    """Something answers that isn't scheduled by lamps: plain vLLM, perhaps."""


def base_url(url: str) -> str:
    """*url* as people write it (`:8001`, `host:8001`, with `/v1` or a slash at the end) as `http://host:port`."""
    text = url.strip().rstrip("/").removesuffix("/v1")
    if "://" not in text:
        text = "http://" + (f"127.0.0.1{text}" if text.startswith(":") else text)
    return text


def key_from_environment() -> str | None:
    """The API key in the environment, ours before vLLM's."""
    return next((value for name in KEY_VARIABLES if (value := os.environ.get(name))), None)


def fetch_status_text(url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 10.0) -> str:
    """The body of the status of the server at *url*: JSON. Raises `Unreachable`."""
    return _fetched(url, STATUS_PATH, {}, key, timeout_s)


def fetch_states(
    url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 10.0, requests: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The live rows of each engine of the server at *url*, as saved states; of *requests* in any case.

    Raises `Unreachable`.
    """
    text = _fetched(url, STATE_PATH, {"request": list(requests)}, key, timeout_s)
    try:
        engines = msgspec.json.decode(text, type=_States).engines
    except msgspec.DecodeError as problem:
        raise Unreachable(f"{base_url(url)}: not the state of a lamps server: {problem}") from problem
    return engines


class _States(msgspec.Struct):
    engines: list[dict[str, Any]]


def _fetched(url: str, path: str, query: Mapping[str, list[str]], key: str | None, timeout_s: float) -> str:
    import httpx

    base = base_url(url)
    with _told(url, timeout_s):
        answer = httpx.get(base + path, params=dict(query), headers=_headers(key), timeout=timeout_s)
    _check(answer, base, key)
    return answer.text


def posted(url: str, path: str, body: Mapping[str, Any], key: str | None, timeout_s: float) -> tuple[int, str, str]:
    """What the server answers to *body* as JSON: status, text, and where it refuses (403, 422) its message.

    Raises `Unreachable`.
    """
    import httpx

    base = base_url(url)
    with _told(url, timeout_s):
        answer = httpx.post(base + path, json=dict(body), headers=_headers(key), timeout=timeout_s)
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY or (
        answer.status_code == HTTPStatus.FORBIDDEN and _message(answer) != answer.reason_phrase
    ):
        return answer.status_code, "", _message(answer)
    _check(answer, base, key)
    return answer.status_code, answer.text, ""


def fetch_text(url: str, path: str, key: str | None = None, timeout_s: float = 10.0, **query: list[str]) -> str:
    """What the server at *url* has at *path*. Raises `Unreachable`."""
    return _fetched(url, path, query, key, timeout_s)


def stream_status(
    url: str, key: str | None = None, every_s: float = 1.0, rows: int = 50, judged: Sequence[str] = JUDGED
) -> Iterator[Status | str]:
    """The status of the server at *url* every *every_s* seconds, until it is lost.

    *rows* of a kind are listed, those of the kinds *judged* with what the policy says of each.

    A string is a sentence of the server's about why it has no status now. Raises `Unreachable` when the connection
    can't be had or breaks.
    """
    asked = {"every": str(every_s), "rows": str(rows), "judged": ",".join(judged)}
    with suppress(NotLamps):
        for trouble, data in stream_events(url, EVENTS_PATH, asked, key, SILENCE_S + every_s):
            yield data if trouble else _parsed(data, base_url(url))
    while True:  # a lamps server of before there were events, or no lamps server: the first question tells
        yield fetch_status(url, key)
        time.sleep(every_s)


def stream_events(
    url: str, path: str, query: Mapping[str, str], key: str | None = None, silence_s: float = SILENCE_S
) -> Iterator[tuple[bool, str]]:
    """The server-sent events of *path*, until the server is lost: whether one is a sentence about trouble, its data.

    Raises `Unreachable` when the connection can't be had or breaks, `NotLamps` where there is no such path.
    """
    import httpx

    base = base_url(url)
    with (
        _told(url, silence_s),
        httpx.stream("GET", base + path, params=dict(query), headers=_headers(key), timeout=silence_s) as answer,
    ):
        if answer.status_code != HTTPStatus.OK:
            answer.read()
        _check(answer, base, key)
        trouble = False
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            match field:
                case "event":
                    trouble = value == "trouble"
                case "data":
                    yield trouble, value
                case "":
                    trouble = False
        raise Unreachable(f"{base} closed the connection", "it may be restarting")


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def _told(url: str, timeout_s: float) -> Iterator[None]:
    """Turns what httpx raises into `Unreachable`."""
    import httpx

    base = base_url(url)
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as problem:
        raise Unreachable(f"{url} is not a URL: {problem}") from problem
    except httpx.TimeoutException as problem:
        raise Unreachable(
            f"{base} did not answer within {timeout_s:g} s", "it may still be busy: try again"
        ) from problem
    except httpx.HTTPError as problem:
        raise Unreachable(f"nothing answers at {base} ({problem})", "start a server with `lamps serve`") from problem


def _check(answer: httpx.Response, base: str, key: str | None) -> None:
    """Raises `Unreachable` unless *answer* is one."""
    match answer.status_code:
        case HTTPStatus.OK:
            return
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            wrong = "the API key is wrong" if key else "the server asks for an API key"
            raise Unreachable(f"{base}: {wrong}", "give it with --api-key or LAMPS_API_KEY")
        case HTTPStatus.NOT_FOUND:
            raise NotLamps(f"{base} answers, but it is not scheduled by lamps", "`lamps serve` starts one that is")
        case code:
            raise Unreachable(f"{base} answered with status {code}: {_message(answer)}")


def fetch_status(url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 10.0) -> Status:
    """The status of the server at *url*. Raises `Unreachable`."""
    return _parsed(fetch_status_text(url, key, timeout_s), base_url(url))


def _parsed(text: str, base: str) -> Status:
    try:
        return parse_status(text)
    except FrameError as problem:
        raise Unreachable(f"{base}: {problem}") from problem


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
