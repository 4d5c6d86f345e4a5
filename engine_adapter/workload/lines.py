"""The JSON lines of a trace file: read with every problem by line, and written.

The format is described in traces/README.md. Traces are also written by hand and by other people's converters, so a
file is read to its end and all that is wrong with it is told at once.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

# Bounds that tell a mistake (a wrong unit, an overflow) from a workload. The longest context window announced for any
# model is 100 million tokens; a gap of 10^8 s is three years.
MAX_TOKENS = 100_000_000
MAX_SECONDS = 1e8

SHOWN_PROBLEMS = 20


class TurnLine(msgspec.Struct, omit_defaults=True):
    """One request as the file has it."""

    prompt: int
    shared: int
    output: int
    gap: float | None = None
    after: Literal["tool", "user"] | None = None
    tool: str | None = None
    stop: str | None = None


class SessionLine(msgspec.Struct, omit_defaults=True):
    """One line of the file."""

    session: str
    turns: list[TurnLine]
    tool: str | None = None
    tenant: str | None = None
    parent: str | None = None
    start: float | None = None
    trailing_call: float | None = None


class Damaged(Exception):
    """A file that can't be unpacked. The message says why."""


def unzipped(data: bytes) -> bytes:
    """*data* as it was before gzip, or as it is; without the byte order mark that some editors write."""
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise Damaged(f"is a damaged gzip file: {error}") from None
    return data.removeprefix(b"\xef\xbb\xbf")


def read_lines(name: str, data: bytes) -> tuple[list[SessionLine], list[str]]:
    """The good sessions of the file *name*, and what is wrong with it: one sentence a problem, with file and line."""
    decoder = msgspec.json.Decoder(SessionLine)
    sessions: list[SessionLine] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            session = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problems.append(f"{name}:{number}: {error}")
            continue
        wrong = [f"session {session.session!r}: {problem}" for problem in _problems(session)]
        if session.session in seen:
            wrong.append(f"session {session.session!r} is also in line {seen[session.session]}")
        seen.setdefault(session.session, number)
        problems += [f"{name}:{number}: {problem}" for problem in wrong]
        if not wrong:
            sessions.append(session)
    return sessions, problems


def write_lines(sessions: Sequence[SessionLine]) -> bytes:
    """The file of these sessions, not gzipped."""
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(session) + b"\n" for session in sessions)


def shortened(problems: Sequence[str]) -> str:
    """The first SHOWN_PROBLEMS of them, a line each, and how many more there are."""
    more = len(problems) - SHOWN_PROBLEMS
    return "\n".join([*problems[:SHOWN_PROBLEMS], *([f"... and {more:,} more"] if more > 0 else [])])


def _problems(session: SessionLine) -> Iterator[str]:
    """What makes the session impossible to replay."""
    if not session.turns:
        yield "has no turns"
    for field in ("start", "trailing_call"):
        seconds = getattr(session, field)
        if seconds is not None and not 0 <= seconds <= MAX_SECONDS:
            yield f"{field} is {seconds}, must be from 0 to {MAX_SECONDS:g} seconds"
    if session.parent == session.session:
        yield "is its own parent"
    known = 0
    for number, turn in enumerate(session.turns, start=1):
        for problem in _wrong_with(turn, known):
            yield f"turn {number}: {problem}"
        if number > 1 and turn.gap is None:
            yield f"turn {number}: gap is missing"
        known = turn.prompt + turn.output


def _wrong_with(turn: TurnLine, known: int) -> Iterator[str]:
    """*known* is how many tokens the turn before has with its answer."""
    if turn.prompt < 1:
        yield f"prompt is {turn.prompt}, must be at least 1"
    for field in ("prompt", "output"):
        if getattr(turn, field) > MAX_TOKENS:
            yield f"{field} is {getattr(turn, field)}, larger than any model takes ({MAX_TOKENS})"
    if turn.output < 0:
        yield f"output is {turn.output}, must not be negative"
    if not 0 <= turn.shared <= turn.prompt:
        yield f"shared is {turn.shared}, must be from 0 to prompt ({turn.prompt})"
    elif turn.shared > known:
        yield f"shared is {turn.shared}, but the turn before has {known} tokens with its answer"
    if turn.gap is not None and not 0 <= turn.gap <= MAX_SECONDS:
        yield f"gap is {turn.gap}, must be from 0 to {MAX_SECONDS:g} seconds"
