"""Traces: recorded sessions, their turns' lengths and the gaps between them, read from JSON lines.

The format is described in traces/README.md. A bad line is an error that names the file, the line and what is wrong,
because traces are also written by hand and by other people's converters.
"""

from __future__ import annotations

import difflib
import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

SHIPPED = ("augmented-single", "augmented-multi", "agentic-coding")


class TraceError(Exception):
    """A trace that can't be used. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a session. Lengths in tokens."""

    prompt: int
    shared: int
    """How many tokens of the prompt, from the start, repeat the turn before with its answer."""
    output: int
    gap_s: float = 0.0
    """Time from the answer before to this request; 0 in the first turn."""
    after: Literal["tool", "user"] | None = None
    """What the gap was; None in the first turn."""


@dataclass(frozen=True, slots=True)
class SessionTrace:
    """One session as recorded."""

    name: str
    turns: tuple[Turn, ...]
    tool: str | None = None
    """Class of all its calls, None where the trace doesn't tell."""
    parent: str | None = None
    """The session that started this one."""

    @property
    def longest(self) -> int:
        """Most tokens a turn needs: prompt and output."""
        return max(turn.prompt + turn.output for turn in self.turns)

    def calls_after(self, index: int) -> str | None:
        """The tool that turn *index* ends in, None when it ends in a person or the session's end."""
        following = index + 1
        if following < len(self.turns) and self.turns[following].after == "tool":
            return self.tool or "tool"
        return None


@dataclass(frozen=True, slots=True)
class Trace:
    """All sessions of one file."""

    name: str
    sessions: tuple[SessionTrace, ...]


class _TurnLine(msgspec.Struct):
    prompt: int
    shared: int
    output: int
    gap: float | None = None
    after: Literal["tool", "user"] | None = None
    stop: str | None = None


class _SessionLine(msgspec.Struct):
    session: str
    turns: list[_TurnLine]
    tool: str | None = None
    parent: str | None = None
    start: float | None = None
    trailing_call: float | None = None


def load_trace(name_or_path: str | Path) -> Trace:
    """The shipped trace of that name, or the file at that path (gzipped or not).

    Raises TraceError when there is none or a line is not a session.
    """
    text = str(name_or_path)
    if text in SHIPPED:
        resource = files("engine_adapter.workload") / "traces" / f"{text}.jsonl.gz"
        return Trace(text, _sessions(text, resource.read_bytes()))
    path = Path(text)
    try:
        return Trace(path.name.removesuffix(".gz").removesuffix(".jsonl"), _sessions(text, path.read_bytes()))
    except FileNotFoundError:
        near = difflib.get_close_matches(text, SHIPPED, n=1)
        known = f"did you mean {near[0]}?" if near else f"shipped traces are {', '.join(SHIPPED)}"
        raise TraceError(f"no trace and no file is named {text}: {known}") from None
    except OSError as error:
        raise TraceError(f"can't read {text}: {error.strerror}") from None


def _sessions(name: str, data: bytes) -> tuple[SessionTrace, ...]:
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise TraceError(f"{name} is a damaged gzip file: {error}") from None
    decoder = msgspec.json.Decoder(_SessionLine)
    sessions = []
    seen: dict[str, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            session = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TraceError(f"{name}:{number}: {error}") from None
        for problem in _problems(session):
            raise TraceError(f"{name}:{number}: session {session.session!r}: {problem}")
        if session.session in seen:
            raise TraceError(f"{name}:{number}: session {session.session!r} is also in line {seen[session.session]}")
        seen[session.session] = number
        sessions.append(_session(session))
    if not sessions:
        raise TraceError(f"{name} holds no session")
    return tuple(sessions)


def _problems(session: _SessionLine) -> Iterator[str]:
    """What makes the session impossible to replay."""
    if not session.turns:
        yield "has no turns"
    known = 0
    for number, turn in enumerate(session.turns, start=1):
        if turn.prompt < 1:
            yield f"turn {number}: prompt is {turn.prompt}, must be at least 1"
        if turn.output < 0:
            yield f"turn {number}: output is {turn.output}, must not be negative"
        if not 0 <= turn.shared <= turn.prompt:
            yield f"turn {number}: shared is {turn.shared}, must be from 0 to prompt ({turn.prompt})"
        if turn.shared > known:
            yield f"turn {number}: shared is {turn.shared}, but the turn before has {known} tokens with its answer"
        if turn.gap is not None and not 0 <= turn.gap < math.inf:
            yield f"turn {number}: gap is {turn.gap}, must be a number of seconds"
        if number > 1 and turn.gap is None:
            yield f"turn {number}: gap is missing"
        known = turn.prompt + turn.output


def _session(line: _SessionLine) -> SessionTrace:
    turns: list[Turn] = []
    for turn in line.turns:
        first: dict[str, Any] = {"gap_s": turn.gap or 0.0, "after": turn.after or "tool"} if turns else {}
        # A few recorded answers are empty; a request generates at least one token.
        turns.append(Turn(turn.prompt, turn.shared, max(turn.output, 1), **first))
    return SessionTrace(line.session, tuple(turns), line.tool, line.parent)
