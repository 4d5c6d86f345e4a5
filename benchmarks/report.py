"""Prints benchmarks/results/latency.json as a table: means over the seeds, and each against the first policy.

python -m benchmarks.report
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "latency.json"
ROWS = (
    ("end to end", "end_to_end_s"),
    ("  without tools' time", "without_tools_s"),
    ("first token, session", "ttft_session_s"),
    ("first token, turn", "ttft_turn_s"),
)
COLUMNS = ("mean", "p50", "p95", "p99", "max")


def table(found: dict[str, Any]) -> str:
    """One block a policy; seconds, and in brackets the ratio to the first policy."""
    runs = found["runs"]
    base = next(iter(runs))
    seeds = len(found["seeds"])
    lines = [
        f"{found['sessions']} sessions of augmented-single at {found['rate']:g}/s, {seeds} seeds, seconds (of {base})"
    ]
    for policy, results in runs.items():
        finished = sum(run["summary"]["finished"] for run in results)
        reused = sum(run["lamps"].get("pins.tokens_reused", 0) for run in results)
        cached = sum(run["server"]["prefix_cache_hits"] for run in results)
        asked = sum(run["server"]["prefix_cache_queries"] for run in results)
        lines.append(
            f"{policy}: {finished} of {seeds * found['sessions']} finished, {cached / asked:.1%} of prompt tokens "
            f"from the prefix cache, {reused:,} of them preserved"
        )
        lines.append(f"{'':24}" + "".join(f"{column:>16}" for column in COLUMNS))
        for title, key in ROWS:
            lines.append(f"  {title:22}" + "".join(_cell(results, runs[base], key, column) for column in COLUMNS))
    return "\n".join(lines)


def _cell(runs: list[dict[str, Any]], base: list[dict[str, Any]], key: str, column: str) -> str:
    mean, reference = (statistics.mean(run["summary"][key][column] for run in of) for of in (runs, base))
    return f"{f'{mean:.2f} ({mean / reference:.2f})':>16}"


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text())))
