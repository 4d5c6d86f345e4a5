"""Decisions on vLLM's own scheduler and KV manager: order, pins, what makes pins yield, and that nothing leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler, lamps_scheduler
from tests.engine.stepping import Clock, Stepper, vllm_config

KEEP = """lamps 1
policy keep "preserve for tools, not for people"
rank request.arrival
on call if call.tool == "user" { discard } else { preserve }
"""
Make = Callable[..., Stepper]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes an engine under a policy given by name or as text; afterwards nothing may be left behind."""
    made: list[Stepper] = []

    def build(policy: str = KEEP, blocks: int = 33, seats: int = 8, base: type[Scheduler] = LampsScheduler) -> Stepper:
        if "\n" in policy:
            (tmp_path / "policy.lamps").write_text(policy)
            policy = str(tmp_path / "policy.lamps")
        clock = Clock()
        cls = timed(base, clock)
        config = vllm_config(blocks, seats, {"policy": policy})
        made.append(Stepper(make_scheduler(cls, config), clock))
        return made[-1]

    yield build
    for stepper in made:
        stepper.run()
        stepper.scheduler.lamps.calls.clear()
        assert free(stepper) == stepper.scheduler.kv_cache_manager.block_pool.num_gpu_blocks - 1


def free(stepper: Stepper) -> int:
    return stepper.scheduler.kv_cache_manager.block_pool.get_num_free_blocks()


def prompt(seed: int, tokens: int) -> list[int]:
    return [(seed * 7919 + i * 31) % 900 + 3 for i in range(tokens)]


def counters(stepper: Stepper) -> dict[str, int]:
    return stepper.scheduler.lamps.counters


def status(stepper: Stepper) -> dict[str, Any]:
    return json.loads(stepper.scheduler.lamps_command("status", "{}"))


def test_the_policy_orders_the_queue(make: Make) -> None:
    engine = make("sjf", seats=1)
    engine.add("first", prompt(0, 20), 8)
    engine.step()
    for name, tokens in (("long", 300), ("middle", 150), ("short", 20)):
        engine.add(name, prompt(tokens, tokens), 4)
    engine.run()
    assert engine.order == ["first", "short", "middle", "long"]


