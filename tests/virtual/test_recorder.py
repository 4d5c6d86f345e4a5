"""The record of a run: it changes nothing, says what the result says, stays within its bounds, and saves a moment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.virtual import jobs
from engine_adapter.virtual.driver import run
from engine_adapter.workload.record import Decision, Moment, Record, Recording
from tests.virtual.small import profile, simulation, trace

MIXED = """lamps 1
policy mixed "preserve the KV of one tool's calls"
rank request.arrival
on call match call.tool {
  "search": preserve
  _: discard
}
"""
LOADED = simulation(profile=profile(kv_tokens=1200), trace=trace(60))


Recorded = Callable[[Recording], Record]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Runs the load under `MIXED` and gives what was recorded."""
    (tmp_path / "mixed.lamps").write_text(MIXED)

    def of(recording: Recording) -> Record:
        found = run(replace(LOADED, policy=tmp_path / "mixed.lamps", recording=recording), None)
        assert found.record is not None
        return found.record

    return of


@pytest.mark.parametrize("policy", ["stock", "lamps"])
def test_a_recorded_run_is_the_same_run(policy: str) -> None:
    given = replace(LOADED, policy=policy)
    found = run(replace(given, recording=Recording(steps=1000)), None)
    assert found.record is not None
    assert jobs.encode_measured(replace(found, record=None)) == jobs.encode_measured(run(given, None))
    said = Counter(decision.what for decision in found.record.decisions)
    turns = [turn for session in found.sessions for turn in session.turns]
    assert said["start"] == len(turns)
    assert said["preempt"] == said["resume"] == found.counters["preemptions"] > 0
    assert {d.request: d.tokens for d in found.record.decisions if d.what == "start"} == {
        f"{s.name}/{index}": turn.cached_tokens for s in found.sessions for index, turn in enumerate(s.turns)
    }
    handled = {(d.request, d.what) for d in found.record.decisions if d.what in ("preserve", "discard")}
    told = {(f"{s.name}/{i}", turn.handling) for s in found.sessions for i, turn in enumerate(s.turns)}
    assert {pair for pair in told if pair[1] is not None} <= handled
    assert bool(handled) == (policy == "lamps")


def test_pins_end_with_a_reason(recorded: Recorded) -> None:
    decisions = recorded(Recording()).decisions
    pinned = {d.request for d in decisions if d.what == "preserve"}
    ended = [d for d in decisions if d.what == "unpin"]
    assert {d.request for d in ended} == pinned
    assert "used" in {d.why for d in ended} <= {"used", "expired", "dropped", "yielded_running", "yielded_idle"}
    assert len(ended) == len(pinned)


def test_steps_follow_each_other_and_hold_every_token(recorded: Recorded) -> None:
    record = recorded(Recording(steps=100_000))
    assert record.cut_s is None
    for before, after in zip(record.steps, record.steps[1:], strict=False):
        assert before.begin_s < before.end_s <= after.begin_s
    assert sum(step.decoding for step in record.steps) > 0


def test_a_record_is_bounded(recorded: Recorded) -> None:
    whole, part = recorded(Recording(steps=100_000)), recorded(Recording(decisions=50, steps=10))
    assert part.decisions == whole.decisions[:50]
    assert part.left_out == len(whole.decisions) - 50
    assert part.steps == whole.steps[:10]
    assert part.cut_s == whole.steps[10].begin_s


@pytest.mark.parametrize("what", ["start", "preempt", "preserve", "discard"])
def test_a_moment_is_saved_with_the_request_that_it_is_about(what: str, recorded: Recorded) -> None:
    decisions = recorded(Recording()).decisions
    number, wanted = [(n, d) for n, d in enumerate(decisions) if d.what == what][-1]
    record = recorded(Recording(moment=Moment(number, wanted.step)))
    assert record.decisions == decisions[: number + 1]
    state = json.loads(record.state)
    assert state["engine"]["engine.now"] == pytest.approx(wanted.at_s)
    session = wanted.request.partition("/")[0]
    match what:
        case "start":
            assert wanted.request in state["requests"]
        case "preempt":
            assert wanted.request in {**state["running"], **state["requests"]}
        case _:
            assert state["paused"][session]["handling"] == what


def test_a_record_survives_the_way_from_a_worker() -> None:
    given = replace(LOADED, recording=Recording(decisions=20, steps=5, moment=Moment(19, 4)))
    assert jobs.decode_job(jobs.encode_job(given)) == given
    found = run(given, None)
    result = jobs.decode_line(given, jobs.encode_measured(found))
    assert not isinstance(result, float)
    assert result.record == found.record
    assert all(isinstance(decision, Decision) for decision in found.record.decisions if found.record)
