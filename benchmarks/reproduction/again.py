"""Makes some of the kept runs again and says which come out otherwise: a check in minutes instead of an hour.

    python -m benchmarks.reproduction.again [N] [--draw SEED]

N runs of all that the page is made of are drawn, carried out as `run` does, and compared with the lines that are kept,
to the last digit. Virtual time is deterministic: a difference means that the code does something else than when the
line was made, and that `behaviour` didn't notice. Ends with 1 then.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.reproduction.cases import Case, questions
from benchmarks.reproduction.run import RESULTS, Line, carry_out, key, known, name


def drawn(count: int, seed: int, kept: Mapping[str, Line]) -> list[Case]:
    """*count* of the page's cases that have a line; each as likely as the others."""
    cases = {name(key(case)): case for question in questions() for case in question.cases}
    there = [case for key_, case in cases.items() if key_ in kept]
    return random.Random(seed).sample(there, min(count, len(there)))


def differences(before: Line, now: Line) -> list[str]:
    """The parts of a line that aren't the same."""
    return [part for part in sorted(before.keys() | now.keys()) if before.get(part) != now.get(part)]


def compare(cases: Sequence[Case], kept: Mapping[str, Line]) -> int:
    """Carry *cases* out and print those whose line is another; how many there are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RESULTS.name
        carry_out(cases, path)
        made = known(path)
    other = 0
    for case in map(key, cases):
        parts = differences(kept[name(case)], made.get(name(case), {}))
        other += bool(parts)
        if parts:
            print(f"differs in {', '.join(parts)}: {name(case)}")
    print(f"{len(cases)} of {len(kept)} lines made again, {other} differ")
    return other


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=40, metavar="N", help="how many; 40 unless said")
    parser.add_argument("--draw", type=int, default=1, metavar="SEED", help="which; another number, other runs")
    given = parser.parse_args()
    kept = known()
    return min(compare(drawn(given.count, given.draw, kept), kept), 1)


if __name__ == "__main__":
    sys.exit(main())
