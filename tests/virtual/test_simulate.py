"""Whole runs: every token of the load is served, the same bytes each time, no wall clock, and always an end."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine_adapter.virtual import jobs
from engine_adapter.virtual.driver import run
from engine_adapter.virtual.simulate import Measured, Simulation, simulate
from engine_adapter.vllm.room import Room
from engine_adapter.workload.arriving import Bursty, Closed
from engine_adapter.workload.load import Load, plan
from engine_adapter.workload.summary import summarize
from engine_adapter.workload.trace import Trace
from tests.virtual.small import profile, session, simulation, trace

KEEP_ALL = """lamps 1
policy keep "preserve everything, whoever waits"
rank request.arrival
on call least { preserve: 0 }
"""


def as_bytes(given: Simulation) -> bytes:
    return jobs.encode_measured(run(given, None))


@pytest.mark.parametrize("policy", ["stock", "stock-no-cache", "fcfs", "lamps", "sjf"])
@pytest.mark.parametrize("ahead", [False, True])
def test_every_turn_of_every_session_is_served(policy: str, ahead: bool) -> None:
    given = simulation(policy, profile=profile(async_scheduling=ahead))
    found = simulate(given)
    planned = {arrival.name: arrival for arrival in plan(given.trace, given.load).all}
    assert found.ended == "finished"
    assert len(found.result.sessions) == 40
    for result in found.result.sessions:
        arrival = planned[result.name]
        assert [(t.prompt_tokens, t.output_tokens) for t in result.turns] == [
            (t.prompt, t.output) for t in arrival.session.turns
        ]
        due_s = arrival.arrival_s
        for turn, following in itertools.zip_longest(result.turns, arrival.session.turns[1:]):
            assert turn.started_s is not None and turn.first_token_s is not None and turn.done_s is not None
            assert turn.due_s == due_s <= turn.started_s < turn.first_token_s <= turn.done_s
            due_s = turn.done_s + (following.gap_s if following else 0.0)
    assert found.counters["generation_tokens"] == sum(
        t.output for arrival in planned.values() for t in arrival.session.turns
    )
    assert summarize(found.result).finished == 40


def test_without_a_prefix_cache_everything_is_computed_again() -> None:
    found = simulate(simulation("stock-no-cache"))
    assert found.counters["prefix_cache_hits"] == 0
    shared = sum(turn.shared for s in trace().sessions for turn in s.turns)
    followups = sum(len(s.turns) - 1 for s in trace().sessions)
    # Of what a follow-up repeats, the last token of the answer before had never been an input.
    assert found.counters["recomputed_after_call"] == shared - followups


def test_one_decision_shows_in_the_result(tmp_path: Path) -> None:
    keep, drop = tmp_path / "keep.lamps", tmp_path / "drop.lamps"
    keep.write_text(KEEP_ALL)
    drop.write_text(KEEP_ALL.replace("{ preserve: 0 }", "{ discard: 0 }"))
    kept, dropped = simulate(simulation(str(keep))), simulate(simulation(str(drop)))
    assert {turn.handling for s in dropped.result.sessions for turn in s.turns} == {"discard", None}
    assert "preserve" in {turn.handling for s in kept.result.sessions for turn in s.turns}
    assert kept.counters["recomputed_after_call"] < dropped.counters["recomputed_after_call"]
    assert max(sample.kv_pinned for sample in kept.timeline) > 0 == max(s.kv_pinned for s in dropped.timeline)
    for sample in kept.timeline:
        assert sample.kv_running + sample.kv_pinned + sample.kv_free == 1600


def test_a_worker_process_answers_with_the_same_bytes() -> None:
    given = simulation()
    command, job = [*jobs.COMMAND], jobs.encode_job(given)
    # Another hash seed: sets of texts are walked in another order.
    done = subprocess.run(command, input=job, capture_output=True, check=True, env={"PYTHONHASHSEED": "7", "PATH": ""})
    *_, last = done.stdout.splitlines(keepends=True)
    assert last == as_bytes(given) == as_bytes(jobs.decode_job(job))
    assert jobs.decode_line(given, last) == simulate(given)


def test_a_worker_says_what_is_wrong_in_a_sentence() -> None:
    done = subprocess.run([*jobs.COMMAND], input=jobs.encode_job(simulation("lams")), capture_output=True, check=False)
    assert done.returncode == 1
    with pytest.raises(jobs.JobError, match="there is no policy `lams`"):
        jobs.decode_line(simulation(), done.stdout)


def test_no_other_clock_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = as_bytes(simulation())
    leap = itertools.count(step=1e6)
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: float(next(leap)))
    assert as_bytes(simulation()) == expected


@pytest.mark.parametrize("arriving", [Closed(3, think_s=0.2), Bursty(4.0)])
def test_loads_survive_the_way_to_a_worker(arriving: Any) -> None:
    given = simulation(load=Load(rate=2.0, sessions=12, seed=5, arriving=arriving))
    assert jobs.decode_job(jobs.encode_job(given)) == given
    assert run(given, None).ended == "finished"


def test_in_a_closed_loop_no_more_sessions_are_there_than_clients() -> None:
    found = simulate(simulation(load=Load(sessions=20, arriving=Closed(3))))
    spans = [(s.arrival_s, s.turns[-1].done_s or 0.0) for s in found.result.sessions]
    for start, _ in spans:
        assert sum(begin <= start < end for begin, end in spans) <= 3


def test_a_session_that_can_never_fit_fails_and_the_rest_goes_on() -> None:
    given = simulation(trace=Trace("mixed", (session("huge", (2000, 10)), session("small", (100, 10), (20, 5)))))
    found = simulate(given)
    errors = {s.name.rpartition("-")[2]: s.error for s in found.result.sessions}
    assert errors == {"huge": "2010 tokens don't fit: the engine holds 1024 of one request", "small": ""}
    assert found.ended == "finished"


def test_a_policy_that_keeps_everything_is_made_to_yield(tmp_path: Path) -> None:
    (tmp_path / "keep.lamps").write_text(KEEP_ALL)
    found = run(simulation(str(tmp_path / "keep.lamps")), None)
    assert found.ended == "finished"
    yielded = [found.counters.get(f"runtime.pins.yielded_{why}", 0) for why in ("running", "idle")]
    assert min(yielded) > 0, yielded


def test_an_engine_that_would_wait_forever_ends_the_run_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keep.lamps").write_text(KEEP_ALL)
    # Without the core's guarantees nothing yields, and no pin ends before the run is given up.
    monkeypatch.setattr(Room, "_reason_to_yield", lambda self, request: None)
    monkeypatch.setattr("engine_adapter.runtime.keeping.MAX_PIN_S", 1e6)
    monkeypatch.setattr("engine_adapter.runtime.ledger.MAX_HOLD_S", 1e6)
    monkeypatch.setattr("engine_adapter.virtual.driver.STALLED_S", 30.0)
    sessions = tuple(session(f"s{n}", (690, 20), (20, 5), gap_s=1e4) for n in range(10))
    found = run(simulation(str(tmp_path / "keep.lamps"), trace=Trace("pins", sessions)), None)
    assert found.ended == "stalled"
    assert found.reason.startswith("policy deadlock: ")
    assert found.reason.endswith("none runs, and nothing was scheduled for 30 s")
    assert {s.error for s in found.sessions} == {found.reason}


def test_an_interrupted_run_keeps_what_it_has() -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    found: Measured = run(simulation(trace=trace(200)), interrupt)
    assert found.ended == "interrupted"
    done = [s for s in found.sessions if s.finished]
    assert 0 < len(done) < 200
    assert {s.error for s in found.sessions if not s.finished} == {"interrupted"}


def test_idle_time_is_skipped() -> None:
    sessions = (session("a", (50, 5), (10, 5), gap_s=50_000.0),)
    found = run(simulation(trace=Trace("idle", sessions)), None)
    assert found.virtual_s > 50_000.0
    assert found.steps < 20
    assert len(found.timeline) < 20
