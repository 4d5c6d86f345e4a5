"""Traces: recorded sessions, their turns' lengths and the gaps between them.

Kept as JSON lines (lines.py has the format, traces/README.md describes it). A file with a bad line is refused as a
whole: what is left of a workload is another workload.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from engine_adapter.workload.lines import (
    Damaged,
    SessionLine,
    TurnLine,
    read_lines,
    shortened,
    unzipped,
    write_lines,
)

SHIPPED = ("augmented-single", "augmented-multi", "agentic-coding")


class TraceError(Exception):
    """A trace that can't be used. The message is for the user: a sentence, or one a line for each bad line."""


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
    tool: str | None = None
    """The tool that ran in the gap, where the trace tells it turn by turn."""


@dataclass(frozen=True, slots=True)
class SessionTrace:
    """One session as recorded."""

    name: str
    turns: tuple[Turn, ...]
    tool: str | None = None
    """Class of all its calls, None where the trace doesn't tell."""
    parent: str | None = None
    """The session that started this one."""
    tenant: str | None = None
    """Whose session it is, None where the trace doesn't tell."""
    start_s: float | None = None
    """When it was recorded to arrive: after its parent's start, or after the trace's; None where it wasn't recorded."""

    @property
    def longest(self) -> int:
        """Most tokens a turn needs: prompt and output."""
        return max(turn.prompt + turn.output for turn in self.turns)

    def calls_after(self, index: int) -> str | None:
        """The tool that turn *index* ends in, None when it ends in a person or the session's end."""
        following = index + 1
        if following < len(self.turns) and self.turns[following].after == "tool":
            return self.turns[following].tool or self.tool or "tool"
        return None


@dataclass(frozen=True, slots=True)
class Trace:
    """All sessions of one file."""

    name: str
    sessions: tuple[SessionTrace, ...]


def load_trace(name_or_path: str | Path) -> Trace:
    """The shipped trace of that name, or the file at that path (gzipped or not).

    Raises TraceError when there is none, or with every line that is not a session.
    """
    text = str(name_or_path)
    if text in SHIPPED:
        resource = files("engine_adapter.workload") / "traces" / f"{text}.jsonl.gz"
        return Trace(text, parsed(text, resource.read_bytes()))
    path = Path(text)
    try:
        return Trace(path.name.removesuffix(".gz").removesuffix(".jsonl"), parsed(text, path.read_bytes()))
    except FileNotFoundError:
        near = difflib.get_close_matches(text, SHIPPED, n=1)
        known = f"did you mean {near[0]}?" if near else f"shipped traces are {', '.join(SHIPPED)}"
        raise TraceError(f"no trace and no file is named {text}: {known}") from None
    except OSError as error:
        raise TraceError(f"can't read {text}: {error.strerror}") from None


def parsed(name: str, data: bytes) -> tuple[SessionTrace, ...]:
    """The sessions in the text of a trace file, gzipped or not; *name* is what errors call it."""
    try:
        lines, problems = read_lines(name, unzipped(data))
    except Damaged as damage:
        raise TraceError(f"{name} {damage}") from None
    if problems:
        raise TraceError(shortened(problems))
    if not lines:
        raise TraceError(f"{name} holds no session")
    return tuple(_session(line) for line in lines)


def written(sessions: Sequence[SessionTrace]) -> bytes:
    """The text of the trace file of these sessions, not gzipped; *parsed* gives the same sessions back."""
    return write_lines([_line(session) for session in sessions])


def _session(line: SessionLine) -> SessionTrace:
    turns: list[Turn] = []
    for turn in line.turns:
        # A few recorded answers are empty; a request generates at least one token.
        output = max(turn.output, 1)
        if turns:
            turns.append(Turn(turn.prompt, turn.shared, output, turn.gap or 0.0, turn.after or "tool", turn.tool))
        else:
            turns.append(Turn(turn.prompt, turn.shared, output))
    return SessionTrace(line.session, tuple(turns), line.tool, line.parent, line.tenant, line.start)


def _line(session: SessionTrace) -> SessionLine:
    first, *later = session.turns
    turns = [TurnLine(first.prompt, first.shared, first.output)]
    turns += [TurnLine(turn.prompt, turn.shared, turn.output, turn.gap_s, turn.after, turn.tool) for turn in later]
    return SessionLine(session.name, turns, session.tool, session.tenant, session.parent, session.start_s)
