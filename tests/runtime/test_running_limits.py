"""Limits on what runs: who gets the places that are left, by the order that a limit names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.runtime.core import Runtime
from policy_dsl.comparing import comparable
from tests.runtime.test_admission import CLASSES, RANK, World, words
from tests.runtime.test_core import arrive

SMALLEST = RANK + "limit running <= 2 by request.context\n"


@pytest.fixture
def world() -> World:
    return World()


def test_places_go_to_whom_the_order_names_and_start_as_ranked(world: World) -> None:
    runtime = world.runtime(SMALLEST)
    for name, tokens in (("large", 900), ("middle", 500), ("small", 100)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["middle", "small"]
    assert words(runtime, ["large"]) == ["limit running"]
    assert runtime.engine_now()["engine.gated"] == 0.0
    arrive(runtime, "late", 200)
    world.end(runtime, "small")
    assert world.step(runtime) == ["late"]
    world.end(runtime, "late")
    assert world.step(runtime) == ["large"]  # a place each: the order has nobody else


def test_what_a_step_admits_takes_a_place_of_those_found(world: World) -> None:
    runtime = world.runtime(SMALLEST)
    for name, tokens in (("a", 100), ("b", 200), ("c", 300)):
        arrive(runtime, name, tokens)
    runtime.begin_step()
    runtime.admission.new_step()
    assert runtime.first_open(9) == ["a", "b"]
    world.start(runtime, "a")
    assert runtime.first_open(9) == ["b"]
    world.start(runtime, "b")
    assert runtime.first_open(9) == []
    assert words(runtime, ["c"]) == ["limit running"]


def test_the_order_of_a_class_is_about_its_own(world: World) -> None:
    rules = CLASSES + "rank -class.weight, request.arrival\nlimit batch.running <= 1 by highest request.context\n"
    runtime = world.runtime(rules)
    for name, tokens in (("b1", 100), ("b2", 300), ("b3", 200)):
        arrive(runtime, name, tokens)
    for name in ("c1", "c2"):
        arrive(runtime, name, 50, lamps_hint_tier="chat")
    assert world.step(runtime) == ["c1", "c2", "b2"]
    assert words(runtime, ["b1", "b3"]) == ["limit batch.running"] * 2


def test_a_place_of_all_goes_to_nobody_whose_class_has_none(world: World) -> None:
    rules = CLASSES + RANK + "limit running <= 3 by request.context\nlimit batch.running <= 1\n"
    runtime = world.runtime(rules)
    arrive(runtime, "b1", 100)
    assert world.step(runtime) == ["b1"]
    for name in ("b2", "b3", "b4"):
        arrive(runtime, name, 50)
    for name, tokens in (("c1", 400), ("c2", 200), ("c3", 300)):
        arrive(runtime, name, tokens, lamps_hint_tier="chat")
    assert world.step(runtime) == ["c2", "c3"]
    assert words(runtime, ["b2", "c1"]) == ["limit batch.running", "limit running"]


def test_a_place_goes_to_nobody_whom_the_gate_refuses(world: World) -> None:
    gate = "admit when engine.running_tokens + request.context <= 1000tok\n"
    runtime = world.runtime(RANK + gate + "limit running <= 2 by highest request.context\n")
    arrive(runtime, "runs", 600)
    assert world.step(runtime) == ["runs"]
    for name, tokens in (("large", 900), ("small", 100), ("middle", 300)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["middle"]
    assert words(runtime, ["large", "small"]) == ["gate", "limit running"]
    assert runtime.admission.gated == 1


def test_the_promoted_have_the_places_in_their_own_order(world: World) -> None:
    promote = "promote when request.waited >= 5s by highest request.arrival\n"
    runtime = world.runtime(RANK + promote + "limit running <= 1 by request.context\n")
    for name, tokens in (("runs", 10), ("old", 900), ("older", 950)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["runs"]
    world.now += 5.0
    arrive(runtime, "new", 20)
    world.end(runtime, "runs")
    assert world.step(runtime) == ["older"]  # it arrived after "old"
    assert words(runtime, ["old", "new"]) == ["limit running"] * 2


def test_what_is_foreseen_can_be_ordered_by(world: World) -> None:
    rules = RANK + "on call if request.context > 500tok { preserve } else { discard }\n"
    runtime = world.runtime(rules + "limit running <= 1 by if handling == preserve { 0 } else { 1 }\n")
    for name, tokens in (("small", 100), ("large", 900)):
        arrive(runtime, name, tokens, lamps_call_tool="x", lamps_call_duration_s=1.0)
    assert world.step(runtime) == ["large"]


def test_an_order_that_fails_gives_the_places_as_ranked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime(SMALLEST)

    def fails(*args: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(runtime.policy.batch, "shared_by", fails)
    for name, tokens in (("large", 900), ("middle", 500), ("small", 100)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["large", "middle"]
    assert runtime.counters["faults.limit running"] == 1
    assert words(runtime, ["small"]) == ["limit running"]


def test_what_has_no_number_comes_last_and_is_counted(world: World) -> None:
    by = "(request.context - 100tok) / (request.context - 100tok)"
    runtime = world.runtime(RANK + f"limit running <= 1 by {by}\n")
    for name, tokens in (("nan", 100), ("one", 200)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["one"]
    assert runtime.counters["faults.limit running"] == 1


def test_enough_places_for_all_are_given_without_a_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime(SMALLEST)
    monkeypatch.setattr(runtime.policy.batch, "shared_by", lambda *args: pytest.fail("it was asked"))
    arrive(runtime, "a", 100)
    arrive(runtime, "b", 100)
    assert world.step(runtime) == ["a", "b"]
    arrive(runtime, "c", 100)
    assert world.step(runtime) == []  # none is left
    monkeypatch.undo()


# --- the invariant

ROWS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["chat", "batch"]), st.integers(1, 4)), max_size=25)
BOUNDS = st.tuples(st.integers(0, 4), st.integers(0, 3))


BY = "if request.context == 5tok { 0 / 0 } else { floor(request.context / 3tok) }"


def by_order(runtime: Runtime, name: str, promoted: bool) -> tuple[object, ...]:
    """Where a request stands in `BY`, asked alone."""
    turn = runtime.turns[name]
    key = math.nan if turn.prompt_tokens == 5 else float(turn.prompt_tokens // 3)
    return not promoted, () if promoted else comparable((key,)), turn.arrival


@settings(deadline=None)
@given(ROWS, BOUNDS, st.integers(0, 6))
def test_the_first_by_order_have_the_places_and_nobody_else(
    requests: list[tuple[int, str, int]], bounds: tuple[int, int], patience: int
) -> None:
    """Never more than a limit allows; who starts is who comes first by order of those that have a place in their
    class; and no place is left over while one who may have it waits."""
    most, of_batch = (max(bound, 1) for bound in bounds)
    rules = CLASSES + "rank highest request.context\n" + f"promote when request.waited >= {patience}s\n"
    rules += f"limit running <= {bounds[0] or '0.1%'} by {BY}\nlimit batch.running <= {bounds[1] or '0.1%'} by {BY}\n"
    world = World()
    runtime = world.runtime(rules)
    ends: dict[str, float] = {}
    classes = {f"r{n}": tier for n, (_, tier, _) in enumerate(requests)}
    for n in range(len(requests) * 5 + 1):
        for name in [name for name, at in ends.items() if at <= world.now]:
            del ends[name]
            world.end(runtime, name)
        if n < len(requests):
            arrive(runtime, f"r{n}", requests[n][0], lamps_hint_tier=requests[n][1])
        ran, waited = set(world.running), set(runtime.table.ids)
        started = world.step(runtime)
        for name in started:
            ends[name] = world.now + requests[int(name[1:])][2]
        batch_ran = sum(classes[name] == "batch" for name in ran)
        promoted = {name for name in waited if runtime.turns[name].promoted or runtime.is_promoted(name)}
        order = sorted(waited, key=lambda name: by_order(runtime, name, name in promoted))
        batch = [name for name in order if classes[name] == "batch"][: of_batch - batch_ran]
        open_ = [name for name in order if classes[name] == "chat" or name in batch]
        assert set(started) == set(open_[: most - len(ran)])
    assert not runtime.table.ids


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 6)), min_size=1, max_size=40), st.integers(1, 30))
def test_nobody_starves_below_a_limit(requests: list[tuple[int, int]], patience: int) -> None:
    """Small ones keep coming and have the places; whoever is promoted is passed by none that arrived later."""
    world = World()
    runtime = world.runtime(
        f"rank request.context\npromote when request.waited >= {patience}s\nlimit running <= 2 by request.context\n"
    )
    ends: dict[str, float] = {}
    started: dict[str, float] = {}
    for n in range(400):
        for name in [name for name, at in ends.items() if at <= world.now]:
            del ends[name]
            world.end(runtime, name)
        if n < len(requests):
            arrive(runtime, f"r{n}", requests[n][0])
        for name in world.step(runtime):
            started[name] = world.now
            ends[name] = world.now + requests[int(name[1:])][1]
    assert len(started) == len(requests)
    for n, name in enumerate(f"r{n}" for n in range(len(requests))):  # it arrived at n
        later = [f"r{m}" for m in range(n + 1, len(requests)) if started[f"r{m}"] > n + patience + 1]
        assert all(started[other] >= started[name] for other in later)
