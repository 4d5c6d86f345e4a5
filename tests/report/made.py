"""Two made-up runs of one load: three sessions, one of which is handled differently, started later and preempted."""

from __future__ import annotations

from engine_adapter.workload.client import ServerInfo
from engine_adapter.workload.load import Load
from engine_adapter.workload.record import Decision, Record, Step
from engine_adapter.workload.result import BenchResult, Sample, SessionResult, TurnResult


def turn(due_s: float, start_s: float, first_s: float, done_s: float, gap_s: float = 0.0, **more: object) -> TurnResult:
    made = TurnResult(100, 20, gap_s, due_s, 0.0, cached_tokens=0, first_token_s=first_s, done_s=done_s)
    made.started_s, made.preemptions = start_s, 0
    for name, value in more.items():
        setattr(made, name, value)
    return made


def result(sessions: tuple[SessionResult, ...], counters: dict[str, float]) -> BenchResult:
    return BenchResult(
        "made", "virtual time, made", ServerInfo("made", 1000), Load(), "none", sessions, "finished", 12.0, counters
    )


def sessions(late_s: float, kept: bool) -> tuple[SessionResult, ...]:
    """*late_s*: by how much a's second turn starts later; *kept*: whether its KV was preserved in between."""
    a = SessionResult("a", "search", 0.0, 2)
    a.turns = [
        turn(0.0, 0.0, 0.5, 1.0, handling="preserve" if kept else "discard"),
        turn(3.0, 3.0 + late_s, 3.5 + late_s, 4.0 + late_s, 2.0, shared_tokens=80, cached_tokens=80 if kept else 16),
    ]
    b = SessionResult("b", None, 0.5, 1, [turn(0.5, 1.0, 2.0, 5.0)])
    c = SessionResult("c", None, 1.0, 1, [turn(1.0, 1.5, 2.5, 9.0 - late_s)])
    return (a, b, c)


KEPT = (
    sessions(0.0, True),
    Record(
        decisions=(
            Decision(0.0, 1, "start", "a/0"),
            Decision(1.0, 11, "start", "b/0"),
            Decision(1.0, 11, "preserve", "a/0", 120, "search"),
            Decision(1.5, 16, "start", "c/0"),
            Decision(3.0, 31, "start", "a/1", 80),
            Decision(3.0, 31, "unpin", "a/0", 112, "used"),
            Decision(5.0, 40, "preempt", "c/0"),
            Decision(6.0, 50, "resume", "c/0", 16),
        ),
        steps=(Step(0.0, 0.5, 100, 0), Step(0.5, 0.6, 0, 1), Step(0.6, 0.8, 50, 1)),
    ),
)
GIVEN_UP = (
    sessions(0.75, False),
    Record(
        decisions=(
            Decision(0.0, 1, "start", "a/0"),
            Decision(1.0, 11, "start", "b/0"),
            Decision(1.0, 11, "discard", "a/0", 120, "search"),
            Decision(1.5, 16, "start", "c/0"),
            Decision(3.75, 31, "start", "a/1", 16),
        )
    ),
)
TIMELINE = tuple(Sample(float(at), 1, 2, 0, 100 * at, 50, 1150 - 100 * at) for at in range(12))
COUNTERS = {"preemptions": 1.0, "recomputed_after_call": 80.0, "runtime.decisions.preserve": 1.0}
