"""How long it takes to compile a policy, to rank with it in batch, and to decide about one request.

Bounds, for lamps.lamps: text to compiled rules 60 ms in a process that has imported all it needs and compiled nothing
yet; the rank keys of 1,000, 4,000 and 100,000 waiting requests in 40, 100 and 2,000 us (median); one decision 10 us.
Run `python -m benchmarks.compile`; it writes benchmarks/results/compile.json and exits 1 past a bound.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.rank import ROOT, rules_of, waiting
from policy_dsl.codegen.batch import BatchRules
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load
from policy_dsl.worlds import engine_values

RESULTS = ROOT / "benchmarks" / "results" / "compile.json"
POLICY = ROOT / "policies" / "lamps.lamps"
COMPILE_MS, SCALAR_US = 60.0, 10.0
RANK_US = {1_000: 40.0, 4_000: 100.0, 100_000: 2_000.0}
RUNS = 15

_FRESH = """
import sys, time
import policy_dsl.codegen.batch, policy_dsl.codegen.scalar
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load
began = time.perf_counter()
loaded = load(sys.argv[1])
compiled = compile_policy(loaded.policy, loaded.source)
compiled.scalar, compiled.batch
print(time.perf_counter() - began)
"""


def compile_ms() -> float:
    """Median over processes of their first compilation, the reading of the grammar's tables included."""
    runs = [subprocess.run([sys.executable, "-c", _FRESH, POLICY], cwd=ROOT, capture_output=True, text=True, check=True)
            for _ in range(RUNS)]  # fmt: skip
    return statistics.median(float(run.stdout) * 1e3 for run in runs)


def rank_us(rules: BatchRules, n: int) -> float:
    """Median time of the rank keys of *n* rows, per-request terms hoisted as the adapter keeps them."""
    rows = waiting(n, rules.hoisted_keys | rules.step_keys)
    engine = _numbers(engine_values(())) | {"cost.prefill_context": 1e-9}
    hoisted = rules.hoist(rows, engine)

    def step() -> object:
        engine["engine.running_tokens"] = float(engine["engine.running_tokens"]) + 1.0
        return rules.rank(rows, hoisted, engine)

    return _median_us(step, 2_000 if n <= 4_000 else 200)


def scalar_us() -> dict[str, float]:
    """Median time of one decision of each kind."""
    loaded = load(POLICY)
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    keys = compiled.row_keys | compiled.call_keys
    row = {key: float(column[0]) for key, column in waiting(1, keys).items()} | {"call.tool": "bash"}
    engine = _numbers(engine_values(()))
    values = engine | row
    rules = compiled.scalar
    decisions: dict[str, Callable[[], object]] = {
        "rank": lambda: rules.rank(values, engine),
        "promote": lambda: rules.promote(values, engine),
        "on call": lambda: rules.on_call(values, engine),
    }
    return {name: _median_us(decide, 5_000) for name, decide in decisions.items()}


def _numbers(values: Mapping[str, float | bool | str]) -> dict[str, float | bool]:
    return {key: value for key, value in values.items() if not isinstance(value, str)}


def _median_us(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - began)
    return float(np.median(taken)) / 1e3


def main() -> int:
    rules = rules_of("lamps")
    figures = {"compile, ms": (compile_ms(), COMPILE_MS)}
    figures |= {f"rank of {n}, us": (rank_us(rules, n), bound) for n, bound in RANK_US.items()}
    figures |= {f"{name} of one, us": (taken, SCALAR_US) for name, taken in scalar_us().items()}
    for name, (taken, bound) in figures.items():
        print(f"{name:<20} {taken:>8.1f}  bound {bound:>6.0f}")
    report = {name: {"median": round(taken, 2), "bound": bound} for name, (taken, bound) in figures.items()}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    return int(any(taken > bound for taken, bound in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
