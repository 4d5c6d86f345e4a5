"""Whether the verdict of `lamps compare` holds on real servers: a planted 5 % slowdown, and the same code twice.

    python -m benchmarks.verdict [--starts 6]

Three servers up at once: stock vLLM, stock again under another name, and stock whose scheduler makes every step 5 %
longer (benchmarks/slowed.py). They are measured in turn, seconds apart, as `lamps bench --url` does, four seeds each;
then three new ones, as every start of a server is a little different. In a closed loop of more clients than seats the
engine never waits for work. What is done is kept in benchmarks/results/runs/verdict.jsonl; the same command goes on.
Writes benchmarks/results/verdict.json; exits with 1 where the slowdown isn't called worse, or stock is called different
from itself.

With a new server for every run the machine would have a minute to become faster or slower between the two of a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.servers import serving
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import load_trace
from lamps_cli.measuring.asked import Asked, System, points_of
from lamps_cli.measuring.carrying import measure
from lamps_cli.measuring.machine import machine
from lamps_cli.measuring.matched import Side, matched
from lamps_cli.measuring.runs_file import RunsFile
from lamps_cli.measuring.verdict import Rules, judged

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
# Memory for all 64 seats: with less, preemptions make runs of the same code differ by more.
FLAGS = ("--max-model-len", "2304", "--block-size", "32", "--max-num-seqs", "64")
CLIENTS, SESSIONS = 96, 300
SEEDS_A_START = 4
SYSTEMS = {"stock": (), "again": (), "slowed": ("--scheduler-cls", "benchmarks.slowed.Slowed")}


def asked(urls: dict[str, str], start: int) -> Asked:
    """Tools take a tenth of their time: clients are to wait for the engine, not for tools."""
    first = SEEDS_A_START * start
    return Asked(
        systems=tuple(System(name, url=url) for name, url in urls.items()),
        trace=load_trace("augmented-single"),
        load=Load(sessions=SESSIONS, gap_scale=0.1, replacement=True),
        points=points_of("clients", [CLIENTS]),
        seeds=tuple(range(first, first + SEEDS_A_START)),
    )


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """All three, ready: name -> URL."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield {
            name: stack.enter_context(serving("stock", "random", *FLAGS, *flags, logs=Path(folder)))
            for name, flags in SYSTEMS.items()
        }


def is_measured(file: RunsFile, start: int) -> bool:
    """Whether every system has every seed of this start. Its servers had other ports, so runs aren't found by URL."""
    seeds = range(SEEDS_A_START * start, SEEDS_A_START * (start + 1))
    known = {(line.asked["system"], line.asked["load"]["seed"]) for line in file.lines if line.whole}
    return all((system, seed) in known for system in SYSTEMS for seed in seeds)


def found(file: RunsFile, name: str, anyway: bool) -> dict[str, Any]:
    """What the comparison says of stock against *name*."""
    sides = matched(Side(file, "stock"), Side(file, name), anyway)
    verdicts = judged(sides.sides, Rules())
    for verdict in verdicts:
        low, high = verdict.ratio / verdict.spread, verdict.ratio * verdict.spread
        print(f"{verdict.where:24} {verdict.metric:22} x{verdict.ratio:.3f} ({low:.3f} to {high:.3f})  {verdict.call}")
    for said in (*sides.notes, *sides.reasons):
        print(f"  {said}")
    return {"verdicts": [asdict(verdict) for verdict in verdicts], "notes": sides.notes, "reasons": sides.reasons}


def _measure(file: RunsFile, start: int, starts: int) -> bool:
    """The runs of one start of the servers; False when they were interrupted."""

    def tell(text: str, share: float) -> None:
        print(f"\r\033[Kstart {start + 1} of {starts}, {text}", end="", file=sys.stderr, flush=True)

    tell("starting the servers", 0.0)
    with servers() as urls:
        measured = measure(asked(urls, start), file, tell)
    print(file=sys.stderr)
    return not measured.interrupted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=6, help=f"of servers, {SEEDS_A_START} seeds each")
    parser.add_argument("--anyway", action="store_true", help="count runs beside which the machine did something else")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    (RESULTS / "runs").mkdir(exist_ok=True)
    file = RunsFile.read(RESULTS / "runs" / "verdict.jsonl")
    for start in range(given.starts):
        if not is_measured(file, start) and not _measure(file, start, given.starts):
            return 130
    answers = {name: found(file, name, given.anyway) for name in ("again", "slowed")}
    calls = {name: {verdict["call"] for verdict in answer["verdicts"]} for name, answer in answers.items()}
    right = bool(calls["again"]) and not calls["again"] & {"worse", "better"} and "worse" in calls["slowed"]
    seeds = SEEDS_A_START * given.starts
    about = {"machine": machine(), "seeds": seeds, "clients": CLIENTS, "sessions": SESSIONS, "flags": FLAGS}
    (RESULTS / "verdict.json").write_text(json.dumps({**about, "right": right, **answers}, indent=1) + "\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
