"""How far virtual time is from the real engine: runs of a real server, made again in virtual time.

    python -m benchmarks.fidelity real       the engine measured, and the runs, in turn (40 minutes)
    python -m benchmarks.fidelity virtual    the runs in virtual time, and the errors (a minute)

Before the runs of each seed the engine is measured by the load of `lamps profile`, on a server of its own, and one
profile is fitted to all those steps: a machine's speed changes within the hour, and two starts of a server differ.
Nothing of the runs goes into it. Results go to benchmarks/results/fidelity.json; docs/fidelity.md has them as tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fidelity.cases import FIDELITY, METRICS, POLICIES, PROFILE, Case, cases_of, metrics
from benchmarks.servers import serving
from benchmarks.serving import SHORT_OF_MEMORY, run_of, turned
from engine_adapter.profiling.document import as_yaml, profile_of
from engine_adapter.profiling.fit import fit_steps
from engine_adapter.profiling.measure import Measured, measure
from engine_adapter.virtual.profile import load_profile

_SEEDS = (1, 2, 3)
_MEASURE_S = 180.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("real", "virtual"), default="virtual")
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(FIDELITY.read_text()) if FIDELITY.exists() else {}
    if given.what == "real":
        found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        found["seen"], found["real"] = real()
    else:
        found["errors"] = compared(found["real"])
        show(found["errors"])
    FIDELITY.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def real() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Writes PROFILE; the requests of each phase of its load from both ends, and METRICS of each run."""
    measured, runs = [], []
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        for n, seed in enumerate(_SEEDS):
            with serving("fcfs", "random", *SHORT_OF_MEMORY, logs=logs) as url:
                measured.append(_measured(url))
            for case in cases_of(seed, turned(POLICIES, n)):
                run = run_of(case.policy, case.trace, case.load, logs)
                runs.append({"case": asdict(case), "found": metrics(run["summary"])})
    together = _together(measured)
    fitted = fit_steps(together.steps, missed=together.missed)
    profile = profile_of(together, fitted, PROFILE.stem, datetime.now(UTC).date().isoformat())
    PROFILE.write_text(as_yaml(profile), encoding="utf-8")
    print(PROFILE.read_text(encoding="utf-8"))
    return [asdict(one) for one in together.seen], runs


def _measured(url: str) -> Measured:
    """The engine at *url*. Raises SystemExit where that didn't end as it should: no run is worth making then."""
    found = measure(url, None, _MEASURE_S)
    if found.ended != "complete":
        raise SystemExit(f"the engine couldn't be measured: {found.problem or found.ended}")
    return found


def _together(measured: list[Measured]) -> Measured:
    """Measurements of several starts of one engine, as one."""
    return replace(
        measured[0],
        steps=[step for one in measured for step in one.steps],
        seen=[seen for one in measured for seen in one.seen],
        missed=sum(one.missed for one in measured),
        done=sum(one.done for one in measured),
        planned=sum(one.planned for one in measured),
        seconds=sum(one.seconds for one in measured),
    )


def compared(real_runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each load and policy: means over seeds on the real server and in virtual time, and the one over the other."""
    from benchmarks.fidelity.virtual import simulated

    profile = load_profile(PROFILE)
    pairs: dict[tuple[str, str], list[tuple[dict[str, float], dict[str, float]]]] = {}
    for run in real_runs:
        case, found = Case(**run["case"]), run["found"]
        virtual = simulated(case, profile)
        pairs.setdefault((case.name, case.policy), []).append((found, virtual))
        told = ", ".join(f"{name} {found[name]:.3g} / {virtual[name]:.3g}" for name in METRICS)
        print(f"{case.name} {case.policy} seed {case.seed}, real / virtual: {told}", file=sys.stderr)
    return [_error(name, policy, runs) for (name, policy), runs in pairs.items()]


def _error(name: str, policy: str, runs: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    real, virtual = (
        {metric: sum(run[side][metric] for run in runs) / len(runs) for metric in METRICS} for side in (0, 1)
    )
    apart = {m: (max(r[0][m] for r in runs) - min(r[0][m] for r in runs)) / real[m] for m in METRICS}
    return {
        "case": name, "policy": policy, "runs": len(runs), "real": real, "virtual": virtual, "apart": apart,
        "error": {metric: virtual[metric] / real[metric] - 1.0 for metric in METRICS},
    }  # fmt: skip


def show(found: list[dict[str, Any]]) -> None:
    """The errors on the terminal."""
    print(f"{'':36}" + "".join(f"{name:>21}" for name in METRICS))
    for one in found:
        cells = (f"{one['real'][name]:.3g} {one['error'][name]:+.1%}" for name in METRICS)
        print(f"{one['case']:28}{one['policy']:8}" + "".join(f"{cell:>21}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
