"""Simulations: a policy, a trace, a load and a profile in; every turn of every session out, in virtual time.

The same simulation gives the same result, byte for byte, on every machine. This module needs no vLLM until `simulate`
is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine_adapter.virtual.hints import NOISE, ORACLE, TOOL
from engine_adapter.virtual.profile import Profile
from engine_adapter.workload.client import ServerInfo
from engine_adapter.workload.load import Load
from engine_adapter.workload.record import Record, Recording
from engine_adapter.workload.result import BenchResult, Ended, Hints, Sample, SessionResult
from engine_adapter.workload.trace import Trace

Progress = Callable[[float], None]
RARE = ("preemptions", "recomputed_after_call", "recomputed_after_preemption")
"""Counters that a run in which they never rose doesn't have: a result has them all."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One run. *policy*: a shipped name, a file, "stock" or "stock-no-cache"; *predict*: see `hints.teller`.

    *recording*: what is to be written down of its decisions, None for nothing.
    """

    policy: str | Path
    trace: Trace
    load: Load
    profile: Profile
    predict: str = "online"
    params: Mapping[str, float] = field(default_factory=dict)
    recording: Recording | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run brings forth, in plain values. *reason*: why it stalled, "" when it didn't."""

    sessions: tuple[SessionResult, ...]
    ended: Ended
    reason: str
    virtual_s: float
    steps: int
    counters: dict[str, float]
    timeline: tuple[Sample, ...]
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class SimResult:
    """One finished run. *result* is what `workload.summary.summarize` takes.

    *counters*: those of a server (`workload.client.COUNTERS`), with `recomputed_after_call` and
    `recomputed_after_preemption` in tokens and `runtime.*`, what the policy's runtime counted.
    """

    simulation: Simulation
    result: BenchResult
    counters: dict[str, float]
    timeline: tuple[Sample, ...]
    steps: int
    ended: Ended
    reason: str
    virtual_s: float
    record: Record | None = None


def simulate(simulation: Simulation, progress: Progress | None = None) -> SimResult:
    """Run it. *progress* gets the share of the sessions that are done.

    Ctrl-C ends the run with what there is, ended "interrupted". Raises ValueError or LookupError, with a sentence, for
    a policy or predictions that can't be used, TraceError for a load that can't be drawn.
    """
    from engine_adapter.virtual.driver import run

    return assembled(simulation, run(simulation, progress))


def assembled(simulation: Simulation, measured: Measured) -> SimResult:
    """The result of *simulation*, from what its run measured."""
    profile = simulation.profile
    counters = dict.fromkeys(RARE, 0.0) | measured.counters
    result = BenchResult(
        trace=simulation.trace.name,
        url=f"virtual time, {profile.name}",
        server=ServerInfo(profile.name, profile.longest),
        load=simulation.load,
        hints=_hints(simulation.predict),
        sessions=measured.sessions,
        ended=measured.ended,
        duration_s=measured.virtual_s,
        counters=counters,
    )
    return SimResult(
        simulation,
        result,
        counters,
        measured.timeline,
        measured.steps,
        measured.ended,
        measured.reason,
        measured.virtual_s,
        measured.record,
    )


def _hints(predict: str) -> Hints:
    if predict.startswith((ORACLE, NOISE)):
        return "oracle"
    return "tool" if predict == TOOL else "none"
