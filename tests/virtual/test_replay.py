"""Records of an engine's steps: a replay takes the same decisions, and finds any that is another."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.control import step_record as record
from engine_adapter.control.decision_log import Reading
from engine_adapter.control.frames import Decision
from engine_adapter.control.step_file import Record, RecordError, RecordWriter
from engine_adapter.control.step_record import Event
from engine_adapter.runtime import calls
from engine_adapter.virtual.build import make_scheduler
from engine_adapter.virtual.comparison import compared
from engine_adapter.virtual.replay import ReplayError, replay
from engine_adapter.vllm.recording import recorded
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from tests.engine.stepping import Clock, Stepper, vllm_config
from tests.engine.traffic import random_traffic

Made = Callable[..., Path]
_Lines = list[dict[str, Any]]


def recording(path: Path, base: type[Scheduler] = LampsScheduler, **settings: Any) -> Stepper:
    clock = Clock()
    cls = recorded(base, path, clock)
    return Stepper(make_scheduler(cls, vllm_config(40, 4, {"policy": "lamps", **settings})), clock)


def made(path: Path, base: type[Scheduler] = LampsScheduler, seed: int = 1, **settings: Any) -> Path:
    """A record of random traffic with memory that runs short, to the engine's end."""
    engine = recording(path, base, **settings)
    random_traffic(engine, random.Random(seed))
    engine.run()
    engine.scheduler.shutdown()
    return path


def header_of(path: Path) -> record.Header:
    with Record(path) as reading:
        return reading.header


