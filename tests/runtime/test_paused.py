"""What becomes of a paused session's KV: decided at arrival, at the call, again, part by part, and swapped."""

from __future__ import annotations

import pytest

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.repeats import MOST_ASKED, Askings
from tests.runtime.host_port import HostWorld, in_force, start
from tests.runtime.test_core import arrive

RANK = "rank request.arrival\n"


@pytest.fixture
def world() -> HostWorld:
    return HostWorld()


# --- on call at arrival


def test_what_was_decided_at_arrival_is_in_force_when_the_call_comes(world: HostWorld) -> None:
    rules = "on call at arrival if call.duration < 10s { preserve } else { discard }"
    runtime = world.runtime(RANK + rules)
    start(runtime, "a", "s", lamps_call_tool="x", lamps_call_duration_s=5.0)
    runtime.turns["a"].hints = Hints(call_tool="x", call_duration_s=60.0)  # it would be decided otherwise by now
    world.end(runtime, "a")
    assert in_force(runtime, "s") == "preserve"
    decided = runtime.calls.paused["s"].turn.call
    assert decided is not None and decided.decided is not None
    assert decided.decided["call.duration"] == 5.0


def test_at_arrival_is_asked_once_and_sees_the_engine_of_then(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call at arrival if engine.paused == 0 { preserve } else { discard }")
    start(runtime, "first", "a", lamps_call_tool="x")
    start(runtime, "second", "b", lamps_call_tool="x")
    world.end(runtime, "first")
    world.end(runtime, "second")
    assert (in_force(runtime, "a"), in_force(runtime, "b")) == ("preserve", "preserve")


def test_what_was_foreseen_and_has_no_room_is_skipped(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call at arrival preserve\nlimit pinned <= 200tok")
    for name in "abc":
        world.turn(runtime, name, name)
    assert [in_force(runtime, name) for name in "abc"] == ["preserve", "discard", "discard"]
    assert runtime.calls.ledger.tokens == 128


# --- while paused


def test_while_paused_decides_again_after_the_time_between(world: HostWorld) -> None:
    runtime = world.runtime(
        RANK + "on call preserve\nwhile paused every 2s if call.elapsed >= 3s { discard } else { preserve }"
    )
    world.turn(runtime, "a", "s")
    for after_s, expected in ((1.9, "preserve"), (0.2, "preserve"), (1.5, "preserve"), (0.6, "discard")):
        world.step(runtime, after_s)
        assert in_force(runtime, "s") == expected, world.now
    assert world.held == 0
    assert runtime.calls.paused["s"].lost == "redecided"


def test_again_asks_on_call_with_what_is_left_of_the_call(world: HostWorld) -> None:
    runtime = world.runtime(
        RANK + "on call if call.duration <= 10s { preserve } else { discard }\nwhile paused every 1step again"
    )
    world.turn(runtime, "a", "s", lamps_call_duration_s=6.0)
    world.step(runtime, 5.5)
    assert in_force(runtime, "s") == "preserve"
    world.step(runtime, 0.6)  # it takes longer than was said: as long again, 12.2 s
    assert in_force(runtime, "s") == "discard"


def test_what_is_in_force_can_be_read(world: HostWorld) -> None:
    rules = "on call preserve for 1s then swap\nwhile paused every 5s match handling {\n"
    rules += "  swap: discard\n  _: preserve\n}"
    runtime = world.runtime(RANK + rules)
    world.turn(runtime, "a", "s")
    world.step(runtime, 1.1)
    assert in_force(runtime, "s") == "swap"
    world.step(runtime, 4.0)
    assert in_force(runtime, "s") == "discard"


def test_preserve_for_is_not_extended_by_deciding_again(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call preserve for 3s\nwhile paused every 1s preserve for 3s")
    world.turn(runtime, "a", "s")
    for _ in range(2):
        world.step(runtime, 1.2)
    assert in_force(runtime, "s") == "preserve"
    world.step(runtime, 0.7)
    assert in_force(runtime, "s") == "discard"


def test_what_is_given_up_is_not_asked_about(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call preserve\nwhile paused every 1step preserve")
    world.turn(runtime, "a", "s")
    runtime.calls.shrink(next(iter(runtime.calls.ledger)), 99, len, "yielded_idle")
    world.step(runtime)
    world.step(runtime)
    assert in_force(runtime, "s") == "discard"
    assert len(runtime.calls.askings) == 0


def test_a_while_paused_that_fails_leaves_what_is_in_force(world: HostWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime(RANK + "on call preserve\nwhile paused every 1step discard")
    world.turn(runtime, "a", "s")

    def fails(row: object, engine: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(runtime.policy.scalar, "paused", fails)
        world.step(runtime)
        world.step(runtime)
    assert in_force(runtime, "s") == "preserve"
    assert runtime.counters["faults.while paused"] == 2
    world.step(runtime)
    assert in_force(runtime, "s") == "discard"


def test_a_step_asks_about_a_bounded_number_those_due_longest_first() -> None:
    askings = Askings(0.0, 1.0)
    names = [f"s{n}" for n in range(3 * MOST_ASKED)]
    for name in names:
        askings.asked(name, 0.0, 0)
    asked: list[str] = []
    for step in range(1, 4):
        due = askings.due(0.0, step)
        assert len(due) == MOST_ASKED
        asked += due
        for name in due:
            askings.asked(name, 0.0, step)
    assert asked == names
    askings.forget(names[0])
    assert askings.due(0.0, 9, 1) == [names[1]]


# --- chains


def test_a_chain_moves_on_at_its_times(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call preserve for 2s then swap for 5s then discard")
    world.turn(runtime, "a", "s")
    world.step(runtime, 1.9)
    assert (in_force(runtime, "s"), world.held) == ("preserve", 8)
    world.step(runtime, 0.2)
    assert in_force(runtime, "s") == "swap"
    world.finish_copies(runtime)
    assert (in_force(runtime, "s"), world.held, len(world.copied["s"])) == ("swap", 0, 8)
    world.step(runtime, 3.0)
    assert (in_force(runtime, "s"), world.copied) == ("discard", {})
    assert runtime.counters["followed.swap"] == runtime.counters["followed.discard"] == 1


def test_a_part_that_can_not_be_carried_out_is_skipped(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call preserve for 2s then swap for 20s then preserve for 30s")
    world.turn(runtime, "a", "s")
    world.refuses = True
    world.step(runtime, 2.1)
    assert (in_force(runtime, "s"), world.held) == ("preserve", 8)
    world.step(runtime, 27.0)
    assert in_force(runtime, "s") == "preserve"
    world.step(runtime, 1.0)
    assert (in_force(runtime, "s"), world.held) == ("discard", 0)


# --- swap


def test_blocks_stay_held_until_the_last_is_copied(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap")
    world.turn(runtime, "a", "s")
    assert (in_force(runtime, "s"), world.held, len(world.copied["s"])) == ("swap", 8, 8)
    world.finish_copies(runtime, "s", 5)
    assert world.held == 8
    world.finish_copies(runtime)
    assert world.held == 0
    assert runtime.calls.copies.ledger.tokens == 128
    world.step(runtime)
    assert runtime.engine_now()["engine.host_free"] == 4_000 - 128


def test_a_swapped_session_that_returns_keeps_its_copy_until_it_is_admitted(world: HostWorld) -> None:
    runtime = world.runtime(RANK + 'on call if call.tool == "x" { swap } else { discard }')
    world.turn(runtime, "a", "s")
    world.finish_copies(runtime)
    arrive(runtime, "b", 140, "s", lamps_call_tool="other")
    assert runtime.turns["b"].cached_tokens == 128
    assert world.copied
    runtime.dequeue("b")
    runtime.admitted({"b": 128})
    assert (world.copied, runtime.calls.copies.ledger.tokens) == ({}, 0)
    assert runtime.counters["copies.tokens_reused"] == 128
    world.end(runtime, "b", 160)
    assert in_force(runtime, "s") == "discard"


def test_a_session_that_is_back_before_its_copy_is_whole_has_its_pin(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap")
    world.turn(runtime, "a", "s")
    arrive(runtime, "b", 140, "s")
    assert runtime.turns["b"].pinned_tokens == 128
    assert (world.copied, world.held) == ({}, 8)
    runtime.dequeue("b")
    runtime.admitted({"b": 128})
    assert world.held == 0


def test_a_turn_whose_call_will_be_swapped_is_copied_while_it_runs(world: HostWorld) -> None:
    runtime = world.runtime(RANK + 'on call if call.tool == "x" { swap } else { preserve }')
    start(runtime, "a", "s", lamps_call_tool="x")
    start(runtime, "b", "t", lamps_call_tool="y")
    assert world.foreseen == {"s": "a"}
    world.end(runtime, "a", aborted=True)
    assert world.foreseen == {}
    assert not runtime.calls.copies


def test_what_was_foreseen_and_not_decided_is_dropped(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call if call.duration > 10s { swap } else { preserve }")
    start(runtime, "a", "s", lamps_call_tool="x", lamps_call_duration_s=20.0, lamps_may_call=1, lamps_turn="t")
    assert world.foreseen == {"s": "a"}
    runtime.turns["a"].hints = Hints(may_call=True, turn="t")
    world.end(runtime, "a")
    assert world.foreseen == {"s": "a"}  # the API side hasn't said yet
    runtime.verdict("t", "call", ("y",))
    assert (in_force(runtime, "s"), world.foreseen) == ("preserve", {})


def test_host_memory_is_never_promised_twice(world: HostWorld) -> None:
    world.host_tokens = 300
    runtime = world.runtime(RANK + "on call swap")
    for name in "abc":
        world.turn(runtime, name, name)
    assert [in_force(runtime, name) for name in "abc"] == ["swap", "swap", "discard"]


def test_limit_host_is_kept_and_the_next_arm_taken(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call least { swap: 0\n preserve: 1 }\nlimit host <= 5%")
    for name in "ab":
        world.turn(runtime, name, name)
    assert [in_force(runtime, name) for name in "ab"] == ["swap", "preserve"]


def test_no_step_moves_more_than_limit_swapping(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call preserve for 1s then swap\nlimit swapping <= 48tok")
    for name in "ab":
        world.turn(runtime, name, name)
    moved = []
    world.now = 0.995
    for _ in range(8):
        world.step(runtime)
        moved.append(world.moved_in_step)
    assert moved == [48, 48, 32, 0, 0, 0, 0, 0]
    world.finish_copies(runtime)
    assert (in_force(runtime, "a"), in_force(runtime, "b")) == ("swap", "discard")


def test_limit_swapping_goes_to_those_its_order_names(world: HostWorld) -> None:
    rules = "on call preserve\nwhile paused every 1step least { swap: 0\n preserve: 1 }\n"
    runtime = world.runtime(RANK + rules + "limit swapping <= 1blk * engine.block_size by highest call.context")
    for name, tokens in (("small", 64), ("large", 256), ("middle", 128)):
        world.turn(runtime, name, name, tokens)
    world.step(runtime)
    assert [in_force(runtime, name) for name in ("small", "large", "middle")] == ["preserve", "swap", "preserve"]


@pytest.mark.parametrize(("order", "kept"), [("", "small"), (" by highest call.context", "large")])
def test_limit_host_goes_to_those_its_order_names(world: HostWorld, order: str, kept: str) -> None:
    rules = "on call preserve\nwhile paused every 1step least { swap: 0\n preserve: 1 }\n"
    runtime = world.runtime(RANK + rules + "limit host <= 256tok" + order)
    for name, tokens in (("small", 64), ("large", 256), ("middle", 240)):
        world.turn(runtime, name, name, tokens)
    world.step(runtime)
    assert [name for name in ("small", "large", "middle") if in_force(runtime, name) == "swap"] == [kept]


def test_limit_pinned_is_kept_when_it_sinks(world: HostWorld) -> None:
    runtime = world.runtime(
        RANK + "on call preserve\nyield request.arrival\nlimit pinned <= 2000tok / max(engine.paused, 1)"
    )
    for name in "abc":
        world.turn(runtime, name, name, 320)
    assert runtime.calls.ledger.tokens == 960
    world.step(runtime)
    assert runtime.calls.ledger.tokens <= 2_000 / 3
    assert [runtime.calls.ledger.tokens_of(name) for name in "abc"] == [16, 320, 320]  # no more than must be


def test_preserve_asked_of_a_swapped_session_keeps_its_copy(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap\nwhile paused every 1s preserve")
    world.turn(runtime, "a", "s")
    world.finish_copies(runtime)
    world.step(runtime, 1.1)
    assert (in_force(runtime, "s"), list(world.copied)) == ("swap", ["s"])


def test_preserve_asked_while_it_is_copied_keeps_the_pin(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap\nwhile paused every 1step preserve")
    world.turn(runtime, "a", "s")
    world.step(runtime)
    assert (in_force(runtime, "s"), world.held, world.copied) == ("preserve", 8, {})


def test_a_copy_that_is_lost_is_followed_by_what_the_plan_names(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap for 1min then preserve")
    for name in "ab":
        world.turn(runtime, name, name)
    world.finish_copies(runtime, "a")
    runtime.calls.copy_lost("a")
    assert in_force(runtime, "a") == "discard"  # its blocks are gone
    runtime.calls.copy_lost("b")
    assert (in_force(runtime, "b"), world.held) == ("preserve", 8)


def test_half_a_copy_yields_whole(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap")
    world.turn(runtime, "a", "s")
    pin = runtime.calls.ledger.get("s")
    assert pin is not None
    assert runtime.calls.shrink(pin, 2, len, "yielded_running") == 8
    assert (in_force(runtime, "s"), world.held, world.copied) == ("discard", 0, {})


def test_an_engine_that_can_not_swap_goes_on_to_what_it_can(world: HostWorld) -> None:
    runtime = world.runtime(RANK + "on call swap for 1s then preserve for 3s", can_swap=False)
    world.turn(runtime, "a", "s")
    assert (in_force(runtime, "s"), world.copied) == ("preserve", {})
    world.step(runtime, 3.1)
    assert (in_force(runtime, "s"), world.held) == ("discard", 0)
