"""The record of an engine's steps: all that reached its scheduler, and all that it decided, call by call.

One line of JSON a call. The first line says what the engine was: its policy, its limits, what it had learned. With it
the same decisions can be taken again elsewhere, without the model (`engine_adapter.virtual.replay`). A record holds
the token ids of every prompt and every answer, so it is as private as they are: it is written only where somebody
asked for it, readable by its owner alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine_adapter.control.frames import Decision

# 2: the cost model has a term for a request, so it begins from, and learns, something else.
VERSION = 2
Learned = Mapping[str, Mapping[tuple[Any, ...], tuple[float, ...]]]


class Policy(msgspec.Struct, frozen=True):
    """*text*: self-contained, with all that it is built on written out."""

    name: str
    revision: str
    text: str
    params: dict[str, float]


class Header(msgspec.Struct, frozen=True):
    """What the engine was when the record began.

    *lamps*, *vllm*: their versions. *engine*: see `engine_adapter.vllm.shape`. *costs*, *learned*: the cost model's
    start values, and the predictor's classes as (kind, class, moments). *beyond*: features of the engine whose effect
    on its decisions isn't recorded; with any of them there is no replay.
    """

    lamps_record: int
    lamps: str
    vllm: str
    policy: Policy
    engine: dict[str, Any]
    costs: dict[str, float]
    learned: list[tuple[str, list[Any], list[float]]]
    beyond: list[str] = []


class Add(msgspec.Struct, frozen=True, tag="add", omit_defaults=True):
    """A request reaches the engine. *told*: its marks and hints, as JSON. *salt*: a digest of its cache salt.

    *grammar*: it waits until the grammar of its answer is compiled. *stop*: tokens that end it; so
    does *eos*, unless *ignore_eos*.
    """

    id: str
    prompt: list[int]
    max_tokens: int
    min_tokens: int = 0
    stop: list[int] = []
    eos: int | None = None
    repetition: tuple[int, int, int] | None = None
    priority: int = 0
    arrival: float = 0.0
    session: str | None = None
    told: str = "{}"
    salt: str | None = None
    skip_cache: bool = False
    ignore_eos: bool = False
    grammar: bool = False


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Requests are ended from outside: their clients have gone. *ids* None: all."""

    ids: list[str] | None
    status: str


class Schedule(msgspec.Struct, tag="schedule", omit_defaults=True):
    """A step is scheduled. *arguments*: vLLM's own. *grammars*: requests whose grammar was found compiled."""

    step: int
    arguments: list[bool] = []
    grammars: list[str] = []


class Update(msgspec.Struct, frozen=True, tag="update"):
    """A step has computed: the tokens it sampled, by request."""

    step: int
    ids: list[str]
    sampled: list[list[int]]


class Command(msgspec.Struct, frozen=True, tag="command"):
    """The API server says something (how a turn ended) or asks (which may promote whoever has waited enough)."""

    name: str
    payload: str


class Reset(msgspec.Struct, frozen=True, tag="reset"):
    """The prefix cache is reset."""

    arguments: list[bool]


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """vLLM's pause state changes."""

    state: str


class Close(msgspec.Struct, frozen=True, tag="close"):
    """The engine is shut down, in order."""


class Full(msgspec.Struct, frozen=True, tag="full"):
    """The record has reached its largest size; the engine went on."""


class Beyond(msgspec.Struct, frozen=True, tag="beyond"):
    """Something happened whose effect on decisions isn't recorded: what follows can't be replayed."""

    why: str


Call = Add | Finish | Schedule | Update | Command | Reset | Pause | Close | Full | Beyond


class Did(msgspec.Struct, omit_defaults=True):
    """What a call decided.

    *scheduled*: tokens by request, in vLLM's order. *started*: requests that begin or resume, with the tokens whose KV
    they found. *finished*: requests that ended, with vLLM's word for how. *ranked*: each answer to who goes next.
    *decisions*: those that the runtime notes. *counters*: what it counted. *held_tokens*: of KV for paused sessions,
    and *free_blocks*, after the call.
    """

    scheduled: list[tuple[str, int]] = []
    started: list[tuple[str, int]] = []
    finished: list[tuple[str, str]] = []
    ranked: list[list[str]] = []
    decisions: list[Decision] = []
    counters: dict[str, int] = {}
    held_tokens: int = 0
    free_blocks: int = 0


class Event(msgspec.Struct, omit_defaults=True):
    """One call. *clock*: readings that were handed out during it, s. *raised*: the exception that it ended in."""

    call: Call
    clock: list[float] = []
    did: Did = msgspec.field(default_factory=Did)
    raised: str = ""


def rows_of(learned: Learned) -> list[tuple[str, list[Any], list[float]]]:
    """What a predictor has learned as the rows of a header."""
    return [(kind, list(key), list(moments)) for kind, classes in learned.items() for key, moments in classes.items()]