def changed(path: Path, change: Callable[[_Lines], None]) -> Path:
    """A copy of the record with its lines changed."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    copy = path.with_name("changed.jsonl")
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return copy


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("policy", ["fcfs", "sjf", "lamps"])
@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
def test_a_replay_takes_the_same_decisions(base: type[Scheduler], policy: str, seed: int, tmp_path: Path) -> None:
    found = replay(made(tmp_path / "steps.jsonl.gz", base, seed, policy=policy))
    assert found.difference is None
    assert (found.ended, found.requests, found.clock_differs) == ("closed", 90, 0)
    assert found.steps > 400 and found.aborts > 5 and found.verdicts > 20
    assert min(found.by_kind[kind] for kind in ("admit", "finish", "call")) > 10


def test_what_was_learned_before_is_in_the_record(tmp_path: Path) -> None:
    store = str(tmp_path / "learned.sqlite")
    made(tmp_path / "first.jsonl", store=store)
    second = made(tmp_path / "second.jsonl", seed=2, store=store)
    assert header_of(second).learned
    assert replay(second).difference is None

    def forget(lines: _Lines) -> None:
        lines[0]["learned"] = []

    assert replay(changed(second, forget)).difference is not None


def test_planted_differences_are_found_where_they_are(tmp_path: Path) -> None:
    path = made(tmp_path / "steps.jsonl")

    def other(pick: Callable[[dict[str, Any]], bool], plant: Callable[[dict[str, Any]], None]) -> tuple[str, bool]:
        """What the replay says of a change to the last call that *pick* finds, and whether it is at that call."""
        place = 0

        def change(lines: _Lines) -> None:
            nonlocal place
            place = max(n for n, line in enumerate(lines) if n and pick(line.get("did", {})))
            plant(lines[place]["did"])

        difference = replay(changed(path, change)).difference
        assert difference is not None
        return difference.what, difference.call == place

    def swap(ranked: list[str]) -> None:
        ranked[0], ranked[1] = ranked[1], ranked[0]

    assert other(lambda did: len(did.get("ranked", [[]])[0]) > 1, lambda did: swap(did["ranked"][0])) == (
        "the order of the queue",
        True,
    )
    assert other(lambda did: "scheduled" in did, lambda did: did["scheduled"].pop()) == ("what is scheduled", True)
    assert other(
        lambda did: any(d["kind"] == "call" for d in did.get("decisions", ())),
        lambda did: next(d for d in did["decisions"] if d["kind"] == "call").update(what="swap"),
    ) == ("a decision", True)
    assert other(lambda did: "counters" in did, lambda did: did["counters"].update(turns=7)) == ("a counter", True)
    assert other(lambda did: "finished" in did, lambda did: did["finished"][0].reverse()) == ("what ends", True)
    held = other(lambda did: "held_tokens" in did, lambda did: did.update(held_tokens=1))
    assert held == ("the KV held for paused sessions", True)
    free = other(lambda did: "free_blocks" in did, lambda did: did.update(free_blocks=1000))
    assert free == ("the free KV blocks", True)


def test_another_policy_and_other_code_decide_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "steps.jsonl", policy="sjf")

    def longest_first(lines: _Lines) -> None:
        policy = lines[0]["policy"]
        assert "rank " in policy["text"]
        policy["text"] = policy["text"].replace("rank ", "rank highest ")

    difference = replay(changed(path, longest_first)).difference
    assert difference is not None
    assert difference.what == "the order of the queue"
    monkeypatch.setattr(calls, "PROVISIONAL_S", 0.001)
    assert replay(path).difference is not None


def test_a_request_waits_for_its_grammar_as_it_did(tmp_path: Path) -> None:
    from vllm.v1.request import RequestStatus

    engine = recording(tmp_path / "steps.jsonl")
    add = engine.scheduler.add_request

    def constrained(request: Any) -> None:
        request.structured_output_request = SimpleNamespace(grammar=None)
        request.status = RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
        add(request)

    engine.scheduler.structured_output_manager = SimpleNamespace(accept_tokens=lambda request, tokens: True)
    engine.scheduler.add_request = constrained
    waiting = engine.add("constrained", range(3, 60), 5)
    engine.scheduler.add_request = add
    engine.add("free", range(103, 160), 5)
    for _ in range(3):
        engine.step()
    assert engine.order == ["free"]
    waiting.structured_output_request.grammar = SimpleNamespace()
    engine.run()
    engine.scheduler.shutdown()
    assert engine.order == ["free", "constrained"]
    assert replay(tmp_path / "steps.jsonl").difference is None


def test_a_crash_of_the_engine_is_replayed(tmp_path: Path) -> None:
    engine = recording(tmp_path / "steps.jsonl.gz")
    engine.add("one", range(3, 60), 5)
    engine.step()
    with pytest.raises(AssertionError, match="duplicate request id"):
        engine.add("one", range(3, 60), 5)
    found = replay(tmp_path / "steps.jsonl.gz")  # nobody has closed it: all that led to the crash is there
    assert found.difference is None
    assert found.ended == "AssertionError: duplicate request id"
    engine.scheduler.shutdown()


@pytest.mark.parametrize("name", ["steps.jsonl", "steps.jsonl.gz"])
def test_a_record_that_breaks_off_is_replayed_up_to_there(name: str, tmp_path: Path) -> None:
    path = made(tmp_path / name)
    whole = replay(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    cut = replay(path)
    assert (cut.difference, cut.ended) == (None, "cut off")
    assert 100 < cut.calls < whole.calls


def test_the_record_of_an_engine_that_is_killed_idle_is_whole(tmp_path: Path) -> None:
    engine = recording(tmp_path / "steps.jsonl.gz")
    random_traffic(engine, random.Random(1))
    engine.run()
    engine.scheduler.lamps_command("verdict", '{"turn": "t", "outcome": "end"}')
    found = replay(tmp_path / "steps.jsonl.gz")
    assert (found.requests, found.by_kind["finish"]) == (90, 90)
    engine.scheduler.shutdown()
    assert replay(tmp_path / "steps.jsonl.gz").calls == found.calls + 1


def test_a_record_is_bounded_and_says_so(tmp_path: Path) -> None:
    header = header_of(made(tmp_path / "steps.jsonl"))
    writer = RecordWriter(tmp_path / "small.jsonl", header, largest_bytes=20_000)
    for _ in range(10_000):
        writer.write(Event(record.Finish([], "FINISHED_ABORTED"), did=record.Did(free_blocks=39)))
    assert "largest size" in writer.problem
    assert (tmp_path / "small.jsonl").stat().st_size < 30_000
    found = replay(tmp_path / "small.jsonl")
    assert (found.ended, found.difference) == ("full", None)


def test_only_the_owner_may_read_a_record_and_none_is_overwritten(tmp_path: Path) -> None:
    path = made(tmp_path / "steps.jsonl.gz")
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(RecordError, match="exists"):
        recording(path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError):
        recording(tmp_path / "link")
    assert path.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_record_does_not_hold_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "steps.jsonl")

    def features(lines: _Lines) -> None:
        lines[0]["beyond"] = ["a KV connector"]

    with pytest.raises(ReplayError, match="a KV connector"):
        replay(changed(path, features))

    def request(lines: _Lines) -> None:
        lines[9:] = [{"call": {"type": "beyond", "why": "a LoRA adapter"}}]

    found = replay(changed(path, request))
    assert (found.ended, found.calls) == ("beyond what a record holds: a LoRA adapter", 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no record"),
        (b"lamps 1\n", "no record"),
        (b'{"lamps_record": 9}\n', "version 9"),
        (b'{"lamps_record": 1}\n', "version 1"),
        (b'{"lamps_record": 2}\n', "no record"),
        (gzip.compress(b"[]", mtime=0)[:9], "no record"),
    ],
)
def test_what_is_no_record_is_said_to_be_none(text: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(text)
    with pytest.raises(RecordError, match=says):
        Record(path)


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "steps.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b'{"call": {"type": "add"}}\n'
    path.write_bytes(b"".join(lines))
    with pytest.raises(RecordError, match="line 5"):
        replay(path)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_clock_readings_are_kept_to_the_last_bit(readings: list[float]) -> None:
    import msgspec

    event = msgspec.json.decode(msgspec.json.encode(Event(record.Close(), clock=readings)), type=Event)
    assert [math.copysign(1, r) for r in event.clock] == [math.copysign(1, r) for r in readings]
    assert event.clock == readings


def test_a_difference_shows_both_sides() -> None:
    then = Event(record.Schedule(3), did=record.Did(decisions=[Decision(1, 2.5, "admit", "admitted", "a")]))
    now = Event(record.Schedule(3), did=record.Did())
    difference = compared(5, 3, then, now)
    assert difference is not None
    assert (difference.call, difference.step, difference.kind) == (5, 3, "schedule")
    assert (difference.recorded, difference.replayed) == ({"kind": "admit", "what": "admitted", "request": "a"}, None)
    assert compared(5, 3, then, then) is None


def test_a_decision_log_is_written_beside_a_record(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    path = made(tmp_path / "steps.jsonl", decisions=str(log))
    with Record(path) as reading:
        recorded = [(one.kind, one.what, one.request, one.session) for event in reading for one in event.did.decisions]
    logged = [(one.kind, one.what, one.request, one.session) for one in Reading(log)]
    assert [one for one in logged if one[0] != "turn"] == recorded
    assert min(sum(one[0] == kind for one in logged) for kind in ("admit", "call", "turn")) > 10
    found = replay(path)  # which writes no log
    assert (found.difference, found.ended) == (None, "closed")
