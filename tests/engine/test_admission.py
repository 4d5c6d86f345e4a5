"""Gates, limits and victims on vLLM's own scheduler and KV manager."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vllm.v1.core.sched.request_queue import SchedulingPolicy

from tests.engine.stepping import Stepper
from tests.engine.test_scheduler import Make, make, pinned_running_waiting, prompt  # noqa: F401  (a fixture)
from tests.engine.test_state import held_by, state

RANK = 'lamps 1\npolicy tried "P."\nrank request.arrival\n'
GATE = RANK + "admit when engine.running_tokens + request.context <= 300tok\n"


def running(engine: Stepper) -> list[str]:
    return [request.request_id for request in engine.scheduler.running]


def test_a_gate_counts_what_the_step_admits(make: Make) -> None:  # noqa: F811
    engine = make(GATE, blocks=65)
    for n in range(4):
        engine.add(f"r{n}", prompt(n, 100), 8)
    engine.step()
    assert running(engine) == ["r0", "r1", "r2"]
    assert held_by(engine) == {"r3": "gate"}
    assert len(engine.scheduler.waiting) == 1  # vLLM counts it as waiting
    assert state(engine)["engine"]["engine.gated"] == 0.0
    engine.step()
    assert json.loads(engine.scheduler.lamps_command("status", "{}"))["engine"]["engine.gated"] == 1.0
    engine.run()
    assert engine.order == ["r0", "r1", "r2", "r3"]


def test_a_refused_request_is_passed(make: Make) -> None:  # noqa: F811
    engine = make(GATE, blocks=65)
    engine.add("runs", prompt(0, 150), 20)
    engine.add("large", prompt(1, 200), 4)
    engine.add("small", prompt(2, 50), 4)
    engine.step()
    assert running(engine) == ["runs", "small"]
    row = json.loads(engine.scheduler.lamps_command("status", "{}"))["waiting"][0]
    assert (row["id"], row["held_by"]) == ("large", "gate")
    engine.run()


def test_a_closed_gate_lets_one_after_the_other_through(make: Make) -> None:  # noqa: F811
    engine = make(RANK + "admit when false\n")
    for n in range(5):
        engine.add(f"r{n}", prompt(n, 30), 4)
    most = 0
    while engine.scheduler.has_unfinished_requests():
        engine.step()
        most = max(most, len(engine.scheduler.running))
    assert most == 1
    assert engine.order == [f"r{n}" for n in range(5)]


def test_small_ones_that_fit_do_not_starve_a_large_one(make: Make) -> None:  # noqa: F811
    engine = make(GATE + "promote when request.waited_steps >= 20steps\n", blocks=65)
    engine.add("first", prompt(0, 100), 10)
    engine.step()
    engine.add("large", prompt(1, 280), 4)
    seen: set[tuple[str, str]] = set()
    for n in range(60):
        engine.add(f"small{n}", prompt(10 + n, 60), 10)
        engine.step()
        seen.update((name.rstrip("0123456789"), word) for name, word in held_by(engine).items())
    assert {("large", "gate"), ("small", "gate"), ("small", "reserved for large")} <= seen
    assert "large" in engine.order
    assert engine.order.index("large") < 60


def test_pins_make_way_for_the_promoted_at_the_gate(make: Make) -> None:  # noqa: F811
    rules = RANK + "on call preserve\nadmit when engine.held_tokens + request.context <= 400tok\n"
    engine = make(rules + "promote when request.waited_steps >= 5steps\n", blocks=65)
    pinned_running_waiting(engine, runs=50)
    engine.steps(4)
    assert "waits" not in engine.order
    engine.steps(4)
    assert "waits" in engine.order
    assert engine.scheduler.lamps.counters["pins.yielded_promoted"] == 1


def test_a_limit_on_a_class(make: Make) -> None:  # noqa: F811
    classes = 'hint tier = ""\nclass chat when hint.tier == "chat" { weight: 2 }\nclass batch { weight: 1 }\n'
    engine = make(RANK + classes + "limit batch.running <= 25%\n", blocks=65, seats=8)
    for n in range(4):
        engine.add(f"b{n}", prompt(n, 20), 8)
    engine.add("c", prompt(9, 20), 8, lamps_hint_tier="chat")
    engine.step()
    assert running(engine) == ["b0", "b1", "c"]
    assert held_by(engine) == {"b2": "limit batch.running", "b3": "limit batch.running"}
    engine.run()


def test_what_a_limit_leaves_goes_to_whom_its_order_names(make: Make) -> None:  # noqa: F811
    """However far behind they are in order of rank; they start in that order."""
    engine = make(RANK + "limit running <= 3 by request.context\n", blocks=65)
    engine.add("runs", prompt(0, 20), 40)
    engine.step()
    for n in range(200):
        engine.add(f"large{n}", prompt(n, 60), 1)
    for n in (3, 2, 1):
        engine.add(f"small{n}", prompt(n, 10 * n), 8)
    engine.step()
    assert running(engine) == ["runs", "small2", "small1"]
    words = held_by(engine)
    assert set(words.values()) == {"limit running"} and len(words) == 201
    assert len(engine.scheduler.waiting) == 201
    most = 0
    while engine.scheduler.has_unfinished_requests():
        engine.step()
        most = max(most, len(engine.scheduler.running))
    assert (most, len(engine.order)) == (3, 204)


def test_who_is_behind_many_of_a_full_class_starts_in_the_same_step(make: Make) -> None:  # noqa: F811
    classes = 'hint tier = ""\nclass chat when hint.tier == "chat" { weight: 2 }\nclass batch { weight: 1 }\n'
    engine = make(RANK + classes + "limit batch.running <= 1\n", blocks=65)
    for n in range(100):
        engine.add(f"b{n}", prompt(n, 20), 8)
    engine.add("c", prompt(9, 20), 8, lamps_hint_tier="chat")
    engine.step()
    assert running(engine) == ["b0", "c"]


def test_without_a_seat_nobody_is_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    engine = make(GATE, seats=1)
    engine.add("runs", prompt(0, 20), 30)
    engine.step()
    engine.add("waits", prompt(1, 20), 4)
    monkeypatch.setattr(engine.scheduler.lamps, "may_start", lambda name: pytest.fail("it was asked"))
    engine.step()
    assert held_by(engine) == {"waits": "seats"}
    monkeypatch.undo()


def test_more_are_refused_than_a_step_asks(make: Make) -> None:  # noqa: F811
    """The one behind two hundred that are refused is reached within a few steps, while these are asked every time."""
    engine = make(RANK + "admit when request.prompt < 50tok or engine.running == 0\n", blocks=129)
    engine.add("runs", prompt(0, 20), 60)
    engine.step()
    for n in range(200):
        engine.add(f"large{n}", prompt(n, 60), 1)
    engine.add("small", prompt(9, 40), 1)
    for _ in range(200 // 32 + 2):
        engine.step()
    assert "small" in engine.order
    assert engine.order.index("small") == 1


# --- victims ---------------------------------------------------------------------------------------


def short_of_memory(engine: Stepper) -> list[str]:
    """Three requests that grow out of the memory; returns who was preempted, in order."""
    found: list[str] = []
    preempt = engine.scheduler._preempt_request

    def noted(request: Any, *args: Any, **kwargs: Any) -> None:
        found.append(request.request_id)
        preempt(request, *args, **kwargs)

    engine.scheduler._preempt_request = noted
    for name, tokens in (("small", 60), ("large", 120), ("middle", 90)):
        engine.add(name, prompt(tokens, tokens), 60)
    engine.run()
    return found


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("", "middle"),  # admitted last
        ("victim highest request.context\n", "large"),
        ("victim request.context\n", "small"),
        ("victim highest request.arrival\n", "middle"),
    ],
)
def test_the_policy_names_the_victim(make: Make, rule: str, first: str) -> None:  # noqa: F811
    engine = make(RANK + rule, blocks=21)  # 320 tokens
    victims = short_of_memory(engine)
    assert victims[0] == first
    assert engine.scheduler.policy is SchedulingPolicy.FCFS
    assert sorted(engine.finished) == ["large", "middle", "small"]


def test_preemption_changes_no_token(make: Make) -> None:  # noqa: F811
    answers = []
    for rule in ("", "victim request.arrival\n"):
        engine = make(RANK + rule, blocks=21)
        assert short_of_memory(engine)
        answers.append(engine.finished)
    assert answers[0] == answers[1]


def test_the_clients_priority_is_given_back(make: Make) -> None:  # noqa: F811
    engine = make(RANK + "victim request.context\n", blocks=21)
    requests = [engine.add(f"r{n}", prompt(n, 90), 60) for n in range(3)]
    for request in requests:
        request.priority = 7
    engine.run()
    assert engine.scheduler.lamps.counters["preemptions"]
    assert [request.priority for request in requests] == [7, 7, 7]


@pytest.mark.parametrize(("before", "first"), [(2, "c"), (3, "b")])
def test_three_preemptions_are_enough(make: Make, before: int, first: str) -> None:  # noqa: F811
    """Who was preempted so often in its turn is a victim only when no other is left, whatever `victim` says."""
    engine = make(RANK + "victim highest request.arrival\n", blocks=21)
    for name in ("a", "b", "c"):
        engine.add(name, prompt(ord(name), 90), 60)
    engine.step()
    engine.scheduler.lamps.turns["c"].preemptions = before
    engine.run()
    assert engine.scheduler.requests == {}
    entries = engine.scheduler.lamps.watch.journal.since(0)
    assert next(entry.request for entry in entries if entry.kind == "preempt") == first
