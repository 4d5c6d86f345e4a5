"""What is compared: loads on the real server, and what is read off a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.serving import RESULTS, warm_up_of
from engine_adapter.workload.load import Load

FIDELITY, PROFILE = RESULTS / "fidelity.json", RESULTS / "fidelity-profile.yaml"
POLICIES = ("stock", "fcfs", "lamps")
# The trace, sessions/s, and the share of their time that tools take: past saturation, and well below it. Sessions of
# several calls take minutes even so.
LOADS = (("augmented-single", 60.0, 0.3), ("augmented-single", 12.0, 0.3), ("augmented-multi", 20.0, 0.1))
_SESSIONS = 380
METRICS = (
    "end_to_end_s.mean", "end_to_end_s.p50", "end_to_end_s.p99", "without_tools_s.mean",
    "ttft_turn_s.mean", "ttft_turn_s.p50", "ttft_turn_s.p99", "output_tokens_per_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a server that was new and had served a warm-up."""

    trace: str
    rate: float
    gap_scale: float
    seed: int
    policy: str

    @property
    def name(self) -> str:
        return f"{self.trace} at {self.rate:g}/s"

    @property
    def load(self) -> Load:
        return Load(rate=self.rate, sessions=_SESSIONS, seed=self.seed, gap_scale=self.gap_scale)

    @property
    def warm_up(self) -> Load:
        return warm_up_of(self.rate, self.seed)


def cases_of(seed: int, policies: Sequence[str]) -> Iterator[Case]:
    """The runs of one seed, *policies* in their order."""
    return (Case(*load, seed, policy) for load in LOADS for policy in policies)


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """METRICS out of a run's summary."""
    found = {}
    for name in METRICS:
        part, _, which = name.partition(".")
        found[name] = float(summary[part][which] if which else summary[part])
    return found
