"""Asks a server for its status and its live rows over HTTP, and says in one sentence why there is no answer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from engine_adapter.control.frames import FrameError, Status, parse_status

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_VARIABLES = ("LAMPS_API_KEY", "VLLM_API_KEY")
STATUS_PATH = "/lamps/status"
STATE_PATH = "/lamps/state"


class Unreachable(Exception):
    """No status could be had; the message is one sentence, *hint* says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
    base = base_url(url)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(base + path, params=dict(query), headers=headers, timeout=timeout_s)
    except httpx.InvalidURL as problem:
        raise Unreachable(f"{url} is not a URL: {problem}") from problem
    except httpx.TimeoutException as problem:
        raise Unreachable(
            f"{base} did not answer within {timeout_s:g} s", "it may still be busy: try again"
        ) from problem
    except httpx.HTTPError as problem:
        raise Unreachable(f"nothing answers at {base} ({problem})", "start a server with `lamps serve`") from problem
    match answer.status_code:
        case HTTPStatus.OK:
            return answer.text
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            wrong = "the API key is wrong" if key else "the server asks for an API key"
            raise Unreachable(f"{base}: {wrong}", "give it with --api-key or LAMPS_API_KEY")
        case HTTPStatus.NOT_FOUND:
            raise Unreachable(f"{base} answers, but it is not scheduled by lamps", "`lamps serve` starts one that is")
        case code:
            raise Unreachable(f"{base} answered with status {code}: {_message(answer)}")


def fetch_status(url: str = DEFAULT_URL, key: str | None = None, timeout_s: float = 10.0) -> Status:
    """The status of the server at *url*. Raises `Unreachable`."""
    text = fetch_status_text(url, key, timeout_s)
    try:
        return parse_status(text)
    except FrameError as problem:
        raise Unreachable(f"{base_url(url)}: {problem}") from problem


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
