"""A comparison on real servers for people and for programs: tables, JSON, the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from engine_adapter.workload.summary import as_document
from lamps_cli.load_options import describe_arrivals, describe_scales, describe_telling
from lamps_cli.measuring import lateness
from lamps_cli.measuring.apart import at_other_speeds, far_apart
from lamps_cli.measuring.asked import Planned, Point
from lamps_cli.measuring.carrying import Measured
from lamps_cli.measuring.machine import MOST_OTHERS
from lamps_cli.measuring.runs_file import Line, described
from lamps_cli.metrics import BySeed, figures
from lamps_cli.report.page import LOAD_AXIS, Ran, Report
from lamps_cli.simulate_view import table

AXES = {
    "load": LOAD_AXIS,
    "rate": "sessions a second",
    "clients": "clients of a closed loop",
    "recorded": "",
}


def render(measured: Measured) -> str:
    """A table for each point, and under it what isn't in the table."""
    asked = measured.asked
    title = f"{asked.trace.name} on {model_of(measured)}"
    blocks = [title + (f", saturation {measured.saturation:.2f} sessions/s" if measured.saturation else "")]
    for point in asked.points:
        runs = by_system(measured, point)
        if runs:
            blocks.append(f"{head(measured, point)}\n{table(runs)}")
        notes = [f"  {name_of(run)}: {what}" for run, what in trouble(measured) if run.point == point]
        blocks += ["\n".join(notes)] if notes else []
    return "\n\n".join(blocks)


def by_system(measured: Measured, point: Point) -> dict[str, BySeed]:
    """The figures of the whole runs at *point*, by system and seed."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run, result in measured.whole.items():
        if run.point == point:
            found.setdefault(run.system.name, {})[run.seed] = figures(result)
    return {system.name: found[system.name] for system in measured.asked.systems if system.name in found}


def head(measured: Measured, point: Point) -> str:
    """Load, seeds and hints of one table; PARTIAL where runs are missing."""
    runs = {run: result for run, result in measured.whole.items() if run.point == point}
    load = next(iter(runs.values())).load
    seeds = len({run.seed for run in runs})
    wanted = sum(run.point == point for run in measured.wanted)
    parts = [f"load {point.at:g}"] if point.by == "load" else []
    parts += [describe_arrivals(load.arriving, round(load.rate, 4)), *describe_scales(load)]
    parts += [f"{seeds} seed{'s' * (seeds != 1)}"]
    parts += describe_telling(measured.asked.hints, measured.asked.prompts)
    return ", ".join(parts + ([f"PARTIAL: {len(runs)} of {wanted} runs"] if len(runs) < wanted else []))


def trouble(measured: Measured) -> Iterator[tuple[Planned, str]]:
    """Runs that aren't whole, and those beside which the machine did something else."""
    for run, line in measured.runs.items():
        if line.partial:
            yield run, line.partial
        elif line.disturbance is not None and line.disturbance.reasons:
            yield run, f"DISTURBED: {', '.join(line.disturbance.reasons)}"


def warnings(measured: Measured) -> list[str]:
    """What a reader must know first, a sentence each."""
    found = []
    if measured.interrupted:
        done, wanted = len(measured.whole), len(measured.wanted)
        found.append(f"interrupted at {done / wanted:.0%}: {done} of {wanted} runs are done; the same command goes on")
    partial = [run for run, line in measured.runs.items() if line.partial]
    if partial:
        found.append(f"{len(partial)} runs are partial and not in the figures: {', '.join(map(name_of, partial))}")
    disturbed = [run for run, line in measured.runs.items() if line.whole and _reasons(line)]
    if disturbed:
        found.append(
            f"the machine did something else beside {len(disturbed)} of {len(measured.whole)} runs:"
            f" {', '.join(map(name_of, disturbed))}"
        )
    late = lateness.of_several({name_of(run): result for run, result in measured.whole.items()})
    found += [late] if late else []
    far = far_apart((_beside(run), line.began) for run, line in measured.runs.items() if line.whole)
    found += [far] if far else []
    unlike = at_other_speeds(
        (_beside(run), run.system.name, line.work_ms) for run, line in measured.runs.items() if line.whole
    )
    found += [unlike] if unlike else []
    if (measured.others_then or 0.0) > MOST_OTHERS:
        found.append(
            f"others took {measured.others_then:.2f} cores while saturation was measured: it may have come out too low;"
            " --saturation gives it"
        )
    failed = sum(not session.finished for result in measured.whole.values() for session in result.sessions)
    if failed:
        found.append(f"{failed:,} sessions failed: the latencies are those of the others")
    if measured.others:
        makers = dict.fromkeys(described(line.made_by) for line in measured.others)
        found.append(
            f"{len(measured.others)} runs of the same in the file are of another version or machine and are not used:"
            f" {'; '.join(makers)}"
        )
    return found


