"""`on call at arrival` is asked once: the rank, the monitor and explain read what it answered then."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from engine_adapter.runtime import shadow
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.held import Holding
from engine_adapter.runtime.reload import tried
from engine_adapter.runtime.state import state
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.explain import Explanation, explain
from policy_dsl.loading import load_text
from policy_dsl.saved import of_document
from policy_dsl.types import Handling
from tests.runtime.test_core import World, arrive, runtime_of, world

__all__ = ["runtime_of", "world"]

Make = Callable[[str], Runtime]

DECIDED = "on call at arrival if engine.running_tokens < 1000tok { preserve } else { discard }\n"
# The kept first, and of those that are alike the last.
RANK = "rank match handling { preserve: 1, discard: 2, swap: 3, none: 4 }, highest request.arrival\n"


def policy_of(rules: str) -> CompiledPolicy:
    loaded = load_text(f'lamps 1\npolicy other "a test"\n{rules}')
    assert loaded.policy is not None, loaded.diagnostics
    return compile_policy(loaded.policy, loaded.source)


def busier(runtime: Runtime, world: World, running_tokens: int) -> None:
    world.now += 1.0
    world.running_tokens = running_tokens
    runtime.begin_step()


@pytest.fixture
def waiting(world: World, runtime_of: Make) -> Runtime:
    """Two that came while the engine had room, one that came when it had none, and one that calls nothing."""
    runtime = runtime_of(DECIDED + RANK)
    for name in ("kept", "kept too"):
        arrive(runtime, name, lamps_call_tool="x")
        world.now += 1.0
    busier(runtime, world, 5000)
    arrive(runtime, "gone", lamps_call_tool="x")
    arrive(runtime, "silent", lamps_may_call=False)
    return runtime


def test_the_rank_reads_what_was_decided_then(waiting: Runtime) -> None:
    assert waiting.first(4) == ["kept too", "kept", "gone", "silent"]


def test_so_do_the_scalar_rules(waiting: Runtime) -> None:
    found = {name: waiting.deciding.foreseen(turn) for name, turn in waiting.turns.items()}
    assert found == {
        "kept": Handling.PRESERVE, "kept too": Handling.PRESERVE, "gone": Handling.DISCARD, "silent": Handling.NONE,
    }  # fmt: skip


def test_it_stays_through_a_preemption(waiting: Runtime, world: World) -> None:
    waiting.dequeue("kept")
    waiting.admitted({"kept": 0})
    waiting.preempted("kept", 110)
    waiting.enqueue("kept")
    busier(waiting, world, 7000)
    assert waiting.first(4) == ["kept too", "kept", "gone", "silent"]


def test_another_policy_decides_anew_about_those_that_wait(waiting: Runtime) -> None:
    waiting.adopt(
        policy_of("on call at arrival if engine.running_tokens < 9000tok { swap } else { preserve }\n" + RANK)
    )
    # Nothing can be swapped here, so nothing is kept of anybody.
    assert waiting.first(4) == ["gone", "kept too", "kept", "silent"]
    waiting.adopt(policy_of(RANK + "on call preserve"))
    assert waiting.turns["gone"].foreseen is None
    assert waiting.first(4) == ["gone", "kept too", "kept", "silent"]


def test_a_dry_run_and_a_shadow_decide_as_if_all_came_now(waiting: Runtime, world: World) -> None:
    same = policy_of(DECIDED + RANK)
    assert list(tried(waiting, same).first) == ["gone", "kept too", "kept", "silent"]
    shadow.begin(same, waiting)
    busier(waiting, world, 5000)
    assert waiting.shadow is not None
    assert waiting.shadow.document()["rank"] == {"compared": 1, "differing": 1}
    assert waiting.first(4) == ["kept too", "kept", "gone", "silent"], "the shadow's answers are its own"


def explained(runtime: Runtime) -> Explanation:
    document = json.loads(json.dumps(state(runtime, [], Holding())))
    loaded = load_text(runtime.policy.text)
    assert loaded.policy is not None
    return explain(loaded, of_document(loaded, document))


def test_explain_says_what_was_decided_then(waiting: Runtime) -> None:
    found = explained(waiting)
    assert list(found.order) == waiting.first(4)
    answers = {one.name: (one.foreseen.answer.handlings, one.foreseen.of_then) for one in found.waiting}
    assert answers == {
        "kept": ("preserve", True), "kept too": ("preserve", True), "gone": ("discard", True),
        "silent": ("discard", True),
    }  # fmt: skip
    (asked,) = found.waiting[0].foreseen.answer.asked
    assert [part.value for part in asked.parts] == [0.0, 1000.0], "the engine of then"


def test_a_policy_that_decides_at_the_call_explains_from_now(waiting: Runtime) -> None:
    waiting.adopt(policy_of(DECIDED.replace(" at arrival", "") + RANK))
    assert {(one.foreseen.answer.handlings, one.foreseen.of_then) for one in explained(waiting).waiting} == {
        ("discard", False)
    }
