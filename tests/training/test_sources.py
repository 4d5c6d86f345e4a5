"""What a model is trained on: traces, decision logs, records of steps; split by session, lived as in an engine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine_adapter.control import step_record as record
from engine_adapter.control.decision_log import LoggedDecision
from engine_adapter.control.frames import Decision
from engine_adapter.control.step_file import RecordWriter
from engine_adapter.runtime.activation import Settings, activate
from engine_adapter.runtime.engine import Held
from engine_adapter.runtime.past import USER
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Arrival, Ended
from engine_adapter.training.material import Material, MaterialError, load_material
from engine_adapter.training.samples import lived, split
from engine_adapter.workload.trace import SessionTrace, Turn, load_trace, written
from tests.runtime.test_core import World
from tests.virtual.small import session, trace


def test_a_trace_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(written(trace().sessions))
    found = load_material(str(tmp_path / "t.jsonl"))
    assert (found.kind, found.sessions, found.tokens) == ("trace", trace().sessions, {})
    assert load_material("augmented-single").sessions == load_trace("augmented-single").sessions


def test_numbered_tools_are_noticed() -> None:
    def of(tool: str | None) -> Material:
        turns = (Turn(5, 0, 5), Turn(9, 5, 5, 1.0, "tool", tool))
        return Material("m", "trace", (SessionTrace("s", turns, "search"),))

    assert of("tool-1").numbers_tools
    assert not of("search").numbers_tools
    assert not of(None).numbers_tools


def test_an_engines_own_decision_log_has_its_sessions(tmp_path: Path) -> None:
    world = World()
    runtime = activate(Settings(policy="sjf", decisions=str(tmp_path / "log.jsonl")), world.engine(), "0")
    for index, (prompt, output) in enumerate([(100, 20), (150, 30), (300, 7)]):
        name = f"r{index}"
        hints = {"lamps_call_tool": "search"} if index == 0 else {}
        runtime.arrive(Arrival(name, [1] * prompt, None, 0.0, "s", hints, [], 0))
        runtime.enqueue(name)
        runtime.dequeue(name)
        runtime.admitted({name: 0})
        world.now += 2.0
        runtime.ended(Ended(name, output, prompt + output, False, []), hold=lambda: Held(("x",), 100))
        world.now += 5.0
    runtime.close()
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"cut')
    found = load_material(str(tmp_path / "log.jsonl"))
    assert (found.kind, found.cut, len(found.sessions)) == ("decision log", 1, 1)
    turns = found.sessions[0].turns
    assert [(turn.prompt, turn.output, turn.gap_s, turn.after, turn.tool) for turn in turns] == [
        (100, 20, 0.0, None, None), (150, 30, 5.0, "tool", "search"), (300, 7, 5.0, "user", None)
    ]  # fmt: skip


def test_a_log_without_turns_is_refused(tmp_path: Path) -> None:
    line = LoggedDecision(1, 0.0, "admit", "admitted", time=1.0, policy="fcfs", revision="x")
    (tmp_path / "log.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    with pytest.raises(MaterialError, match="tells of no turn that ended"):
        load_material(str(tmp_path / "log.jsonl"))


def test_a_record_of_steps_has_tokens_too(tmp_path: Path) -> None:
    header = record.Header(record.VERSION, "", "", record.Policy("sjf", "", "", {}), {}, {}, [])
    writer = RecordWriter(tmp_path / "steps.jsonl.gz", header)
    admit = Decision(1, 0.0, "admit", "admitted", request="a", session="#1")
    ended = record.Did(finished=[("a", "FINISHED_STOPPED")])
    for event in (
        record.Event(record.Add("a", list(range(300)), 50, told='{"lamps_turn": "t1"}'), clock=[1.0]),
        record.Event(record.Schedule(1), clock=[2.0], did=record.Did(decisions=[admit])),
        record.Event(record.Update(1, ["a"], [[5, 6, 7]]), clock=[3.0], did=ended),
        record.Event(record.Command("verdict", '{"turn": "t1", "outcome": "call", "tools": ["search"]}')),
        record.Event(record.Add("b", [1, 2, 3], 50, session="#1"), clock=[7.0]),
        record.Event(record.Update(2, ["b"], [[5]]), clock=[8.0], did=record.Did(finished=[("b", "FINISHED_STOPPED")])),
        record.Event(record.Add("c", [1], 50), clock=[9.0]),
        record.Event(record.Finish(["c"], "FINISHED_ABORTED"), did=record.Did(finished=[("c", "FINISHED_ABORTED")])),
    ):
        writer.write(event)
    writer.close()
    found = load_material(str(tmp_path / "steps.jsonl.gz"))
    assert (found.kind, len(found.sessions)) == ("record of steps", 1)
    first, second = found.sessions[0].turns
    assert (first.prompt, first.output) == (300, 3)
    assert (second.gap_s, second.tool, second.output) == (4.0, "search", 1)
    assert found.tokens[found.sessions[0].name, 0] == tuple(range(172, 300))
    samples = lived(found, found.sessions, Predictor(), 0)
    assert [tuple(sample.case.tokens) for sample in samples] == [tuple(range(172, 300)), (1, 2, 3)]


def test_no_session_is_on_two_sides_and_copies_stay_together() -> None:
    sessions = load_trace("augmented-single").sessions
    found = split(sessions, 0.5, 1)
    names = [{one.name for one in part} for part in (found.train, found.valid, found.test)]
    assert sum(map(len, names)) == len(sessions) == len(set.union(*names))
    assert abs(len(found.test) - len(sessions) / 2) <= 3
    first = [{(one.turns[0].prompt, one.turns[0].output) for one in part} for part in (found.train, found.test)]
    assert first[0] & first[1] == {(1973, 4)}  # a class of its own, of 54 sessions
    assert split(sessions, 0.5, 1) == found != split(sessions, 0.5, 2)


def test_a_session_stays_with_those_it_started() -> None:
    made = [SessionTrace(f"p{n}", (Turn(10 + n, 0, 5),)) for n in range(20)]
    made += [SessionTrace(f"c{n}", (Turn(100 + n, 0, 5),), parent=f"p{n % 20}") for n in range(40)]
    found = split(made, 0.3, 0)
    side = {one.name: number for number, part in enumerate((found.train, found.valid, found.test)) for one in part}
    assert all(side[f"c{n}"] == side[f"p{n % 20}"] for n in range(40))
    assert set(side.values()) == {0, 1, 2}


def test_a_sample_is_what_an_engine_would_have_seen() -> None:
    two = session("s", (100, 20), (50, 30), gap_s=4.0)
    predictor = Predictor()
    first, second = lived(Material("m", "trace", (two,)), (two,), predictor, 0)
    assert (first.output, first.after, first.tool, first.case.past.prompt) == (20, 30, "search", 100)
    assert (second.output, second.after, second.tool) == (30, None, USER)
    past = second.case.past
    assert (past.turns, past.calls, past.grown, past.outputs, past.tools, past.call_s) == (
        1,
        1,
        50,
        (20,),
        ("search",),
        4.0,
    )
    assert not first.online.known
    assert "search" in {key[0] for key in predictor.state()["duration"] if key}


def test_ended_turns_are_in_the_log_alone(tmp_path: Path) -> None:
    runtime = activate(Settings(policy="sjf", decisions=str(tmp_path / "log.jsonl")), World().engine(), "0")
    runtime.arrive(Arrival("r", [1] * 10, None, 0.0, "s", {}, [], 0))
    runtime.enqueue("r")
    runtime.dequeue("r")
    runtime.admitted({"r": 0})
    runtime.ended(Ended("r", 5, 15, False, []), hold=lambda: Held(("x",), 100))
    runtime.close()
    logged = [msgspec.json.decode(line)["kind"] for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    assert "turn" in logged
    assert "turn" not in {entry.kind for entry in runtime.watch.journal.since(0)}
