"""What the guard does when rules fail: one failure costs a decision, repeated ones the policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine_adapter.runtime import dump
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.guard import ASKINGS, MOST_FAILURES, SLACK, Guard, impossible
from engine_adapter.runtime.in_force import EJECTED, OFF, ON
from engine_adapter.runtime.reload import Reloading
from policy_dsl.loading import sendable
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict
from tests.runtime.test_core import World, arrive, finish, runtime_of, world

__all__ = ["runtime_of", "world"]
MakeRuntime = Callable[[str], Runtime]
MOST = int(MOST_FAILURES)
KEEP = "rank highest request.context, request.arrival\non call preserve"


def broken(*_: object, **__: object) -> Any:
    raise KeyError("a signal")


def steps(runtime: Runtime, world: World, count: int) -> list[str]:
    """Steps of 10 ms that ask for the order; returns the last."""
    order: list[str] = []
    for _ in range(count):
        world.now += 0.01
        runtime.begin_step()
        order = runtime.first(10)
    return order


def test_one_failure_costs_one_decision(world: World, runtime_of: MakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = runtime_of(KEEP)
    arrive(runtime, "short", 50)
    arrive(runtime, "long", 500)
    with monkeypatch.context() as patch:
        patch.setattr(runtime.table, "first", broken)
        assert steps(runtime, world, 1) == ["short", "long"]  # in order of arrival
    assert steps(runtime, world, 3) == ["long", "short"]
    assert runtime.in_force.state == ON and runtime.counters["faults.rank"] == 1


def test_a_rank_that_keeps_raising_is_ejected(world: World, runtime_of: MakeRuntime, caplog: Any) -> None:
    runtime = runtime_of(KEEP)
    arrive(runtime, "kept", session="s", lamps_call_tool="x")
    finish(runtime, "kept")
    arrive(runtime, "short", 50)
    arrive(runtime, "long", 500)
    assert runtime.calls.ledger.tokens == 120
    runtime.table.first = broken  # type: ignore[method-assign]
    steps(runtime, world, MOST)
    assert runtime.in_force.state == ON  # it takes effect between two steps
    assert steps(runtime, world, 1) == ["short", "long"]
    assert (runtime.in_force.state, runtime.policy.name) == (EJECTED, "built_in")
    assert "`rank` failed 16 times" in runtime.in_force.reason and "KeyError" in runtime.in_force.reason
    assert runtime.calls.ledger.tokens == 0 and world.released == [("kept",)]
    assert runtime.counters["guard.ejections"] == 1
    assert "is ejected" in caplog.text
    # It stays so, and nothing is held any more, until told otherwise.
    arrive(runtime, "next", session="t", lamps_call_tool="x")
    finish(runtime, "next")
    steps(runtime, world, 100)
    assert runtime.calls.ledger.tokens == 0 and runtime.in_force.state == EJECTED
    runtime.in_force.turn_on()
    assert steps(runtime, world, 100) == ["long", "short"]
    assert runtime.in_force.state == ON and runtime.guard.sentence == ""
    arrive(runtime, "held", session="u", lamps_call_tool="x")
    finish(runtime, "held")
    assert runtime.calls.ledger.tokens == 120


def test_a_rank_that_is_no_number_is_ejected_when_it_is_none_for_most(world: World, runtime_of: MakeRuntime) -> None:
    rules = "rank (request.context - 100tok) / (request.context - 100tok), request.arrival\non call discard"
    runtime = runtime_of(rules)
    arrive(runtime, "nan", 100)
    for n in range(9):
        arrive(runtime, f"number{n}", 200)
    steps(runtime, world, 100)  # one in ten
    assert runtime.in_force.state == ON and runtime.counters["faults.rank"] == 100
    for n in range(9):
        runtime.dequeue(f"number{n}")
    arrive(runtime, "another", 100)  # one alone is not ranked
    steps(runtime, world, ASKINGS)
    assert runtime.in_force.state == EJECTED and "gave no number" in runtime.in_force.reason


def test_a_rank_that_takes_too_long_is_ejected(
    world: World, runtime_of: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1_000_000))
    slow_s = SLACK * 100e-6 * 1.01
    for module in ("deciding.perf_counter", "journal.perf_counter", "guard.thread_time"):
        monkeypatch.setattr(f"engine_adapter.runtime.{module}", lambda: next(ticks) * slow_s)
    world.in_real_time = True
    runtime = runtime_of(KEEP + "\nbudget 100us at 10 requests")
    for n in range(20):
        arrive(runtime, f"r{n}", 50 + n)
    steps(runtime, world, 50)
    assert runtime.in_force.state == ON and runtime.guard.sentence == ""  # twice as many may take twice as long
    for n in range(15):
        runtime.dequeue(f"r{n}")
    assert steps(runtime, world, 1) == ["r19", "r18", "r17", "r16", "r15"]  # the answer is there: it stands
    assert runtime.guard.sentence == ""  # slow by the clock: from now on the processor's time is read
    steps(runtime, world, 1)
    assert runtime.counters["overruns.rank"] == 1 and not runtime.guard.failures
    assert runtime.guard.sentence == "longer than 10 times the budget took `rank` once"
    steps(runtime, world, MOST)
    assert runtime.in_force.state == EJECTED and "`rank` failed 16 times" in runtime.in_force.reason
    assert "took 1.0 ms, 1.0 are the most" in runtime.in_force.reason


def test_a_machine_that_pauses_is_no_fault_of_the_policy(
    world: World, runtime_of: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1_000_000))  # each reading of the clock a second later, and nothing computed meanwhile
    for module in ("deciding.perf_counter", "journal.perf_counter"):
        monkeypatch.setattr(f"engine_adapter.runtime.{module}", lambda: float(next(ticks)))
    monkeypatch.setattr("engine_adapter.runtime.guard.thread_time", lambda: 0.0)
    world.in_real_time = True
    runtime = runtime_of(KEEP)
    for n in range(5):
        arrive(runtime, f"r{n}", 50 + n)
    steps(runtime, world, 100)
    assert runtime.in_force.state == ON and runtime.guard.sentence == ""


def test_the_processors_time_is_read_of_rules_that_were_slow_only(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(range(1_000_000))
    monkeypatch.setattr("engine_adapter.runtime.guard.thread_time", lambda: float(next(readings)))
    guard = Guard(timed=True)

    def ask(rule: str, seconds: float) -> bool:
        guard.asks(rule)
        return guard.asked(rule, seconds)

    assert not any(ask("rank", 1e-6) for _ in range(100)) and next(readings) == 0
    assert not ask("rank", 5.0)  # when it began the time wasn't read
    assert not any(ask("victim", 1e-6) for _ in range(100)) and next(readings) == 1
    assert not any(ask("rank", 1e-6) for _ in range(ASKINGS - 1))
    assert ask("rank", 5.0)
    assert not any(ask("rank", 1e-6) for _ in range(2 * ASKINGS)) and not ask("rank", 5.0)
    assert guard.overruns == {"rank": 1}


LAST_FIRST = "rank highest request.arrival\non call preserve"
WAIVED = "# lamps: allow unbounded-wait -- on purpose\n" + LAST_FIRST


@pytest.mark.parametrize(
    ("rules", "overtaken", "state"),
    [(LAST_FIRST, True, EJECTED), (LAST_FIRST, False, ON), (WAIVED, True, ON)],
    ids=["starves", "overloaded", "waived"],
)
def test_a_policy_that_lets_requests_starve_is_ejected(
    world: World, runtime_of: MakeRuntime, rules: str, overtaken: bool, state: str
) -> None:
    runtime = runtime_of(rules)
    for n in range(MOST):
        arrive(runtime, f"early{n}")
    if overtaken:
        arrive(runtime, "late")
        finish(runtime, "late")
    world.now += 599.0
    steps(runtime, world, 1)
    assert runtime.guard.sentence == ""
    world.now += 2.0
    order = steps(runtime, world, 2)
    assert runtime.counters["promoted.watchdog"] == MOST
    assert runtime.in_force.state == state
    assert order[0] == "early0"  # promoted, whatever becomes of the policy
    assert ("`starvation bound` failed 16 times" in runtime.in_force.reason) == (state == EJECTED)


def test_a_waiver_holds_where_the_policy_was_sent_written_out(
    world: World, runtime_of: MakeRuntime, tmp_path: Path
) -> None:
    (tmp_path / "base.lamps").write_text(f'lamps 1\npolicy base "b"\n{LAST_FIRST}\n')
    mine = tmp_path / "mine.lamps"
    mine.write_text('lamps 1\npolicy mine "m"\nextends base\n# lamps: allow unbounded-wait -- on purpose\n')
    runtime = runtime_of("rank request.arrival")
    reloading = Reloading(runtime)
    revision = reloading.answer("prepare", {"text": sendable(mine), "path": str(mine)})["policy"]["revision"]
    reloading.answer("commit", {"revision": revision})
    for n in range(MOST):
        arrive(runtime, f"early{n}")
    arrive(runtime, "late")
    finish(runtime, "late")
    world.now += 601.0
    steps(runtime, world, 2)
    assert runtime.counters["promoted.watchdog"] == MOST
    assert (runtime.in_force.state, runtime.in_force.reason) == (ON, "")


def test_time_is_not_measured_in_virtual_time() -> None:
    guard = Guard(timed=False)
    guard.begin(None)
    for _ in range(100):
        guard.asked("rank", seconds=60.0, waiting=1)
    assert not guard.tripped and not guard.failures


@pytest.mark.parametrize("rule", ["on call", "while paused"])
def test_an_answer_about_a_call_that_cannot_be_carried_out_is_not(
    world: World, runtime_of: MakeRuntime, rule: str
) -> None:
    runtime = runtime_of("rank request.arrival\non call preserve\nwhile paused every 1step again")
    impossible_answer = Verdict(((Handling.NONE, None),), (), 1)
    scalar = runtime.policy.scalar
    if rule == "on call":
        scalar.on_call = lambda row, engine: impossible_answer  # type: ignore[method-assign]
    else:
        scalar._paused = lambda row, engine: impossible_answer  # type: ignore[method-assign]
    arrive(runtime, "r0", session="s0", lamps_call_tool="x")
    finish(runtime, "r0")
    steps(runtime, world, 2)
    assert runtime.calls.ledger.tokens == (0 if rule == "on call" else 120)
    for n in range(1, MOST):
        arrive(runtime, f"r{n}", session=f"s{n}", lamps_call_tool="x")
        finish(runtime, f"r{n}")
    steps(runtime, world, MOST)
    assert runtime.in_force.state == EJECTED and "handling" in runtime.in_force.reason


@pytest.mark.parametrize(
    ("holds", "what"),
    [
        ((), "named no handling"),
        (((Handling.PRESERVE, float("nan")),), "for nan s"),
        (((Handling.PRESERVE, -1.0),), "for -1.0 s"),
        (((Handling.NONE, None),), "NONE"),
        (((Handling.PRESERVE, 3.0), (Handling.DISCARD, None)), ""),
    ],
)
def test_what_is_impossible(holds: tuple[Any, ...], what: str) -> None:
    said = impossible(Verdict(holds, (), 1))
    assert what in said and bool(said) == bool(what)


def test_an_arm_without_a_number_is_left_out(world: World, runtime_of: MakeRuntime) -> None:
    nan = "(call.context - call.context) / (call.context - call.context)"
    runtime = runtime_of(f"rank request.arrival\non call least {{ preserve: {nan}\n discard: 1 }}")
    for n in range(40):
        arrive(runtime, f"r{n}", session=f"s{n}", lamps_call_tool="x")
        finish(runtime, f"r{n}")
    steps(runtime, world, 1)
    assert runtime.in_force.state == ON and runtime.counters["faults.on call"] == 40


def test_failures_that_lie_far_apart_are_forgotten() -> None:
    guard = Guard(timed=True)
    guard.begin(None)
    for _ in range(100):
        for _ in range(ASKINGS // MOST + 1):
            guard.asked("yield")
        guard.failed("yield", "raised KeyError")
    assert not guard.tripped


def test_what_is_kept_of_an_ejection_is_bounded_and_private(tmp_path: Path) -> None:
    for n in range(12):
        dump.write(tmp_path / "dumps", "0", {"policy": {"name": f"p{n}"}, "requests": {}}, "because")
    files = sorted((tmp_path / "dumps").iterdir())
    assert len(files) == dump.KEPT
    assert json.loads(files[-1].read_text())["policy"] == {"name": "p11", "ejected": "because"}
    assert files[-1].stat().st_mode & 0o077 == 0


def test_a_state_that_cannot_be_kept_stops_nothing(world: World, runtime_of: MakeRuntime) -> None:
    runtime = runtime_of(KEEP)
    runtime.in_force.before_ejection = broken
    arrive(runtime, "r")
    runtime.table.first = broken  # type: ignore[method-assign]
    assert steps(runtime, world, MOST + 2) == ["r"]
    assert runtime.in_force.state == EJECTED


def test_off_and_on(world: World, runtime_of: MakeRuntime) -> None:
    runtime = runtime_of(KEEP)
    arrive(runtime, "kept", session="s", lamps_call_tool="x")
    finish(runtime, "kept")
    arrive(runtime, "short", 50)
    arrive(runtime, "long", 500)
    commands = Reloading(runtime)
    assert commands.answer("off", {})["state"] == OFF
    assert steps(runtime, world, 1) == ["short", "long"] and world.released == [("kept",)]
    assert commands.answer("off", {})["policy"]["name"] == "tried"
    assert commands.answer("on", {}) == commands.answer("on", {})
    assert steps(runtime, world, 1) == ["long", "short"]


def prepared(runtime: Runtime, rules: str, **more: Any) -> dict[str, Any]:
    commands = Reloading(runtime)
    found = commands.answer("prepare", {"text": f'lamps 1\npolicy other "P."\n{rules}\n'})
    if "refused" in found:
        return found
    return commands.answer("commit", {"revision": found["policy"]["revision"], **more})


def test_a_policy_on_trial_is_taken_back(world: World, runtime_of: MakeRuntime) -> None:
    runtime = runtime_of(KEEP)
    arrive(runtime, "short", 50)
    arrive(runtime, "long", 500)
    assert prepared(runtime, "rank request.arrival\npromote when request.waited > 1s", trial_s=10)["state"] == ON
    assert runtime.in_force.on_trial
    assert steps(runtime, world, 1) == ["short", "long"]
    runtime.table.first = broken  # type: ignore[method-assign]
    assert steps(runtime, world, MOST + 1) == ["long", "short"]
    assert (runtime.in_force.state, runtime.policy.name) == (ON, "tried")
    assert "other, revision" in runtime.in_force.reason and "was taken back" in runtime.in_force.reason
    assert runtime.counters["guard.returns"] == 1 and runtime.counters["guard.ejections"] == 0


def test_after_its_trial_a_policy_is_ejected(world: World, runtime_of: MakeRuntime) -> None:
    runtime = runtime_of(KEEP)
    arrive(runtime, "short", 50)
    prepared(runtime, "rank request.arrival\npromote when request.waited > 1s", trial_s=10)
    world.now += 11
    runtime.table.first = broken  # type: ignore[method-assign]
    steps(runtime, world, MOST + 1)
    assert (runtime.in_force.state, runtime.policy.name) == (EJECTED, "built_in")
    assert prepared(runtime, KEEP)["state"] == ON  # a reload is being told otherwise
    assert not runtime.in_force._previous  # what was ejected is nothing to return to


def test_a_reload_while_off_is_what_on_brings(world: World, runtime_of: MakeRuntime) -> None:
    runtime = runtime_of(KEEP)
    runtime.in_force.turn_off()
    assert prepared(runtime, "rank request.context")["state"] == OFF
    assert runtime.policy.name == "built_in"
    runtime.in_force.turn_on()
    assert runtime.policy.name == "other"
