"""Whether the verdict of `lamps compare` holds on real servers: a planted 5 % slowdown, and the same code twice.

    python -m benchmarks.verdict [--seeds 12]

Three systems, one server at a time, new for every run, in an order that turns: stock vLLM, stock again under another
name, and stock whose scheduler makes every step 5 % longer (benchmarks/slowed.py). In a closed loop of more clients
than seats the engine never waits for work. What is done is kept in benchmarks/results/runs/verdict.jsonl, and the same
command goes on. Writes benchmarks/results/verdict.json; exits with 1 where the slowdown isn't called worse, or stock is
called different from itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
CLIENTS, SESSIONS = 96, 600


def asked(seeds: int) -> Asked:
    """Tools take a tenth of their time: clients are to wait for the engine, not for tools."""
    slowed = System("slowed", "stock", flags=("--scheduler-cls", "benchmarks.slowed.Slowed"))
    return Asked(
        systems=(System("stock", "stock"), System("again", "stock"), slowed),
        trace=load_trace("augmented-single"),
        load=Load(sessions=SESSIONS, gap_scale=0.1, replacement=True),
        points=points_of("clients", [CLIENTS]),
        seeds=tuple(range(seeds)),
        model="random",
        flags=FLAGS,
    )


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--anyway", action="store_true", help="count runs beside which the machine did something else")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    (RESULTS / "runs").mkdir(exist_ok=True)
    file = RunsFile.read(RESULTS / "runs" / "verdict.jsonl")
    measured = measure(asked(given.seeds), file, lambda text, share: print(f"\r\033[K{text}", end="", file=sys.stderr))
    print(file=sys.stderr)
    if measured.interrupted:
        return 130
    answers = {name: found(file, name, given.anyway) for name in ("again", "slowed")}
    calls = {name: {verdict["call"] for verdict in answer["verdicts"]} for name, answer in answers.items()}
    right = bool(calls["again"]) and not calls["again"] & {"worse", "better"} and "worse" in calls["slowed"]
    about = {"machine": machine(), "seeds": given.seeds, "clients": CLIENTS, "sessions": SESSIONS, "flags": FLAGS}
    (RESULTS / "verdict.json").write_text(json.dumps({**about, "right": right, **answers}, indent=1) + "\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
