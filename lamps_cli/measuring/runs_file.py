"""The file of runs: one line of JSON for each, with all that made it. What is in it isn't measured again.

A run is found again by what was asked for (`asked.document`) and by what made it (`made_by`): versions, the code of
the decisions, the policy's revision, the machine. A line that was asked for but made by something else is named and
left where it is. Of several lines for one run the last counts; one that is cut off or isn't ours is named too.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine_adapter.workload.kept import NotKept, kept, restored
from engine_adapter.workload.result import BenchResult
from lamps_cli.measuring.asked import System
from lamps_cli.measuring.machine import Disturbance, machine
from lamps_cli.output import to_json
from lamps_cli.versions import decision_code, lamps_version, vllm_distribution

FORMAT = 1
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One run and what came of it: a result, whole or partial, or in *lost* why there is none.

    *began*: date and time, UTC. *command*: the words of the command line.
    """

    asked: Document
    made_by: Document
    began: str
    command: tuple[str, ...] = ()
    result: BenchResult | None = None
    disturbance: Disturbance | None = None
    lost: str = ""

    @property
    def whole(self) -> bool:
        """Whether its figures are of the whole load."""
        return self.result is not None and self.result.ended == "finished"

    @property
    def work_ms(self) -> float | None:
        """How long the same work took then as beside other runs, if that was seen: the machine's speed."""
        return None if self.disturbance is None else self.disturbance.work_ms

    @property
    def partial(self) -> str:
        """What is missing of it, in a few words; "" for a whole run."""
        if self.result is None:
            # Of a log, what happened and the last word; all of it is in the file.
            first, *rest = self.lost.splitlines() or [""]
            return " ".join([f"no result: {first}", *rest[-1:]])
        if self.whole:
            return ""
        sessions = self.result.sessions
        done = sum(session.finished for session in sessions)
        return f"PARTIAL, {self.result.ended} after {self.result.duration_s:.1f} s: {done} of {len(sessions)} sessions"


@dataclass(frozen=True, slots=True)
class Saturation:
    """Sessions a second at load 1, and the cores that others took while it was measured; None where nobody knows."""

    rate: float
    others: float | None = None


class Unreadable(Exception):
    """The file can't be used. The message is a sentence for the user."""


@dataclass(slots=True)
class RunsFile:
    """The lines of *path*. *damaged*: numbers of lines that aren't runs. *saturations*: by what they were asked for."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    saturations: list[tuple[Document, Document, Saturation]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> RunsFile:
        """What is in *path*; nothing where there is no file. Raises Unreadable."""
        found = cls(path)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return found
        except OSError as problem:
            raise Unreadable(f"can't read {path}: {problem.strerror}") from None
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                found._take(number, line)
        return found

    def run(self, asked: Document, made_by: Document) -> Line | None:
        """The last whole run of just this."""
        same = (line for line in reversed(self.lines) if (line.asked, line.made_by) == (asked, made_by))
        return next((line for line in same if line.whole), None)

    def others(self, asked: Document, made_by: Document) -> list[Line]:
        """Whole runs of what is asked for, made by something else."""
        return [line for line in self.lines if line.whole and line.asked == asked and line.made_by != made_by]

    def saturation(self, asked: Document, made_by: Document) -> Saturation | None:
        """What was measured before."""
        found = (one for what, who, one in reversed(self.saturations) if (what, who) == (asked, made_by))
        return next(found, None)

    def add(self, line: Line) -> None:
        """Write it down at once. Raises Unreadable."""
        self.lines.append(line)
        values: dict[str, Any] = {"lamps_bench": FORMAT, "asked": line.asked, "made_by": line.made_by}
        values |= {"began": line.began, "command": list(line.command), "lost": line.lost}
        values["disturbance"] = line.disturbance and asdict(line.disturbance)
        values["result"] = line.result and kept(line.result)
        self._append(values)

    def add_saturation(self, asked: Document, made_by: Document, found: Saturation) -> None:
        """Write it down. Raises Unreadable."""
        self.saturations.append((asked, made_by, found))
        measured = {"saturation_per_s": found.rate, "others": found.others}
        self._append({"lamps_bench": FORMAT, "asked": asked, "made_by": made_by, **measured})

    def _take(self, number: int, text: str) -> None:
        try:
            values = json.loads(text)
            if values["lamps_bench"] != FORMAT:
                raise ValueError(values["lamps_bench"])
            if "saturation_per_s" in values:
                found = Saturation(float(values["saturation_per_s"]), values["others"])
                self.saturations.append((values["asked"], values["made_by"], found))
            else:
                self.lines.append(_line(values))
        except (ValueError, LookupError, TypeError, NotKept):
            self.damaged.append(number)

    def _append(self, values: dict[str, Any]) -> None:
        try:
            with self.path.open("a+b") as file:
                # What was cut off in the middle must not take the next line with it.
                if file.tell() and not _ends_a_line(file):
                    file.write(b"\n")
                file.write(to_json(values).encode() + b"\n")
        except OSError as problem:
            raise Unreadable(f"can't write {self.path}: {problem.strerror}") from None


def made_by(system: System, server: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What carries out a run of *system*. *server*: what a server that runs already says of itself."""
    found = vllm_distribution()
    by: dict[str, Any] = {"lamps": lamps_version(), "python": platform.python_version(), "machine": machine()}
    if server is not None:
        return by | dict(server)
    code = {} if system.policy == "stock" else {"code": decision_code(), "revision": system.revision}
    return by | {"vllm": found[1] if found else ""} | code


def described(made_by: Document) -> str:
    """Who made a run, in a few words."""
    words = [f"lamps {made_by.get('lamps', '?')}"]
    words += [f"code {made_by['code']}"] if made_by.get("code") else []
    words += [f"revision {made_by['revision']}"] if made_by.get("revision") else []
    words += [f"vLLM {made_by['vllm']}"] if made_by.get("vllm") else []
    return ", ".join(words)


def differing(one: Document, other: Document) -> Iterator[str]:
    """In what two documents differ, a few words each."""
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield f"{name} {_said(one.get(name))} and {_said(other.get(name))}"


def _said(value: Any) -> str:
    return "unknown" if value is None else value if isinstance(value, str) and value else json.dumps(value)


def _line(values: Document) -> Line:
    result, disturbance = values["result"], values["disturbance"]
    return Line(
        values["asked"],
        values["made_by"],
        values["began"],
        tuple(values["command"]),
        None if result is None else restored(result),
        None if disturbance is None else Disturbance(**disturbance),
        values["lost"],
    )


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, 2)
    return bool(file.read(1) == b"\n")
