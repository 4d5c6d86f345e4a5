"""Measures docs/results.md on real servers, one at a time, each new for its run; a line for every run.

    python -m benchmarks.real.run [QUESTION ...] [--systems NAME,...] [--points N] [--seeds N]
    python -m benchmarks.real.run --model Qwen/Qwen3-8B [-- FLAGS OF lamps serve]

It wants a machine that does nothing else; what it did meanwhile is kept with each run. Hours in all, in passes: one
seed at the first load of each question, then all its seeds, then the other loads, so that there is something to say of
each before much is known of one. What is interrupted keeps what is done and goes on from there. Every turn goes to
benchmarks/results/runs/ (not in the repository), the figures of each run to benchmarks/results/real.json. With --model
the figures go to results-MODEL.json and a page results-MODEL.md beside them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from benchmarks.real.cases import ON_A_PROCESSOR, SEEDS, SYSTEMS, Question, questions
from lamps_cli.measuring.asked import Asked, Planned
from lamps_cli.measuring.carrying import Measured, measure
from lamps_cli.measuring.runs_file import Line, RunsFile
from lamps_cli.measuring.view import warnings
from lamps_cli.metrics import figures
from lamps_cli.output import to_json

RESULTS = Path(__file__).parents[1] / "results"
FIGURES = RESULTS / "real.json"
# How many of a question's points and seeds each pass measures; None: all.
PASSES = ((1, 1), (1, None), (None, None))


def summary(question: Question, measured: Measured) -> dict[str, Any]:
    """A question's runs without their turns: what the page is made of, and what it is kept by."""
    return {
        "title": question.title,
        "trace": question.trace,
        "by": question.points[0].by,
        "saturation_per_s": measured.saturation,
        "runs": [_run(run, line) for run, line in measured.runs.items()],
    }


def _run(run: Planned, line: Line) -> dict[str, Any]:
    found = {
        "system": run.system.name,
        "at": run.point.at,
        "seed": run.seed,
        "began": line.began,
        "made_by": dict(line.made_by),
        "flags": line.asked["flags"],
        "model": line.asked["model"],
        "load": line.asked["load"],
        "partial": line.partial,
        "disturbed": [] if line.disturbance is None else line.disturbance.reasons,
        "work_ms": line.work_ms,
    }
    return found | ({"figures": figures(line.result)} if line.whole and line.result is not None else {})


def merged(before: dict[str, Any], question: str, now: dict[str, Any]) -> dict[str, Any]:
    """*before* with the runs of one question in it; runs of the same place measured now replace those measured then.

    Of those under another load 1 none is kept: at 0.9 they had other arrivals.
    """
    then = before.get(question, {})
    kept = then.get("runs", []) if then.get("saturation_per_s") == now.get("saturation_per_s") else []
    new = {_place(run) for run in now["runs"]}
    return before | {question: now | {"runs": [*(run for run in kept if _place(run) not in new), *now["runs"]]}}


def _place(run: dict[str, Any]) -> tuple[str, float, int]:
    return run["system"], run["at"], run["seed"]


def passes(asked: Asked) -> list[Asked]:
    """The same in parts, each with what those before it have; none twice."""
    parts = [replace(asked, points=asked.points[:points], seeds=asked.seeds[:seeds]) for points, seeds in PASSES]
    return [part for n, part in enumerate(parts) if part not in parts[:n]]


def asked_of(question: Question, given: argparse.Namespace) -> Asked:
    """What is to be measured of a question."""
    asked = question.asked(tuple(given.systems.split(",")), given.model, tuple(given.flags))
    asked = replace(asked, points=asked.points[: given.points], seeds=tuple(range(1, given.seeds + 1)))
    return replace(asked, saturation=given.saturation)


def carry_out(question: Question, asked: Asked, raw: Path, kept: Path) -> bool:
    """Measure what is missing of a question and keep its figures; False when it was interrupted."""
    raw.parent.mkdir(exist_ok=True)
    measured = measure(asked, RunsFile.read(raw), _tell)
    print(file=sys.stderr)
    for sentence in warnings(measured):
        print(f"{question.name}: {sentence}", file=sys.stderr)
    before = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(to_json(merged(before, question.name, summary(question, measured)), indent=1) + "\n")
    return not measured.interrupted


def _tell(text: str, share: float) -> None:
    print(f"\r\033[K{share:4.0%}  {text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    names = [question.name for question in questions()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(names))
    parser.add_argument("--systems", help="the first is what others are compared with; all that run there unless said")
    parser.add_argument("--points", type=int, help="only the first so many loads")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many, from 1 on; %(default)s unless said")
    parser.add_argument("--saturation", type=float, help="sessions/s of load 1, instead of measuring it")
    parser.add_argument("--model", help="measure this model instead of the small one, as vLLM sets it up")
    words = sys.argv[1:]
    own, flags = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    given = parser.parse_args(own, argparse.Namespace(flags=flags))
    given.systems = given.systems or ",".join(ON_A_PROCESSOR if given.model is None else SYSTEMS)
    stem = "real" if given.model is None else "results-" + re.sub(r"[^\w.-]+", "-", given.model).strip("-")
    kept = RESULTS / f"{stem}.json"
    wanted = [question for question in questions() if question.name in (given.questions or names)]
    of_each = [[(question, part) for part in passes(asked_of(question, given))] for question in wanted]
    for question, part in filter(None, chain.from_iterable(zip_longest(*of_each))):
        if not carry_out(question, part, RESULTS / "runs" / f"{stem}-{question.name}.jsonl", kept):
            return 130
    if given.model is not None:
        from benchmarks.real.tables import page

        (RESULTS / f"{stem}.md").write_text(page(given.model, kept))
        print(RESULTS / f"{stem}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
