"""A policy's parameters tried on a grid, in virtual time, against stock vLLM: every combination, with several seeds.

    python -m benchmarks.reproduction.sweep bounded_tail --param haste=0,2,5 --param slack=2,4 --load 1.1

Runs go on where they were cut off; what was measured is kept in benchmarks/results/sweep.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence

from benchmarks.reproduction import run, tables
from benchmarks.reproduction.cases import PROFILES, SEEDS, STOCK, TRACES, Case, System

RESULTS = run.RESULTS.with_name("sweep.jsonl")


def systems(policy: str, grid: Sequence[tuple[str, Sequence[float]]], predict: str) -> Iterator[System]:
    """The policy with every combination of the grid's values."""
    names = [name for name, _ in grid]
    for values in itertools.product(*(values for _, values in grid)):
        params = dict(zip(names, values, strict=True))
        told = ", ".join(f"{name} {value:g}" for name, value in params.items())
        yield System(f"{policy} {told}, {predict}", policy, predict, params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUES", help="plain numbers, in SI units"
    )
    parser.add_argument("--trace", default=",".join(TRACES))
    parser.add_argument("--profile", default=PROFILES[0])
    parser.add_argument("--load", default="0.9,1.1,1.3")
    parser.add_argument("--predict", default="oracle")
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    grid = [
        (name, [float(v) for v in values.split(",")]) for name, _, values in (p.partition("=") for p in given.param)
    ]
    cases = [
        Case(system, trace, given.profile, load, seed)
        for seed in SEEDS[: given.seeds]
        for trace in given.trace.split(",")
        for load in map(float, given.load.split(","))
        for system in (STOCK, *systems(given.policy, grid, given.predict))
    ]
    run.carry_out(cases, RESULTS)
    print("\n\n".join(tables.against(tables.lines_of(cases, run.known(RESULTS)), tables.TAILS)))


if __name__ == "__main__":
    main()
