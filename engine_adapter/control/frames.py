"""What a server says about itself: status frames, as typed values.

The engine writes a frame as JSON (`engine_adapter.runtime.frame`), the API server gathers one from each data-parallel
engine, and whoever watches reads them here. Fields that a reader doesn't know are skipped and missing ones get their
defaults, so that readers and servers of neighbouring versions understand each other.
"""

from __future__ import annotations

import msgspec

VERSION = 1


class FrameError(ValueError):
    """Text that is no status of a lamps server."""


class PolicyInfo(msgspec.Struct, frozen=True):
    name: str
    revision: str
    title: str = ""
    path: str = ""
    params: dict[str, float] = {}


class Running(msgspec.Struct, frozen=True):
    """A request in the batch. *turn* counts the turns of its session from 1."""

    id: str
    session: str = ""
    turn: int = 0
    context_tokens: int = 0
    generated_tokens: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """A request in the queue. *place* from 1; *rank*: its keys, lowest first; None for an infinite or undefined one."""

    id: str
    session: str = ""
    place: int = 0
    rank: tuple[float | None, ...] = ()
    promoted: bool = False
    waited_s: float = 0.0
    prompt_tokens: int = 0


class Paused(msgspec.Struct, frozen=True):
    """A session whose turn is over: what its user or tool does, and what became of its KV cache.

    *handling*: preserve, swap, discard, or provisional until it is known how the turn ended. *expected_s*: predicted
    duration of the call, None where nothing is known.
    """

    session: str
    tool: str = ""
    handling: str = ""
    tokens: int = 0
    age_s: float = 0.0
    expected_s: float | None = None


class Pins(msgspec.Struct, frozen=True):
    """KV cache held for paused sessions. *share*: of the engine's whole KV cache."""

    count: int = 0
    tokens: int = 0
    share: float = 0.0


class Frame(msgspec.Struct, frozen=True):
    """One engine at one moment."""

    version: int
    policy: PolicyInfo
    engine: dict[str, float | bool | str | None] = {}
    running: tuple[Running, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    waiting_total: int = 0
    paused: tuple[Paused, ...] = ()
    pins: Pins = Pins()
    counters: dict[str, int] = {}


class Status(msgspec.Struct, frozen=True):
    """A whole server: a frame for each engine. *api*: counters of the API server process that answered."""

    version: int
    engines: tuple[Frame, ...]
    api: dict[str, int] = {}


def parse_status(text: bytes | str) -> Status:
    """A `Status` from the body of /lamps/status. Raises `FrameError`."""
    try:
        status = msgspec.json.decode(text, type=Status, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise FrameError(f"not a status of a lamps server: {problem}") from problem
    if status.version != VERSION:
        raise FrameError(f"the server speaks version {status.version} of the status, this lamps version {VERSION}")
    return status