def document(measured: Measured) -> dict[str, Any]:
    """The comparison as plain values for JSON, run by run."""
    return {
        "trace": measured.asked.trace.name,
        "saturation_per_s": measured.saturation,
        "interrupted": measured.interrupted,
        "warnings": warnings(measured),
        "runs": [_run(run, line) for run, line in measured.runs.items()],
    }


def report(measured: Measured, command: Sequence[str]) -> Report:
    """The page's content; its sections are the points."""
    asked, whole = measured.asked, measured.whole
    points = [point for point in asked.points if any(run.point == point for run in whole)]
    names = ", ".join(dict.fromkeys(run.system.name for run in whole))
    return Report(
        title=f"{names} on {asked.trace.name}, real servers",
        loads={_place(point): head(measured, point) for point in points},
        ran=[
            Ran(run.system.name, _place(run.point), run.seed, whole[run])
            for system in asked.systems
            for run in whole
            if run.system == system
        ],
        facts=list(_facts(measured, command)),
        warnings=warnings(measured),
        axis=AXES[asked.points[0].by],
    )


def model_of(measured: Measured) -> str:
    """The model that answered."""
    results = list(measured.whole.values())
    return results[0].server.model if results else measured.asked.model or "the servers' model"


def name_of(run: Planned) -> str:
    """A run in a few words."""
    return f"{run.system.name}{', ' if run.point.by == 'recorded' else ' at '}{_beside(run)}"


def _beside(run: Planned) -> str:
    """What a run has in common with those it is compared with."""
    return ("" if run.point.by == "recorded" else f"{run.point.by} {run.point.at:g}, ") + f"seed {run.seed}"


def _place(point: Point) -> float | None:
    return None if point.by == "recorded" else point.at


def _reasons(line: Line) -> list[str]:
    return [] if line.disturbance is None else line.disturbance.reasons


def _run(run: Planned, line: Line) -> dict[str, Any]:
    about = {
        "system": run.system.name,
        "by": run.point.by,
        "at": run.point.at,
        "seed": run.seed,
        "partial": line.partial,
        "began": line.began,
        "asked": dict(line.asked),
        "made_by": dict(line.made_by),
        "disturbance": line.disturbance and asdict(line.disturbance) | {"reasons": line.disturbance.reasons},
    }
    return about | (as_document(line.result) if line.result is not None else {})


def _facts(measured: Measured, command: Sequence[str]) -> Iterator[tuple[str, str]]:
    asked = measured.asked
    yield "command", shlex.join(["lamps", *command])
    yield "trace", f"{asked.trace.name}, {len(asked.trace.sessions):,} sessions"
    yield "model", model_of(measured)
    if measured.saturation is not None:
        yield "saturation", f"{measured.saturation:.2f} sessions/s: what stock completes while a queue stands"
    yield "seeds", ", ".join(map(str, asked.seeds))
    yield "warm-up", f"{asked.warm_up} sessions before each run, not counted"
    for system in asked.systems:
        words = [system.url, *system.params, *asked.flags, *system.flags]
        made = next((line.made_by for run, line in measured.runs.items() if run.system == system), {})
        yield f"system {system.name}", f"{shlex.join(word for word in words if word)} ({described(made)})".strip()
    machines = {f"{m['processor']}, {m['cores']} cores" for line in measured.runs.values() for m in [_machine(line)]}
    yield "machine of the client", "; ".join(sorted(machines))


def _machine(line: Line) -> dict[str, Any]:
    found = line.made_by["machine"]
    assert isinstance(found, dict)
    return found
