"""How far virtual time is from the real engine: the runs of `benchmarks.serving latency`, made again in virtual time.

    python -m benchmarks.serving latency                             the real runs (a quarter of an hour)
    python -m benchmarks.serving latency --trace augmented-multi     those of other sessions
    python -m benchmarks.fidelity profile                            measure the engine (a minute)
    python -m benchmarks.fidelity                                    the runs in virtual time, and the errors

The profile is of another start of the server and of other load: nothing of the runs went into it. Results go to
benchmarks/results/fidelity.json; docs/fidelity.md has them as tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fidelity.cases import FIDELITY, METRICS, PROFILE, cases
from benchmarks.servers import serving
from benchmarks.serving import SHORT_OF_MEMORY

_MEASURE_S = 180.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("profile", "virtual"), default="virtual")
    parser.add_argument("--seeds", type=int, default=None, help="the first so many alone")
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(FIDELITY.read_text()) if FIDELITY.exists() else {}
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if given.what == "profile":
        found["seen"] = profiled()
    else:
        found["errors"] = compared(given.seeds)
        show(found["errors"])
    FIDELITY.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def profiled() -> list[dict[str, Any]]:
    """Measures the engine under fcfs, and writes PROFILE; the requests of each phase from both ends."""
    from engine_adapter.profiling.document import as_yaml, profile_of
    from engine_adapter.profiling.fit import fit_steps
    from engine_adapter.profiling.measure import measure

    with (
        tempfile.TemporaryDirectory() as folder,
        serving("fcfs", "random", *SHORT_OF_MEMORY, logs=Path(folder)) as url,
    ):
        measured = measure(url, None, _MEASURE_S)
    fitted = fit_steps(measured.steps, measured.ended == "complete", measured.missed)
    profile = profile_of(measured, fitted, PROFILE.stem, datetime.now(UTC).date().isoformat())
    PROFILE.write_text(as_yaml(profile), encoding="utf-8")
    print(PROFILE.read_text(encoding="utf-8"))
    return [asdict(one) for one in measured.seen]


def compared(seeds: int | None) -> list[dict[str, Any]]:
    """Of each load and policy: means over seeds on the real server and in virtual time, and the one over the other."""
    from benchmarks.fidelity.virtual import simulated
    from engine_adapter.virtual.profile import load_profile

    profile = load_profile(PROFILE)
    pairs: dict[tuple[str, str], list[tuple[dict[str, float], dict[str, float]]]] = {}
    for case in cases():
        if seeds is not None and case.load.seed > seeds:
            continue
        virtual = simulated(case, profile)
        pairs.setdefault((case.name, case.policy), []).append((dict(case.real), virtual))
        told = ", ".join(f"{name} {case.real[name]:.3g} / {virtual[name]:.3g}" for name in METRICS)
        print(f"{case.name} {case.policy} seed {case.load.seed}, real / virtual: {told}", file=sys.stderr)
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
