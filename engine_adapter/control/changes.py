"""Tells a server what is to decide: off and on, another policy, other params; and what it answers, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from engine_adapter.control.client import Unreachable, base_url, posted

OFF, ON, RELOAD, PARAMS, SHADOW = "off", "on", "reload", "params", "shadow"


class Refusal(Exception):
    """The server has made no change; the message says why, diagnostics of a policy included."""


class Policy(msgspec.Struct, frozen=True):
    name: str = ""
    revision: str = ""
    params: dict[str, float] = {}


class Trial(msgspec.Struct, frozen=True):
    """What a policy would do with what waits and is paused now. *moved*: of the first *compared* places, those that
    another request takes. *differing*: of the *asked* paused sessions, those handled otherwise.

    *nans*: waiting requests whose rank is no number. *rank_s*: time of one ranking of all that wait.
    """

    waiting: int = 0
    compared: int = 0
    moved: int = 0
    nans: int = 0
    rank_s: float = 0.0
    asked: int = 0
    differing: int = 0
    first: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """Who decides in one engine: *state* is "on", "off" or "ejected", "" where nothing was changed. *policy*: the one
    that is chosen (or was tried)."""

    policy: Policy = Policy()
    state: str = ""
    reason: str = ""
    shadow: Policy | None = None
    trial: Trial | None = None


class Answer(msgspec.Struct, frozen=True):
    """Of each engine."""

    version: int
    engines: tuple[Standing, ...]


def change(url: str, what: str, body: Mapping[str, Any], key: str | None = None, timeout_s: float = 10.0) -> Answer:
    """Ask the server at *url* for a change, `engine_adapter.vllm.api.changes` says which fields *body* may have.

    Raises `Unreachable`, and `Refusal`: then nothing was changed.
    """
    status, text, message = posted(url, f"/lamps/{what}", body, key, timeout_s)
    if status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.FORBIDDEN):
        raise Refusal(message)
    try:
        return msgspec.json.decode(text, type=Answer, strict=False)
    except msgspec.DecodeError as problem:
        raise Unreachable(f"{base_url(url)}: not the answer of a lamps server: {problem}") from problem


def sentences(answer: Answer) -> list[str]:
    """What an answer amounts to, for people: a line or two for each engine."""
    several = len(answer.engines) > 1
    return [
        f"engine {number}: {line}" if several else line
        for number, engine in enumerate(answer.engines)
        for line in _sentences(engine)
    ]


def _sentences(engine: Standing) -> list[str]:
    policy = f"policy {engine.policy.name}, revision {engine.policy.revision}"
    lines = []
    if (trial := engine.trial) is not None:
        lines.append(
            f"tried on {trial.waiting} waiting, {trial.asked} paused: {trial.moved} of the first {trial.compared} "
            f"places and {trial.differing} decisions about calls differ; one ranking takes {1000 * trial.rank_s:.2f} ms"
        )
        if trial.nans:
            lines.append(f"{trial.nans} waiting requests have a rank that is not a number")
    match engine.state:
        case "":
            lines.append(f"{policy}: tried, nothing was changed")
        case "on" if engine.shadow is not None:
            lines.append(f"on: {policy}; shadow {engine.shadow.name}, revision {engine.shadow.revision}")
        case "on":
            lines.append(f"on: {policy}")
        case state:
            lines.append(f"{state}: first come, first served, nothing held for paused sessions; {policy}, is set aside")
            if state == "ejected":
                lines.append(engine.reason)
    return lines
