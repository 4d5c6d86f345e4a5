"""How long the quick commands take: `lamps --help` (bound: 0.1 s) and `lamps lint` on one policy (bound: 0.3 s).

Each is a process of its own, run 20 times after one warm-up. Writes benchmarks/results/cli.json and exits 1 when a
median is over its bound.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAMPS = Path(sys.executable).with_name("lamps")
RUNS = 20
COMMANDS = {
    "lamps --help": (["--help"], 0.1),
    "lamps lint policies/lamps.lamps": (["lint", "policies/lamps.lamps"], 0.3),
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one run, interpreter start included."""
    began = time.perf_counter()
    subprocess.run([LAMPS, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> int:
    figures = {}
    for name, (arguments, bound_s) in COMMANDS.items():
        seconds(arguments)
        times = [seconds(arguments) for _ in range(RUNS)]
        median = statistics.median(times)
        figures[name] = {"median_s": round(median, 4), "max_s": round(max(times), 4), "runs": RUNS, "bound_s": bound_s}
        print(f"{name:<34} median {median:.3f} s, max {max(times):.3f} s, bound {bound_s} s")
    document = {"python": platform.python_version(), "machine": platform.machine(), "commands": figures}
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / "cli.json").write_text(json.dumps(document, indent=2) + "\n")
    return int(any(figure["median_s"] > figure["bound_s"] for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