def test_a_preserved_session_finds_its_blocks(make: Make) -> None:
    engine = make(blocks=41)
    engine.add("turn1", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    (paused,) = status(engine)["paused"]
    assert (paused["session"], paused["tool"], paused["handling"], paused["tokens"]) == ("s", "search", "preserve", 80)
    assert paused["age_s"] == pytest.approx(0.0)
    # Others fill the memory; what is pinned stays.
    for n in range(6):
        engine.add(f"other{n}", prompt(10 + n, 200), 4)
    engine.run()
    followup = engine.add("turn2", [*engine.finished["turn1"], 5, 6, 7], 4, session="s", lamps_call_tool="search")
    assert counters(engine)["pins.used"] == 0
    engine.step()
    assert counters(engine)["pins.used"] == 1
    assert counters(engine)["pins.tokens_reused"] == 80
    assert followup.num_computed_tokens >= 80


@pytest.mark.parametrize("announced", [True, False], ids=["hint", "verdict"])
@pytest.mark.parametrize("others", [0, 1])
def test_a_call_is_judged_by_what_runs_beside_it(make: Make, tmp_path: Path, others: int, announced: bool) -> None:
    policy = tmp_path / "busy.lamps"
    policy.write_text(
        'lamps 1\npolicy busy "P."\nrank request.arrival\n'
        "on call if engine.running_tokens > 0tok or engine.running > 0 { preserve for 1min } else { discard }\n"
    )
    engine = make(str(policy))
    for n in range(others):
        engine.add(f"other{n}", prompt(n, 20), 50)
    hints = {"lamps_call_tool": "search"} if announced else {"lamps_may_call": 1, "lamps_turn": "t1"}
    engine.add("turn", prompt(9, 64), 17, session="s", **hints)
    while "turn" not in engine.finished:
        engine.step()
    if not announced:
        engine.scheduler.lamps_command("verdict", json.dumps({"turn": "t1", "outcome": "call", "tools": ["search"]}))
    assert status(engine)["paused"][0]["handling"] == ("preserve" if others else "discard")


def test_without_a_pin_the_blocks_are_taken(make: Make) -> None:
    engine = make("fcfs", blocks=41)
    engine.add("turn1", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    for n in range(6):
        engine.add(f"other{n}", prompt(10 + n, 200), 4)
    engine.run()
    assert status(engine)["pins"]["count"] == 0
    engine.add("turn2", [*engine.finished["turn1"], 5], 1, session="s")
    engine.step()
    assert "pins.tokens_reused" not in counters(engine)


def pinned_running_waiting(engine: Stepper, pinned: int = 200, runs: int = 100, output: int = 60) -> None:
    """A pin of so many tokens, a request that runs, and one of 300 tokens for which there is no room beside both."""
    engine.add("pinned", prompt(1, pinned), 2, session="s", lamps_call_tool="search")
    engine.run()
    engine.add("runs", prompt(2, runs), output)
    engine.step()
    engine.add("waits", prompt(3, 300), 4)


def test_pins_do_not_yield_to_a_request_that_waits(make: Make) -> None:
    engine = make(blocks=33)  # 512 tokens
    pinned_running_waiting(engine)
    engine.steps(20)
    assert "waits" not in engine.order
    assert status(engine)["pins"]["tokens"] == 192


def test_pins_yield_when_nothing_runs(make: Make) -> None:
    engine = make(blocks=33)
    engine.add("pinned", prompt(1, 300), 2, session="s", lamps_call_tool="search")
    engine.run()
    engine.add("big", prompt(3, 400), 4)
    engine.step()
    assert engine.order[-1] == "big"
    assert counters(engine)["pins.shrunk"] + counters(engine)["pins.yielded_idle"] == 1


def test_pins_yield_before_a_running_request_is_preempted(make: Make) -> None:
    engine = make(blocks=33)
    engine.add("pinned", prompt(1, 300), 2, session="s", lamps_call_tool="search")
    engine.run()
    engine.add("grows", prompt(2, 150), 200)
    engine.run()
    assert counters(engine)["preemptions"] == 0
    assert counters(engine)["pins.shrunk"] > 0
    assert 0 < status(engine)["pins"]["tokens"] < 288  # only as much as was needed


def test_pins_yield_to_a_promoted_request(make: Make) -> None:
    engine = make(KEEP + "promote when request.waited_steps >= 5steps\n", blocks=33)
    pinned_running_waiting(engine)
    engine.steps(4)
    assert "waits" not in engine.order
    engine.steps(4)
    assert "waits" in engine.order


def test_a_promoted_request_that_can_not_fit_costs_no_pin(make: Make) -> None:
    engine = make(KEEP + "promote when request.waited_steps >= 1steps\n", blocks=33)
    pinned_running_waiting(engine, pinned=100, runs=250, output=40)
    engine.steps(10)
    assert status(engine)["pins"]["tokens"] == 96


def test_a_turn_that_may_call_is_held_until_the_verdict(make: Make) -> None:
    engine = make()
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_may_call=1, lamps_turn="t1")
    engine.run()
    assert status(engine)["paused"][0]["handling"] == "provisional"
    answer = engine.scheduler.lamps_command("verdict", json.dumps({"turn": "t1", "outcome": "call", "tools": ["ls"]}))
    assert answer == "{}"
    paused = status(engine)["paused"][0]
    assert (paused["tool"], paused["handling"], paused["tokens"]) == ("ls", "preserve", 96)


@pytest.mark.parametrize("outcome", ["gone", "end"])
def test_a_verdict_that_ends_the_turn_frees_what_the_policy_does_not_keep(make: Make, outcome: str) -> None:
    engine = make("fcfs")
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_may_call=1, lamps_turn="t1")
    engine.run()
    assert free(engine) == 26
    engine.scheduler.lamps_command("verdict", json.dumps({"turn": "t1", "outcome": outcome}))
    assert free(engine) == 32
    assert len(status(engine)["paused"]) == (outcome == "end")


