"""When those that wait may be ordered as before: nobody has come, nothing has become known, no other policy decides."""

from __future__ import annotations

from collections.abc import Callable

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.waiting import WATCHDOG_S
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load_text
from tests.runtime.test_core import World, arrive, finish, runtime_of, world  # noqa: F401  (fixtures)

Make = Callable[[str], Runtime]


def test_who_comes_changes_the_order_and_who_goes_does_not(world: World, runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.prompt")
    before = runtime.order_as_of()
    arrive(runtime, "a")
    arrive(runtime, "b")
    after = runtime.order_as_of()
    assert after is not before
    runtime.dequeue("a")
    world.now = 1.0
    runtime.begin_step()
    assert runtime.order_as_of() is after
    runtime.enqueue("a")
    assert runtime.order_as_of() is not after


def test_a_pin_that_is_lost_changes_it(world: World, runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.pinned\non call preserve for 1h")
    arrive(runtime, "first", session="s", call={"tool": "t"})
    finish(runtime, "first")
    runtime.verdict("first", "call", ("t",))
    arrive(runtime, "second", 200, session="s")
    assert runtime.turns["second"].pinned_tokens
    before = runtime.order_as_of()
    runtime.calls.clear()
    assert not runtime.turns["second"].pinned_tokens
    assert runtime.order_as_of() is not before


def test_the_watchdog_changes_it(world: World, runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.prompt")
    arrive(runtime, "a")
    runtime.begin_step()
    before = runtime.order_as_of()
    world.now = WATCHDOG_S - 1.0
    runtime.begin_step()
    assert runtime.order_as_of() is before
    world.now = WATCHDOG_S + 1.0
    runtime.begin_step()
    assert runtime.order_as_of() is not before


def test_another_policy_changes_it(runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.prompt")
    arrive(runtime, "a")
    before = runtime.order_as_of()
    loaded = load_text('lamps 1\npolicy other "P."\nrank highest request.prompt\n')
    assert loaded.policy is not None
    runtime.adopt(compile_policy(loaded.policy, loaded.source))
    assert runtime.order_as_of() is not before
