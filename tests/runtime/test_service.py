"""Seats, charges, classes, and the watchdog: what is kept about sessions and tenants beside their requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.runtime.tenants import MAX_INACTIVE, Tenants
from tests.runtime.test_admission import World
from tests.runtime.test_core import arrive

RANK = "rank request.arrival\n"


@pytest.fixture
def world() -> World:
    return World()


def served(world: World, rules: str, *names: str, **hints: object):
    runtime = world.runtime(rules)
    for name in names:
        arrive(runtime, name, session=name, **hints)
        world.start(runtime, name)
    return runtime


# --- seats -----------------------------------------------------------------------------------------


def test_a_seat_lasts_from_the_first_admission_until_nothing_is_held(world: World) -> None:
    runtime = served(world, RANK + "on call preserve for 5s\n", "s", lamps_call_tool="x", lamps_call_duration_s=9.0)
    session = runtime.turns["s"].session
    assert session.seated_since == 0.0
    world.now = 2.0
    world.end(runtime, "s")
    assert session.seated_since == 0.0  # pinned
    world.now = 8.0
    runtime.begin_step()
    assert session.seated_since is None
    assert session.running == 0


def test_a_preempted_session_has_lost_its_seat(world: World) -> None:
    runtime = served(world, RANK, "s")
    runtime.preempted("s", 120)
    assert runtime.turns["s"].session.seated_since is None


def test_residents_first(world: World) -> None:
    """A rank reads seats as they are at the step, not as they were when the request began to wait."""
    rules = "rank not session.seated, session.arrival\non call preserve\n"
    runtime = served(world, rules, "one", "two", lamps_call_tool="x", lamps_call_duration_s=9.0)
    for name in ("one", "two"):
        world.end(runtime, name)
        arrive(runtime, f"{name}2", 150, session=name)
    assert runtime.first(2) == ["one2", "two2"]
    runtime.calls.forget("one")
    runtime.begin_step()
    assert runtime.first(2) == ["two2", "one2"]


def test_seated_tokens_hold_what_is_expected(world: World) -> None:
    rules = RANK + "on call preserve\nadmit when engine.seated_tokens >= 0tok\n"
    runtime = served(world, rules, "pinned", lamps_call_tool="x", lamps_call_duration_s=9.0)
    world.end(runtime, "pinned")
    arrive(runtime, "runs", 100, session="r", lamps_output_tokens=50)
    world.start(runtime, "runs")
    runtime.begin_step()
    engine = runtime.engine_now()
    assert engine["engine.seated_tokens"] == runtime.calls.ledger.tokens + 150
    assert engine["engine.held_tokens"] == runtime.calls.ledger.tokens + 100


def test_the_queue_time_is_the_mean_of_the_last_waits(world: World) -> None:
    runtime = world.runtime(RANK)
    for wait in (1.0, 3.0):
        arrive(runtime, f"w{wait}")
        world.now += wait
        world.start(runtime, f"w{wait}")
    runtime.begin_step()
    assert runtime.engine_now()["engine.queue_time"] == pytest.approx(2.0)


# --- classes ---------------------------------------------------------------------------------------

CLASSES = 'hint tier = ""\nclass vip when hint.tier == "vip" { weight: 4 }\nclass rest { weight: 1 }\n'


def test_a_class_is_kept_for_all_turns(world: World) -> None:
    runtime = served(world, CLASSES + "rank -class.weight\non call preserve\n", "s", lamps_hint_tier="vip")
    world.end(runtime, "s")
    arrive(runtime, "other", session="o")
    arrive(runtime, "again", 150, session="s")  # says nothing this time
    assert runtime.first(2) == ["again", "other"]
    assert runtime.turns["again"].session.class_name == "vip"


def test_a_condition_that_fails_puts_the_session_into_the_last_class(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = world.runtime(CLASSES + "rank -class.weight\n")
    monkeypatch.setattr(runtime.policy.scalar, "class_of", lambda row: 1 / 0)
    arrive(runtime, "a", lamps_hint_tier="vip")
    assert runtime.turns["a"].session.class_name == "rest"
    assert runtime.counters["faults.class"] == 1


def test_deadlines_count_from_the_arrival(world: World) -> None:
    runtime = world.runtime("rank request.deadline\n")
    world.now = 50.0
    arrive(runtime, "never")
    arrive(runtime, "late", lamps_deadline_s=20)
    arrive(runtime, "soon", lamps_deadline_s=2.5)
    assert runtime.first(3) == ["soon", "late", "never"]


# --- tenants ---------------------------------------------------------------------------------------


def test_the_tenant_that_got_least_goes_first(world: World) -> None:
    rules = "rank tenant.charged_prompt + 2 * tenant.charged_output + tenant.queued_before, request.arrival\n"
    runtime = world.runtime(rules)
    for n in range(3):
        arrive(runtime, f"a{n}", 100, lamps_tenant="a")
    for n in range(2):
        arrive(runtime, f"b{n}", 150, lamps_tenant="b")
    assert runtime.first(5) == ["a0", "b0", "a1", "b1", "a2"]  # 0, 0, 100, 150, 200 in front
    world.start(runtime, "a0")
    world.running["a0"] += 80  # generated: charged twice
    runtime.begin_step()
    assert runtime.first(4) == ["b0", "b1", "a1", "a2"]


def test_who_comes_back_is_lifted_to_the_least_of_those_here(world: World) -> None:
    runtime = world.runtime("rank tenant.charged_prompt\n")
    for n in range(3):
        arrive(runtime, f"a{n}", 100, lamps_tenant="a")
        world.start(runtime, f"a{n}")
    arrive(runtime, "b", 30, lamps_tenant="b")
    assert runtime.turns["b"].account.charged_prompt == 300.0
    world.start(runtime, "b")
    world.now = 7.0
    assert (runtime.turns["a0"].account.running, runtime.turns["a0"].account.served_s(7.0)) == (3, 21.0)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 100), st.booleans()), max_size=60))
def test_nobody_returns_with_less_than_all_others(events: list[tuple[str, int, bool]]) -> None:
    tenants = Tenants()
    here: dict[str, int] = dict.fromkeys("abcd", 0)
    for name, tokens, leaves in events:
        account = tenants.account(name)
        if leaves and here[name]:
            here[name] -= 1
            account.waits_no_more()
            account.charged_prompt += tokens
            tenants.ended(name, account)
            continue
        others = [tenants.account(other).charged_prompt for other in here if here[other] and other != name]
        returns = not here[name]
        tenants.waits(name, account)
        here[name] += 1
        if returns and others:
            assert account.charged_prompt >= min(others)
        assert account is tenants.account(name)


def test_tenants_without_requests_are_bounded() -> None:
    tenants = Tenants()
    for n in range(MAX_INACTIVE + 10):
        tenants.account(f"t{n}").charged_prompt = 1.0
    assert tenants.account("t0").charged_prompt == 0.0
    assert tenants.account(f"t{MAX_INACTIVE + 9}").charged_prompt == 1.0


# --- the watchdog ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["request.priority", "request.priority - request.age / 1e9s"], ids=["steady", "moves"])
def test_the_watchdog_promotes_whom_the_policy_forgets(world: World, rank: str) -> None:
    runtime = world.runtime(f"rank {rank}\n")
    arrive(runtime, "forgotten")
    runtime.turns["forgotten"].priority = 9.0
    runtime.dequeue("forgotten")
    runtime.enqueue("forgotten")
    for n in range(4):
        arrive(runtime, f"urgent{n}")
    world.now = 599.0
    runtime.begin_step()
    assert runtime.first(1) == ["urgent0"]
    world.now = 601.0
    arrive(runtime, "new")
    runtime.begin_step()
    assert runtime.first(6) == ["forgotten", "urgent0", "urgent1", "urgent2", "urgent3", "new"]
    assert runtime.is_promoted("forgotten") and not runtime.is_promoted("new")
    assert runtime.counters["promoted.watchdog"] == 5
    runtime.dequeue("forgotten")  # preempted later, it keeps its place
    runtime.admitted({"forgotten": 0})
    runtime.preempted("forgotten", 110)
    runtime.enqueue("forgotten")
    assert runtime.first(1) == ["forgotten"]