def test_a_verdict_may_come_before_the_end(make: Make) -> None:
    engine = make()
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_may_call=1, lamps_turn="t1")
    engine.scheduler.lamps_command("verdict", json.dumps({"turn": "t1", "outcome": "call", "tools": ["ls"]}))
    engine.run()
    assert status(engine)["paused"][0]["tool"] == "ls"


def test_the_provisional_hold_is_short(make: Make) -> None:
    engine = make()
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_may_call=1, lamps_turn="t1")
    engine.run()
    engine.clock.now += 0.3
    engine.add("other", prompt(2, 20), 1)
    engine.run()
    assert status(engine)["pins"]["count"] == 0
    engine.scheduler.lamps_command("verdict", json.dumps({"turn": "t1", "outcome": "call", "tools": ["ls"]}))
    assert counters(engine)["verdicts.late"] == 1
    paused = next(p for p in status(engine)["paused"] if p["session"] == "s")
    assert (paused["tool"], paused["handling"]) == ("ls", "discard")


def test_preserve_for_a_time_then_discard(make: Make) -> None:
    engine = make(KEEP.replace("{ preserve }", "{ preserve for 2s then discard }"))
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_call_tool="x")
    engine.run()
    engine.clock.now += 1.9
    engine.add("a", prompt(2, 20), 1)
    engine.step()
    assert status(engine)["pins"]["count"] == 1
    engine.clock.now += 0.2
    engine.add("b", prompt(3, 20), 1)
    engine.step()
    assert status(engine)["pins"]["count"] == 0
    assert status(engine)["paused"][0]["handling"] == "discard"


def test_the_pin_stays_until_the_follow_up_is_admitted(make: Make) -> None:
    engine = make(seats=1)
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_call_tool="x")
    engine.run()
    engine.clock.now += 599.0
    engine.add("long", prompt(2, 20), 300)
    engine.step()
    engine.add("turn2", [*engine.finished["turn1"], 5], 4, session="s")
    engine.clock.now += 30.0
    engine.step()
    assert status(engine)["pins"]["count"] == 1
    engine.run()
    assert counters(engine)["pins.used"] == 1


def test_a_follow_up_without_id_is_found_by_its_prefix(make: Make) -> None:
    engine = make()
    engine.add("turn1", prompt(1, 100), 4, lamps_call_tool="x")
    engine.run()
    engine.clock.now += 3.0
    engine.add("turn2", [*engine.finished["turn1"], 5, 6], 4, lamps_call_tool="x")
    engine.step()
    assert counters(engine)["pins.used"] == 1
    assert engine.scheduler.lamps.turns["turn2"].session.turn == 2


def test_an_aborted_request_leaves_nothing(make: Make) -> None:
    engine = make()
    engine.add("runs", prompt(1, 100), 50, session="s")
    engine.step()
    engine.add("waits", prompt(2, 100), 50, session="t")
    engine.abort("runs")
    engine.abort("waits")
    engine.run()
    assert free(engine) == 32
    assert not status(engine)["paused"]


def test_resetting_the_prefix_cache_drops_pins_first(make: Make) -> None:
    engine = make()
    engine.add("turn1", prompt(1, 100), 4, session="s", lamps_call_tool="x")
    engine.run()
    assert engine.scheduler.reset_prefix_cache()
    assert status(engine)["pins"]["count"] == 0


def test_limit_pinned_refuses_what_is_over(make: Make) -> None:
    engine = make(KEEP + "limit pinned <= 40%\n", blocks=33)
    for n in range(3):
        engine.add(f"r{n}", prompt(n, 100), 4, session=f"s{n}", lamps_call_tool="x")
        engine.run()
    assert [p["handling"] for p in status(engine)["paused"]] == ["preserve", "preserve", "discard"]


