"""Arrivals: bursts have the variation asked for, recorded times are kept, closed loops follow their sessions' ends."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.workload.arriving import Bursty, Closed, Poisson, Recorded
from engine_adapter.workload.load import Load, arrivals, plan
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.trace import SessionTrace, Trace, TraceError, Turn, load_trace
from tests.workload.fake_server import FakeServer, serving

SINGLE = load_trace("augmented-single")

# What these loads were when results were first published from them.
PUBLISHED = {
    "augmented-single": (Load(rate=5, sessions=50, seed=3), "19f73755f9ca4d47"),
    "augmented-multi": (Load(rate=2, sessions=1000, seed=1, replacement=True, gap_scale=0.5), "03eb2bc5c5aea160"),
    "agentic-coding": (Load(seed=7, length_scale=0.01, max_gap_s=60), "be172c3dbc92af9d"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_load_stays_what_it_was(name: str) -> None:
    load, digest = PUBLISHED[name]
    rows = []
    for arrival in arrivals(load_trace(name), load):
        turns = [(turn.prompt, turn.shared, turn.output, turn.gap_s, turn.after) for turn in arrival.session.turns]
        rows.append(repr((arrival.name, arrival.arrival_s, arrival.session.name, turns)))
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16] == digest


def waits(load: Load) -> list[float]:
    times = [arrival.arrival_s for arrival in arrivals(SINGLE, load)]
    return [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0, 4.0])
def test_bursts_have_the_rate_and_the_variation_asked_for(cv: float) -> None:
    count = 8000
    found = waits(Load(rate=4, sessions=count, replacement=True, seed=2, arriving=Bursty(cv)))
    mean = math.fsum(found) / count
    deviation = math.sqrt(math.fsum((wait - mean) ** 2 for wait in found) / count)
    assert abs(mean - 0.25) < 5 * cv * 0.25 / math.sqrt(count)
    # A gamma distribution's excess kurtosis is 6 cv^2.
    assert abs(deviation / (cv * 0.25) - 1) < 5 * math.sqrt((2 + 6 * cv**2) / count) / 2 + 0.02


def test_without_variation_arrivals_are_a_metronome() -> None:
    assert waits(Load(rate=4, sessions=40, arriving=Bursty(0))) == pytest.approx([0.25] * 40)


def test_a_variation_of_one_is_the_poisson_process() -> None:
    assert waits(Load(rate=4, arriving=Bursty(1))) == pytest.approx(waits(Load(rate=4, arriving=Poisson())))


def test_bursts_change_when_but_not_who() -> None:
    who = [[a.session for a in arrivals(SINGLE, Load(arriving=kind))] for kind in (Poisson(), Bursty(3), Bursty(0))]
    assert who[0] == who[1] == who[2]


def session(name: str, start_s: float | None, parent: str | None = None) -> SessionTrace:
    return SessionTrace(name, (Turn(10, 0, 1),), parent=parent, start_s=start_s)


def test_recorded_times_are_the_traces_own_and_a_sub_agents_its_parents_and_its_own() -> None:
    sessions = (session("b", 30.0), session("a", 10.0), session("sub", 5.0, "a"), session("subsub", 1.0, "sub"))
    found = arrivals(Trace("t", sessions), Load(arriving=Recorded(0.5)))
    assert [(a.session.name, a.arrival_s) for a in found] == [("a", 0.0), ("sub", 2.5), ("subsub", 3.0), ("b", 10.0)]


def test_what_was_not_recorded_cannot_be_replayed_as_recorded() -> None:
    with pytest.raises(TraceError, match=r"session 'single-0.*' has no start"):
        arrivals(SINGLE, Load(arriving=Recorded()))
    orphans = (session("a", 1.0, "b"), session("b", 2.0, "a"), session("c", 4.0, "gone"))
    assert [a.arrival_s for a in arrivals(Trace("t", orphans), Load(arriving=Recorded()))] == [0.0, 0.0, 1.0]
    with pytest.raises(TraceError, match="can't be drawn twice"):
        arrivals(Trace("t", orphans), Load(replacement=True, arriving=Recorded()))


def test_sub_agents_of_the_coding_trace_arrive_after_their_parents() -> None:
    trace = load_trace("agentic-coding")
    at = {a.session.name: a.arrival_s for a in arrivals(trace, Load(arriving=Recorded()))}
    starts = [at[s.name] - at[s.parent] for s in trace.sessions if s.parent in at]
    assert len(starts) > 20
    assert min(starts) >= 0 < max(starts)


def test_in_a_closed_loop_a_session_begins_when_one_has_ended() -> None:
    run = plan(SINGLE, Load(sessions=5, seed=1, arriving=Closed(2)))
    assert [a.arrival_s for a in run.first] == [0.0, 0.0]
    third, fourth = run.after_end(7.0), run.after_end(4.0)
    assert third is not None and fourth is not None
    assert (third.arrival_s, fourth.arrival_s) == (7.0, 4.0)
    assert [a.name for a in (*run.first, third, fourth)] == [a.name for a in run.all[:4]]
    assert run.after_end(9.0) is not None
    assert run.after_end(9.5) is None


def test_thinking_belongs_to_the_session_and_has_the_mean_asked_for() -> None:
    load = Load(sessions=4000, replacement=True, arriving=Closed(1, think_s=3.0))
    one, other = plan(SINGLE, load), plan(SINGLE, replace(load, arriving=Closed(4000, think_s=3.0)))
    thought = [a.arrival_s for a in one.all]
    assert thought == [a.arrival_s for a in other.all]
    assert math.fsum(thought) / 4000 == pytest.approx(3.0, rel=0.08)
    following = one.after_end(100.0)
    assert following is not None
    assert following.arrival_s == 100.0 + thought[1]


def test_arrivals_of_a_closed_loop_are_not_known_before_the_run() -> None:
    with pytest.raises(TraceError, match="depend on when sessions end"):
        arrivals(SINGLE, Load(arriving=Closed(3)))


def test_an_open_loop_has_nothing_that_waits_for_an_end() -> None:
    run = plan(SINGLE, Load(sessions=5))
    assert run.first == run.all == arrivals(SINGLE, Load(sessions=5))
    assert run.after_end(1.0) is None


def test_a_server_sees_no_more_sessions_at_once_than_there_are_clients(trace_file: Path) -> None:
    with serving(FakeServer(delay_s=0.02)) as fake:
        load = Load(arriving=Closed(3, think_s=0.01))
        result = run_bench(BenchConfig(fake.url, load_trace(trace_file), load))
    assert all(one.finished for one in result.sessions)
    edges = [(one.arrival_s, 1) for one in result.sessions]
    edges += [(one.turns[-1].done_s or 0.0, -1) for one in result.sessions]
    running, most = 0, 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    assert most <= 3
    assert len({one.arrival_s for one in result.sessions}) == 10


def test_a_failed_session_of_a_closed_loop_makes_room_for_the_next(trace_file: Path) -> None:
    with serving(FakeServer(refuse_prompts_over=40)) as fake:
        result = run_bench(BenchConfig(fake.url, load_trace(trace_file), Load(arriving=Closed(2))))
    assert [one.error for one in result.sessions] == ["400: prompt too long"] * 10
