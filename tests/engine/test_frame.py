"""The status frame of an engine, read as the monitor reads it."""

from __future__ import annotations

import pytest

from engine_adapter.control.frames import Frame, parse_status
from tests.engine.stepping import BLOCK, Clock, Stepper, vllm_config
from tests.engine.test_scheduler import Make, make, prompt

__all__ = ["make"]  # the fixture


def frame(stepper: Stepper, payload: str = "{}") -> Frame:
    answer = stepper.scheduler.lamps_command("status", payload)
    return parse_status(f'{{"version": 1, "engines": [{answer}]}}').engines[0]


def test_memory_is_told_by_what_it_is_used_for(make: Make) -> None:
    engine = make(blocks=41)
    assert frame(engine).memory.free == frame(engine).memory.total == 40 * BLOCK
    engine.add("held", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()  # five full blocks are pinned, the tail is free
    memory = frame(engine).memory
    assert (memory.running, memory.pinned, memory.free) == (0, 80, 640 - 80)
    engine.add("gone", prompt(2, 64), 17)
    engine.run()  # its blocks are free, their prefix may be found again
    assert frame(engine).memory.cached == 80
    engine.add("runs", prompt(3, 100), 50)
    engine.step()
    memory = frame(engine).memory
    assert memory.running == 7 * BLOCK
    assert memory.running + memory.pinned + memory.cached + memory.free == memory.total


def test_a_waiting_request_is_told_with_the_terms_of_its_rank_and_what_holds_it(make: Make) -> None:
    engine = make("lamps", seats=1)
    engine.add("runs", prompt(0, 20), 30)
    engine.step()
    engine.add("small", prompt(1, 40), 4, session="a", lamps_call_tool="search")
    engine.add("large", prompt(2, 400), 4, session="b")
    engine.step()
    told = frame(engine)
    assert [term.text for term in told.policy.terms] == [
        "not (request.pinned > 0)", "before", "during", "after", "request.arrival"
    ]  # fmt: skip
    first, second = told.waiting
    assert (first.held_by, second.held_by) == ("seats", f"behind {first.id}")
    assert first.rank[1] == pytest.approx(sum(value for value in first.terms[1:4] if value is not None))
    calling = next(row for row in told.waiting if row.id == "small")
    assert (calling.tool, calling.chance) == ("search", 1.0)
    assert calling.foreseen in ("preserve", "discard")
    assert [(r.id, r.generated_tokens > 0, r.context_tokens > 20) for r in told.running] == [("runs", True, True)]


def test_latency_and_flow_count_what_was_answered(make: Make) -> None:
    engine = make("fcfs")
    for n in range(3):
        engine.add(f"r{n}", prompt(n, 50), 5)
    engine.run()
    told = frame(engine)
    assert told.flow.turns == told.latency.turn.count == told.latency.first_token.count == 3
    assert (told.flow.prompt_tokens, told.flow.generated_tokens) == (150, 15)
    assert 0 < told.latency.first_token.p50 < told.latency.turn.p50 <= told.latency.turn.most
    engine.clock.advance_to(engine.clock() + 1000.0)
    assert frame(engine).latency.turn.count == 0  # too long ago to say anything of now


def test_decisions_tell_what_was_decided_and_why(make: Make) -> None:
    engine = make("lamps", blocks=41)
    engine.add("turn", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    admitted, called = frame(engine).decisions
    assert (admitted.kind, admitted.request, admitted.number) == ("admit", "turn", 1)
    assert (called.kind, called.session, called.note) == ("call", "s", "search")
    lines = frame(engine).policy.text.splitlines()
    assert "least" in lines[called.line - 2] or called.what.split()[0] in lines[called.line - 1]
    assert [arm.chosen for arm in called.arms].count(True) == 1
    assert "call.context" in called.values


def test_a_pin_that_ends_is_a_decision(make: Make) -> None:
    engine = make(blocks=41)  # a policy that preserves
    engine.add("turn", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    engine.clock.advance_to(engine.clock() + 1000.0)
    engine.add("other", prompt(2, 20), 1)
    engine.run()
    pins = [decision for decision in frame(engine).decisions if decision.kind == "pin"]
    assert [(pin.session, pin.what, pin.note) for pin in pins] == [("s", "expired", "80 tokens of KV given up")]


def test_rules_and_predictions_are_counted(make: Make) -> None:
    engine = make("lamps")
    for n, hinted_s in enumerate((1.0, 5.0)):
        told_of_it = {"lamps_call_tool": "t", "lamps_call_duration_s": hinted_s}
        first = engine.add(f"a{n}", prompt(n, 64), 8, session=f"s{n}", **told_of_it)
        engine.run()
        engine.clock.advance_to(engine.clock() + 3.0)
        engine.add(f"b{n}", [*engine.finished[first.request_id], 5], 3, session=f"s{n}")
        engine.run()
    told = frame(engine)
    uses = {(use.rule, use.line > 0): use.count for use in told.rules}
    assert uses["rank", False] >= 4 and uses["on call", False] == uses["on call", True] == 4
    tool = next(row for row in told.predictors if row.what == "t")
    assert (tool.count, tool.within_p90) == (2, pytest.approx(0.5, abs=0.01))  # 1 s was too short, 5 s was not
    assert tool.actual == pytest.approx(3.0, abs=0.1)
    assert next(row for row in told.predictors if row.what == "output").count == 4


def test_a_failing_rank_shows_in_the_guard_and_the_queue_is_still_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make("lamps", seats=1)

    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(engine.scheduler.lamps.policy.batch, "rank", fail)
    for n in range(3):
        engine.add(f"r{n}", prompt(n, 30), 4)
    engine.step()
    told = frame(engine)
    assert [row.id for row in told.waiting] == ["r1", "r2"]
    assert told.guard.state == "fallback" and "`rank`" in told.guard.reason


def test_a_frame_lists_as_many_rows_as_are_asked_for(make: Make) -> None:
    engine = make("fcfs", seats=2)
    for n in range(70):
        engine.add(f"r{n}", prompt(n, 20), 2)
    engine.step()
    assert (len(frame(engine).waiting), frame(engine).waiting_total) == (50, 68)
    assert len(frame(engine, '{"rows": 5}').waiting) == 5
    assert len(frame(engine, '{"rows": 1000}').waiting) == 68


def test_rows_are_judged_for_those_who_ask_and_decisions_are_told_once(make: Make) -> None:
    engine = make("lamps", seats=1)
    engine.add("paused", prompt(9, 64), 8, session="p", lamps_call_tool="search")
    engine.run()
    for n in range(3):
        engine.add(f"r{n}", prompt(n, 30), 4, session=f"s{n}", lamps_call_tool="search")
    engine.step()
    told = frame(engine)
    bare, queue, calls = (frame(engine, f'{{"judged": {kinds}}}') for kinds in ("[]", '["waiting"]', '["paused"]'))
    for one, waiting, paused in ((told, True, True), (bare, False, False), (queue, True, False), (calls, False, True)):
        assert [(bool(row.foreseen), bool(row.terms)) for row in one.waiting] == [(waiting, waiting)] * 2
        assert bool(one.paused[0].now) is paused
    assert [row.id for row in bare.waiting] == [row.id for row in told.waiting]
    assert [row.rank for row in bare.waiting] == [row.rank for row in told.waiting]
    last = told.decisions[-1].number
    assert frame(engine, f'{{"since": {{"{told.id}": {last}}}}}').decisions == ()
    assert frame(engine, f'{{"since": {{"{told.id}": {last - 1}}}}}').decisions == told.decisions[-1:]
    assert frame(engine, '{"since": {"another": 9}}').decisions == told.decisions


def test_of_the_paused_those_that_hold_most_are_listed_and_then_the_last(make: Make) -> None:
    holding, discarding = make(blocks=81), make("fcfs")  # the first is a policy that preserves
    for engine, lengths in ((holding, (64, 160, 96, 160)), (discarding, (64, 160, 96, 64))):
        for n, tokens in enumerate(lengths):
            engine.add(f"r{n}", prompt(n, tokens), 17, session=f"s{n}", lamps_call_tool="search")
            engine.run()
            engine.clock.advance_to(engine.clock() + 1.0)
    assert [row.session for row in frame(holding).paused] == ["s3", "s1", "s2", "s0"]
    assert [row.session for row in frame(discarding).paused] == ["s3", "s2", "s1", "s0"]
    assert [row.session for row in frame(discarding, '{"rows": 2}').paused] == ["s3", "s2"]
    assert frame(discarding, '{"rows": 0}').paused == () and frame(discarding, '{"rows": 0}').paused_total == 4


def test_a_virtual_clock_gives_the_same_frame_but_for_the_times_of_rules() -> None:
    from engine_adapter.virtual.build import make_scheduler, timed
    from engine_adapter.vllm.scheduler import LampsScheduler

    told = []
    for _ in range(2):
        clock = Clock()
        engine = Stepper(
            make_scheduler(timed(LampsScheduler, clock), vllm_config(41, lamps={"policy": "lamps"})), clock
        )
        for n in range(4):
            engine.add(f"r{n}", prompt(n, 60), 6, session=f"s{n}", lamps_call_tool="x")
        engine.run()
        told.append(frame(engine))
    assert told[0].decisions == told[1].decisions
    assert told[0].latency == told[1].latency