def test_a_failing_rule_costs_that_decision_only(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make("lamps", seats=1)

    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(engine.scheduler.lamps.policy.scalar, "on_call", fail)
    for rules in (engine.scheduler.lamps.policy.batch, engine.scheduler.lamps.policy.scalar):
        monkeypatch.setattr(rules, "rank", fail)
    for n in (3, 1, 2):
        engine.add(f"r{n}", prompt(n, 100), 4, session=f"s{n}", lamps_call_tool="x")
    engine.run()
    assert engine.order == ["r3", "r1", "r2"]
    assert counters(engine)["faults.on call"] == 3
    assert counters(engine)["faults.rank"] > 0


def test_broken_hints_are_counted_and_the_request_is_served(make: Make) -> None:
    engine = make()
    engine.add("r", prompt(1, 30), 3, lamps_call_duration_s="soon", lamps_output_tokens=-4)
    engine.run()
    assert len(engine.finished["r"]) == 33
    assert counters(engine)["hints.broken"] == 1


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "lamps"])
def test_no_policy_changes_what_is_generated(make: Make, policy: str) -> None:
    engine = make(policy)
    for n in range(12):
        engine.add(f"r{n}", prompt(n % 5, 40 + 11 * n), 30, session=f"s{n}", lamps_call_tool="x")
    engine.run()
    assert all(tokens[-30:] == list(range(7, 37)) for tokens in engine.finished.values())
    assert len(engine.finished) == 12


def test_commands_never_raise(make: Make) -> None:
    scheduler = make().scheduler
    for name, payload in (("verdict", "{}"), ("verdict", "nonsense"), ("no such", "{}"), ("status", "[]")):
        assert isinstance(json.loads(scheduler.lamps_command(name, payload)), dict)


def test_the_factory_picks_the_base_by_async_scheduling() -> None:
    config = vllm_config(33, lamps={"policy": "fcfs"})
    assert type(make_scheduler(lamps_scheduler, config)) is LampsScheduler
    config.scheduler_config.async_scheduling = True
    assert type(make_scheduler(lamps_scheduler, config)) is AsyncLampsScheduler
    assert issubclass(AsyncLampsScheduler, AsyncScheduler) and issubclass(LampsScheduler, Scheduler)


def test_while_paused_is_asked_as_the_engine_steps(make: Make, tmp_path: Path) -> None:
    policy = tmp_path / "again.lamps"
    policy.write_text(
        'lamps 1\npolicy asks "P."\nrank request.arrival\non call preserve\n'
        "while paused every 100ms if call.elapsed >= 250ms { discard } else { preserve }\n"
    )
    engine = make(str(policy))
    engine.add("turn", prompt(9, 64), 17, session="s", lamps_call_tool="search")
    while "turn" not in engine.finished:
        engine.step()
    ended = engine.clock.now
    engine.add("other", prompt(1, 20), 100)  # an idle engine asks nothing
    held = {}
    while engine.clock.now < ended + 0.5:
        engine.step()
        held[round(engine.clock.now - ended, 3)] = status(engine)["pins"]["count"]
    given_up = min(after_s for after_s, pins in held.items() if not pins)
    assert 0.3 <= given_up <= 0.32  # the first asking after 250 ms
    assert free(engine) == 32 - len(engine.scheduler.kv_cache_manager.get_blocks("other").blocks[0])
    assert counters(engine)["redecided.discard"] == 1


def test_what_was_foreseen_at_arrival_is_done_at_the_call(make: Make, tmp_path: Path) -> None:
    policy = tmp_path / "early.lamps"
    policy.write_text(
        'lamps 1\npolicy foreseen "P."\nrank request.arrival\n'
        "on call at arrival if engine.running == 0 { preserve for 1s } else { discard }\n"
    )
    engine = make(str(policy))
    for name in ("alone", "beside"):
        engine.add(name, prompt(len(name), 64), 17, session=name, lamps_call_tool="search")
        engine.step()
    while "beside" not in engine.finished:
        engine.step()
    handled = {paused["session"]: paused["handling"] for paused in status(engine)["paused"]}
    assert handled == {"alone": "preserve", "beside": "discard"}


def test_requests_that_resume_together_are_told_in_the_order_of_the_engine(make: Make) -> None:
    engine = make("fcfs", blocks=65)
    names = [f"r{n}" for n in range(8)]
    for n, name in enumerate(names):
        engine.add(name, prompt(n, 20), 40)
    engine.step()
    engine.scheduler.reset_prefix_cache(reset_running_requests=True)
    engine.step()
    running = [request.request_id for request in engine.scheduler.running]
    told = [entry.request for entry in engine.scheduler.lamps.watch.journal.since(0) if entry.what == "resumed"]
    assert sorted(running) == names and told == running
