"""Who is preempted: what the policy says, and who is spared whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.engine import Running
from tests.runtime.test_admission import World
from tests.runtime.test_core import arrive

RANK = "rank request.arrival\n"


@pytest.fixture
def world() -> World:
    return World()


def run(world: World, runtime: Runtime, *names: str, **hints: object) -> None:
    for name in names:
        arrive(runtime, name, 100, session=f"of {name}", **hints)
        world.start(runtime, name)
        world.now += 1.0


def victim(world: World, runtime: Runtime) -> str:
    return runtime.victim([Running(name, tokens) for name, tokens in world.running.items()])


def test_without_a_rule_the_last_admitted(world: World) -> None:
    runtime = world.runtime(RANK)
    run(world, runtime, "a", "b", "c")
    assert victim(world, runtime) == "c"


def test_the_first_in_the_order_of_the_policy(world: World) -> None:
    runtime = world.runtime(RANK + "victim highest request.context, request.arrival\n")
    run(world, runtime, "a", "b", "c")
    world.running |= {"b": 300, "c": 300}
    assert victim(world, runtime) == "b"  # as it has grown, and the earlier of two


def test_a_class_and_what_it_is_expected_to_generate(world: World) -> None:
    rules = 'hint tier = ""\nclass low when hint.tier == "low" { weight: 1 }\nclass high { weight: 9 }\n' + RANK
    runtime = world.runtime(rules + "victim lowest class.weight, highest predict.output\n")
    run(world, runtime, "high")
    run(world, runtime, "near", "far", lamps_hint_tier="low", lamps_output_tokens=500)
    world.running["near"] = 500  # 400 of 500 are there
    assert victim(world, runtime) == "far"


@pytest.mark.parametrize("rule", ["", "victim highest request.arrival\n"])
def test_the_promoted_and_the_often_preempted_are_spared(world: World, rule: str) -> None:
    runtime = world.runtime(RANK + rule)
    run(world, runtime, "a", "b", "c", "d")
    runtime.turns["d"].preemptions = 3
    assert victim(world, runtime) == "c"
    runtime.turns["c"].promoted = True
    assert victim(world, runtime) == "b"
    for name in ("a", "b"):
        runtime.turns[name].preemptions = 3
    assert victim(world, runtime) == "c"  # promoted, but not yet preempted three times
    runtime.turns["c"].preemptions = 3
    assert victim(world, runtime) == "d"


def test_what_is_not_a_number_comes_last(world: World) -> None:
    runtime = world.runtime(RANK + "victim 0 * (1 / request.generated / 1tok^-1), highest request.arrival\n")
    run(world, runtime, "a", "b")
    world.running["a"] = 101
    assert victim(world, runtime) == "a"
    assert runtime.counters["faults.victim"] == 1


def test_a_rule_that_fails_leaves_the_choice_to_the_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime(RANK + "victim request.arrival\n")
    run(world, runtime, "a", "b")
    assert victim(world, runtime) == "a"
    monkeypatch.setattr(runtime.policy.scalar, "victim_keys", lambda row, engine: 1 / 0)
    assert victim(world, runtime) == "b"
    assert runtime.counters["faults.victim"] == 1


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12),
    st.sampled_from(["", "victim lowest request.priority, highest request.arrival\n"]),
)
def test_the_guarantees_hold_for_every_batch(rows: list[tuple[int, bool, int]], rule: str) -> None:
    world = World()
    runtime = world.runtime(RANK + rule)
    for n, (preemptions, promoted, priority) in enumerate(rows):
        run(world, runtime, f"r{n}")
        turn = runtime.turns[f"r{n}"]
        turn.preemptions, turn.promoted, turn.priority = preemptions, promoted, float(priority)
    chosen = runtime.turns[victim(world, runtime)]
    turns = list(runtime.turns.values())
    fresh = [turn for turn in turns if turn.preemptions < 3]
    assert not fresh or chosen in fresh
    plain = [turn for turn in fresh if not turn.promoted]
    assert not plain or chosen in plain
    if plain and rule:
        assert chosen.priority == min(turn.priority for turn in plain)
