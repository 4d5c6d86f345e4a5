"""Two files of runs brought together: which runs of one stand beside which of the other, and why some don't.

The systems may differ in everything: policy, params, flags, version. What they were asked to do must not: trace, load,
model, hints; nor the machine, as no ratio of two machines says anything about code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamps_cli.measuring.apart import at_other_speeds, far_apart
from lamps_cli.measuring.runs_file import Document, Line, RunsFile, described, differing
from lamps_cli.measuring.verdict import FEWEST, Sides
from lamps_cli.metrics import figures

# What is compared, so may differ.
_OF_THE_SYSTEM = ("system", "policy", "params", "flags", "url")
Place = tuple[str, float]
"""What a point is: (by, at)."""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one system at one point, of whoever made the last of them. *asked*: but for seed and system.

    *older*: runs of the same system there, of something else asked for or made by something else.
    """

    system: str
    place: Place
    asked: Document
    made_by: Document
    runs: Mapping[int, Line]
    older: int = 0


@dataclass(slots=True)
class Matched:
    """*sides*: what can be judged. *reasons*: why something can't, a sentence each; *notes*: what a reader should know.
    *heads*: who made the first, and the second."""

    sides: list[Sides] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    heads: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a file, and the system that is meant, None for each that both have."""

    file: RunsFile
    system: str | None

    @property
    def name(self) -> str:
        return f"{self.file.path}" + (f":{self.system}" if self.system is not None else "")

    def groups(self) -> dict[tuple[str, Place], Group]:
        """Its runs, by system and point."""
        found: dict[tuple[str, Place], list[Line]] = {}
        for line in self.file.lines:
            if self.system in (None, line.asked["system"]):
                place = (str(line.asked["by"]), float(line.asked["at"]))
                found.setdefault((line.asked["system"], place), []).append(line)
        return {key: _group(*key, lines) for key, lines in found.items()}


def side(text: str) -> Side:
    """FILE or FILE:SYSTEM. Raises Unreadable, LookupError with a sentence where there is no such file or system."""
    path, colon, system = text.rpartition(":")
    if not colon or Path(text).exists():
        path, system = text, ""
    if not Path(path).exists():
        raise LookupError(f"there is no file {path}")
    found = Side(RunsFile.read(Path(path)), system or None)
    if not found.groups():
        known = dict.fromkeys(str(line.asked["system"]) for line in found.file.lines)
        raise LookupError(f"{path} holds no runs" + (f" of {system}, but of {', '.join(known)}" if system else ""))
    return found


def matched(first: Side, second: Side, anyway: bool = False) -> Matched:
    """*anyway*: machines may differ, and runs beside which the machine did something else count."""
    found = Matched(heads=(_head(first), _head(second)))
    mine, theirs = first.groups(), second.groups()
    names = _names(mine, theirs)
    if not names:
        systems = (", ".join(dict.fromkeys(system for system, _ in groups)) for groups in (mine, theirs))
        found.reasons.append(f"no system is in both: {' and '.join(systems)}; FILE:SYSTEM says which is meant")
    for one, other in names:
        for place in dict.fromkeys(place for system, place in [*mine, *theirs] if system in (one, other)):
            a, b = mine.get((one, place)), theirs.get((other, place))
            where = _where(one, other, place)
            if a is None or b is None:
                found.reasons.append(f"{where}: only {(first if b is None else second).name} has runs of it")
            else:
                _match(found, where, a, b, anyway)
    for one_side in (first, second):
        if one_side.file.damaged:
            found.notes.append(f"{one_side.file.path}: {len(one_side.file.damaged)} lines that aren't whole runs")
    return found


def _match(found: Matched, where: str, a: Group, b: Group, anyway: bool) -> None:
    differ = list(_differences(a, b, anyway))
    if differ:
        found.reasons.append(f"{where}: {'; '.join(differ)}")
        return
    for group in (a, b):
        found.reasons += [f"{where}, seed {seed}: {line.partial}" for seed, line in group.runs.items() if line.partial]
        if group.older:
            found.notes.append(f"{where}: {group.older} runs made otherwise than the last are left out")
    pair = Sides(where, *({s: _figures(line) for s, line in g.runs.items() if line.whole} for g in (a, b)))
    disturbed = {seed for seed in pair.seeds if _disturbed(a.runs[seed]) or _disturbed(b.runs[seed])}
    if disturbed and not anyway:
        found.notes.append(
            f"{where}: the machine did something else beside seeds {sorted(disturbed)}, which are left out"
        )
        calm = ({s: f for s, f in runs.items() if s not in disturbed} for runs in (pair.first, pair.second))
        pair = Sides(where, *calm)
    partial = {seed for group in (a, b) for seed, line in group.runs.items() if line.partial}
    unpaired = (pair.first.keys() ^ pair.second.keys()) - partial
    if unpaired:
        found.notes.append(f"{where}: seeds {sorted(unpaired)} are in one file only and are left out")
    if len(pair.seeds) < FEWEST:
        found.reasons.append(f"{where}: {len(pair.seeds)} seeds can be compared, {FEWEST} or more are needed")
    else:
        far = far_apart((f"seed {seed}", group.runs[seed].began) for group in (a, b) for seed in pair.seeds)
        unlike = at_other_speeds(
            (f"seed {seed}", name, group.runs[seed].work_ms)
            for name, group in (("the first", a), ("the second", b))
            for seed in pair.seeds
        )
        found.notes += [f"{where}: {said}" for said in (far, unlike) if said]
        found.sides.append(pair)


def _differences(a: Group, b: Group, anyway: bool) -> Iterator[str]:
    one, other = dict(a.asked), dict(b.asked)
    if one["trace_digest"] != other["trace_digest"]:
        yield f"traces differ ({one['trace']} {one['trace_digest']} and {other['trace']} {other['trace_digest']})"
    rates = [asked["load"]["rate"] for asked in (one, other)]
    if a.place[0] == "load" and rates[0] != rates[1]:
        yield f"load {a.place[1]:g} is {rates[0]:.4g} sessions/s and {rates[1]:.4g}: --saturation makes them alike"
    elif one["load"] != other["load"]:
        yield from differing(one["load"], other["load"])
    rest = ({k: v for k, v in asked.items() if k not in ("load", "trace", "trace_digest")} for asked in (one, other))
    yield from differing(*rest)
    models = [next((line.result.server.model for line in g.runs.values() if line.result), "") for g in (a, b)]
    if all(models) and models[0] != models[1]:
        yield f"models differ ({models[0]} and {models[1]})"
    if not anyway and a.made_by["machine"] != b.made_by["machine"]:
        yield f"machines differ ({', '.join(differing(a.made_by['machine'], b.made_by['machine']))})"


def _group(system: str, place: Place, lines: list[Line]) -> Group:
    asked = _plain(lines[-1].asked)
    made = lines[-1].made_by
    runs: dict[int, Line] = {}
    older = 0
    for line in lines:
        if line.made_by != made or _plain(line.asked) != asked:
            older += 1
        elif line.whole or not (_seed(line) in runs and runs[_seed(line)].whole):
            runs[_seed(line)] = line
    return Group(system, place, asked, made, runs, older)


def _plain(asked: Document) -> dict[str, Any]:
    load = {name: value for name, value in asked["load"].items() if name != "seed"}
    return {name: value for name, value in asked.items() if name not in _OF_THE_SYSTEM} | {"load": load}


def _seed(line: Line) -> int:
    return int(line.asked["load"]["seed"])


def _figures(line: Line) -> dict[str, float]:
    assert line.result is not None
    return figures(line.result)


def _disturbed(line: Line) -> bool:
    return line.disturbance is not None and bool(line.disturbance.reasons)


def _names(mine: Mapping[tuple[str, Place], Group], theirs: Mapping[tuple[str, Place], Group]) -> list[tuple[str, str]]:
    """Which system stands beside which: those of one name; where each side has one, these."""
    a, b = (list(dict.fromkeys(system for system, _ in groups)) for groups in (mine, theirs))
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    return [(name, name) for name in a if name in b]


def _where(one: str, other: str, place: Place) -> str:
    at = "" if place[0] == "recorded" else f" at {place[0]} {place[1]:g}"
    return (one if one == other else f"{one} -> {other}") + at


def _head(one: Side) -> str:
    made = dict.fromkeys(json.dumps(dict(group.made_by), sort_keys=True) for group in one.groups().values())
    return f"{one.name}: {'; '.join(dict.fromkeys(described(json.loads(text)) for text in made))}"
