"""How well the static cost of a policy foretells the measured one, and how long linting takes.

Calibrates first (not to the user's cache), then times one step of each shipped policy (see rank.py) at 256, 4,096 and
65,536 waiting requests, and one `on call`. Bounds: a factor of 2 between estimate and measurement; 1 s to lint 1,000
lines; formatting them is timed beside it. Run `python -m benchmarks.lint`; it writes benchmarks/results/lint.json and
exits 1 past a bound.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.rank import step_of, times_us
from lamps_cli.calibration import measure
from policies import shipped
from policy_dsl.analysis.cost import SIZES, cost_of, table_from
from policy_dsl.compiled import compile_policy
from policy_dsl.diagnostics.model import Source
from policy_dsl.formatting import format_source
from policy_dsl.lint.run import lint
from policy_dsl.loading import load, load_text
from policy_dsl.worlds import engine_values

RESULTS = Path(__file__).parent / "results" / "lint.json"
FACTOR = 2.0
LINT_S = 1.0
LINES = 1000
STEPS = {256: 400, 4096: 200, 65536: 40}


def estimates() -> list[dict[str, object]]:
    """Estimate and measurement of each shipped policy at each size, in microseconds."""
    table = table_from(measure())
    assert table is not None
    found = []
    for name, path in shipped().items():
        loaded = load(path)
        assert loaded.policy is not None, loaded.diagnostics
        cost = cost_of(loaded.policy, table)
        rules = compile_policy(loaded.policy, loaded.source).batch
        for n, estimate in zip(SIZES, cost.step_us, strict=True):
            taken = sorted(times_us(step_of(rules, n), STEPS[n]))
            measured = taken[len(taken) // 4]  # the lower quartile: what it costs when left alone
            found.append(_figure(name, f"{n} waiting", estimate, measured))
        found.append(_figure(name, "on call", cost.decision_us, _decision_us(path)))
    return found


def _figure(policy: str, what: str, estimate: float, measured: float) -> dict[str, object]:
    return {
        "policy": policy, "what": what, "estimate_us": round(estimate, 2), "measured_us": round(measured, 2),
        "ratio": round(estimate / measured, 2),
    }  # fmt: skip


def _decision_us(path: Path) -> float:
    loaded = load(path)
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    values = engine_values(()) | dict.fromkeys(compiled.call_keys, 5.0) | {"call.tool": "bash"}
    decide = compiled.scalar.on_call
    best = float("inf")
    for _ in range(30):
        began = time.perf_counter()
        for _ in range(200):
            decide(values, values)
        best = min(best, (time.perf_counter() - began) / 200)
    return best * 1e6


def large_policy(lines: int) -> str:
    """A policy of so many lines, each read by the next: as much as one file ever has, and more."""
    head = 'lamps 1\npolicy large "As long as a file gets."\nlet a0 = request.context / 1tok\n'
    lets = []
    for i in range(1, lines - 5):
        before = "a0" if i % 60 == 0 else f"a{i - 1}"  # chains of sixty: deeper ones are refused
        lets.append(f"let a{i} = if request.cached > {i}tok {{ {before} + {i} }} else {{ max(a0, {i}) / {i} }}")
    parts = ", ".join(f"a{i}" for i in range(59, lines - 5, 60))
    return (
        head + "\n".join(lets) + f"\nrank {parts}, a{lines - 6}\npromote when request.waited >= 1min\non call discard\n"
    )


def lint_s() -> float:
    """The fastest of three lints of a large policy, from its text."""
    text = large_policy(LINES)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        loaded = load_text(text)
        assert loaded.policy is not None, loaded.diagnostics[0].message
        lint(loaded)
        best = min(best, time.perf_counter() - began)
    return best


def fmt_s() -> float:
    """The fastest of three formattings of the same policy."""
    text = large_policy(LINES)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        assert format_source(Source("large.lamps", text)).text is not None
        best = min(best, time.perf_counter() - began)
    return best


def main() -> int:
    figures = estimates()
    for f in figures:
        print(f"{f['policy']:<12} {f['what']:<14} estimate {f['estimate_us']:>9} us  measured {f['measured_us']:>9} us")
    seconds, format_s = lint_s(), fmt_s()
    print(f"lint of {LINES} lines: {seconds:.2f} s; fmt: {format_s:.2f} s")
    report = {
        "factor": FACTOR, "costs": figures, "lint_lines": LINES, "lint_s": round(seconds, 3),
        "fmt_s": round(format_s, 3), "bound_s": LINT_S,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    off = [f for f in figures if not 1 / FACTOR <= float(str(f["ratio"])) <= FACTOR]
    return int(bool(off) or seconds > LINT_S)


if __name__ == "__main__":
    sys.exit(main())
