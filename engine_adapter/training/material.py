"""What a model can be trained on: traces and recordings, decision logs, records of steps; all as recorded sessions.

Of all but a record of steps only lengths and times are known: then the model looks at a session's history alone. A
record of steps (`lamps serve --record-steps`) has the tokens of the prompts too.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine_adapter.training.decisions import sessions_of_decisions
from engine_adapter.training.steps import sessions_of_steps
from engine_adapter.workload.trace import SHIPPED, SessionTrace, load_trace

# The last tokens of a prompt, by session and number of the turn from 0.
Tokens = Mapping[tuple[str, int], Sequence[int]]
_NUMBERED = re.compile(r"tool-\d+")


class MaterialError(Exception):
    """Nothing can be learned from it. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Material:
    """Recorded sessions. *kind*: what they were read from. *cut*: lines that had to be left out."""

    name: str
    kind: str
    sessions: tuple[SessionTrace, ...]
    tokens: Tokens = field(default_factory=dict)
    cut: int = 0

    @property
    def turns(self) -> int:
        return sum(len(session.turns) for session in self.sessions)

    @property
    def numbers_tools(self) -> bool:
        """Whether its tools have numbers in place of their names, as in what `lamps record` writes."""
        tools = {turn.tool for session in self.sessions for turn in session.turns if turn.tool}
        return bool(tools) and all(_NUMBERED.fullmatch(tool) for tool in tools)


def load_material(name_or_path: str) -> Material:
    """The shipped trace of that name, or the file at that path, whatever of the three it is.

    Raises MaterialError, TraceError or RecordError, with a sentence.
    """
    path = Path(name_or_path)
    if name_or_path in SHIPPED or not path.is_file():
        trace = load_trace(name_or_path)
        return Material(trace.name, "trace", trace.sessions)
    match _kind(path):
        case "decisions":
            logged, cut = sessions_of_decisions(path)
            if not logged:
                raise MaterialError(f"{path} tells of no turn that ended")
            return Material(path.name, "decision log", logged, cut=cut)
        case "steps":
            recorded, tokens = sessions_of_steps(path)
            if not recorded:
                raise MaterialError(f"in {path} no turn ended")
            return Material(path.name, "record of steps", recorded, tokens)
        case _:
            trace = load_trace(name_or_path)
            return Material(trace.name, "trace", trace.sessions)


class _Line(msgspec.Struct):
    lamps_record: int | None = None
    kind: str | None = None
    revision: str | None = None


def _kind(path: Path) -> str:
    """By its first line. What is none of the others is taken for a trace, whose reader says what is wrong with it."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as lines:
            line = msgspec.json.decode(lines.readline(), type=_Line)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError):
        return "trace"
    if line.lamps_record is not None:
        return "steps"
    return "decisions" if line.kind is not None and line.revision is not None else "trace"
