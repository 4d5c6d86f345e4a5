"""What is compared: the runs of `benchmarks.serving latency` on the real server, and what is read off a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.serving import GAP_SCALE, RESULTS, warm_up_of
from engine_adapter.workload.load import Load

REAL = {"augmented-single": RESULTS / "latency.json", "augmented-multi": RESULTS / "latency-augmented-multi.json"}
FIDELITY, PROFILE = RESULTS / "fidelity.json", RESULTS / "fidelity-profile.yaml"
METRICS = (
    "end_to_end_s.mean", "end_to_end_s.p50", "end_to_end_s.p99", "without_tools_s.mean",
    "ttft_turn_s.mean", "ttft_turn_s.p50", "ttft_turn_s.p99", "output_tokens_per_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the real server, which was new and had served a warm-up. *real*: its METRICS."""

    trace: str
    policy: str
    warm_up: Load
    load: Load
    real: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.trace} at {self.load.rate:g}/s"


def cases() -> Iterator[Case]:
    """All runs that were measured, seed by seed."""
    for trace, file in REAL.items():
        if not file.exists():
            continue
        found = json.loads(file.read_text(encoding="utf-8"))
        for place, seed in enumerate(found["seeds"]):
            for policy, runs in found["runs"].items():
                load = Load(rate=found["rate"], sessions=found["sessions"], seed=seed, gap_scale=GAP_SCALE)
                warm_up = warm_up_of(found["rate"], seed)
                yield Case(trace, policy, warm_up, load, metrics(runs[place]["summary"]))


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """METRICS out of a run's summary."""
    found = {}
    for name in METRICS:
        part, _, which = name.partition(".")
        found[name] = float(summary[part][which] if which else summary[part])
    return found
