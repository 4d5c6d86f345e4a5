"""The same runs in virtual time, warm-up included, with the profile that was measured."""

from __future__ import annotations

import os
from dataclasses import asdict, replace

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from benchmarks.fidelity.cases import Case, metrics
from engine_adapter.virtual.hints import TOOL
from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.simulate import Simulation, simulate
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load, arrivals
from engine_adapter.workload.result import SessionResult
from engine_adapter.workload.summary import summarize
from engine_adapter.workload.trace import SessionTrace, Trace, load_trace

# The warm-up is over by then, and its sessions are remembered for an hour.
_APART_S = 600.0
_WARMING, _COUNTED = "warming", "counted"


def simulated(case: Case, profile: Profile) -> dict[str, float]:
    """METRICS of the run in virtual time."""
    trace = Trace(case.trace, (*_sessions(case, case.warm_up, _WARMING), *_sessions(case, case.load, _COUNTED)))
    result = simulate(Simulation(case.policy, trace, Load(arriving=Recorded()), profile, TOOL)).result
    counted = [session for session in result.sessions if f"-{_COUNTED}/" in session.name]
    for session in counted:
        _begin_at(session, _APART_S)
    return metrics(asdict(summarize(replace(result, sessions=tuple(counted)))))


def _sessions(case: Case, load: Load, word: str) -> list[SessionTrace]:
    """The sessions of a load with the times at which they arrive."""
    begins_s = _APART_S if word == _COUNTED else 0.0
    return [
        replace(a.session, name=f"{word}/{a.name}", start_s=begins_s + a.arrival_s)
        for a in arrivals(load_trace(case.trace), load)
    ]


def _begin_at(session: SessionResult, zero_s: float) -> None:
    """Count a session's times from *zero_s*."""
    session.arrival_s -= zero_s
    for turn in session.turns:
        turn.due_s -= zero_s
        turn.first_token_s = None if turn.first_token_s is None else turn.first_token_s - zero_s
        turn.done_s = None if turn.done_s is None else turn.done_s - zero_s
