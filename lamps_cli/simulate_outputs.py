"""What `lamps simulate` writes to files: the report of a comparison, and a trace of what ran when."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine_adapter.workload.record import Recording
from lamps_cli.output import talk
from lamps_cli.report.chrome_trace import MOST_STEPS, Drawn, chrome_trace
from lamps_cli.report.page import Ran, Report, html, need_packages
from lamps_cli.simulate_view import head
from lamps_cli.versions import version_lines
from lamps_cli.writing import need_folder, save

if TYPE_CHECKING:
    from lamps_cli.comparison import Comparison
    from lamps_cli.report.difference import Difference


def recording(diff: bool, page: Path | None, traced: Path | None) -> Recording | None:
    """What has to be written down for these outputs. Failure, before anything runs, for a file that can't be made."""
    for path in (page, traced):
        if path is not None:
            need_folder(path)
    if page is not None:
        need_packages()
    if not diff and page is None and traced is None:
        return None
    return Recording(steps=0 if traced is None else MOST_STEPS)


def write_page(path: Path, comparison: Comparison, differences: Sequence[Difference]) -> None:
    """The report as one HTML file."""
    save(path, html(_report(comparison, differences)))
    talk(f"wrote {path}")


def write_trace(path: Path, comparison: Comparison) -> None:
    """The runs of the first load and seed as a trace."""
    share = comparison.done[0].share
    runs = [run for run in comparison.done if run.seed == 0 and run.share == share]
    drawn = [
        Drawn(run.policy, run.result.result.sessions, run.result.record, run.result.timeline, run.result.virtual_s)
        for run in runs
        if run.result is not None and run.result.record is not None
    ]
    which = f"load {share:g}, seed 0" if share is not None else "seed 0"
    about = {"policies": [one.policy for one in drawn], "trace": comparison.question.trace.name, "load": which}
    save(path, json.dumps(chrome_trace(drawn, about), separators=(",", ":")))
    talk(f"wrote {path}: {which}")


def _report(comparison: Comparison, differences: Sequence[Difference]) -> Report:
    question, done = comparison.question, comparison.done
    loads = {
        share: head([run for run in done if run.share == share], comparison)
        for share in dict.fromkeys(run.share for run in done)
    }
    return Report(
        title=f"{' and '.join(_listed(list(question.policies)))} on {question.trace.name}",
        loads=loads,
        ran=[
            Ran(run.policy, run.share, run.seed, run.result.result, run.result.timeline)
            for run in done
            if run.result is not None
        ],
        facts=list(_facts(comparison)),
        warnings=list(_warnings(comparison)),
        differences=differences,
    )


def _listed(names: Sequence[str]) -> list[str]:
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names)


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    question = comparison.question
    yield "command", shlex.join(["lamps", *sys.argv[1:]])
    yield "trace", f"{question.trace.name}, {len(question.trace.sessions):,} sessions"
    yield "engine", f"virtual time: vLLM's own scheduler, steps as profile {question.profile.name} says"
    yield "profile", f"{question.profile.title} ({question.profile.source})"
    if comparison.saturation is not None:
        yield "saturation", f"{comparison.saturation:.2f} sessions/s: up to it stock vLLM catches up once it is behind"
    yield "seeds", f"0 to {question.seeds - 1}" if question.seeds > 1 else "0"
    yield "predictions", question.predict
    for name, params in question.policies.items():
        given = ", ".join(f"{param}={value:g}" for param, value in params.items())
        yield f"policy {name}", given or "its own params"
    yield "versions", ", ".join(version_lines())


def _warnings(comparison: Comparison) -> Iterator[str]:
    if comparison.interrupted:
        yield f"Interrupted: {len(comparison.done)} of {len(comparison.runs)} runs are shown."
    for run in comparison.runs:
        if run.lost:
            yield f"{run.policy}, seed {run.seed}: no result ({run.lost})"
    failed = sum(not s.finished for run in comparison.done if run.result for s in run.result.result.sessions)
    if failed:
        yield f"{failed:,} sessions failed: the latencies are those of the others."
    if comparison.question.predict.startswith(("oracle", "noise")):
        yield "Predictions come from an oracle: no server has them."
