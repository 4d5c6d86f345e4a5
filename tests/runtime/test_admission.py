"""Who may start: gates, limits on what runs, reservation; asked of a made-up engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineLoad, Held, Running
from engine_adapter.runtime.held import Holding, held_by
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load_text
from tests.runtime.test_core import FACTS, arrive

RANK = "rank request.arrival\n"
GATE = RANK + "admit when engine.running_tokens + request.context <= 1000tok\n"


@dataclass
class World:
    """An engine whose running requests a test names, with their contexts."""

    now: float = 0.0
    running: dict[str, int] = field(default_factory=dict)

    def runtime(self, rules: str) -> Runtime:
        loaded = load_text(f'lamps 1\npolicy tried "a test"\n{rules}\n')
        assert loaded.policy is not None, loaded.diagnostics
        engine = Engine(
            FACTS,
            load=lambda: EngineLoad(len(self.running), 0, sum(self.running.values()), 5_000),
            release=lambda blocks: None,
            clock=lambda: self.now,
            running=lambda: [Running(name, tokens) for name, tokens in self.running.items()],
        )
        return Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel())

    def start(self, runtime: Runtime, name: str) -> None:
        """The engine takes a request, as it does after it was let in."""
        runtime.dequeue(name)
        self.running[name] = runtime.turns[name].context_tokens
        runtime.admission.moved()
        runtime.admitted({name: 0})

    def end(self, runtime: Runtime, name: str) -> None:
        tokens = self.running.pop(name)
        runtime.ended(Ended(name, 1, tokens, False, []), hold=lambda: Held((name,) * (tokens // 16), tokens))

    def step(self, runtime: Runtime) -> list[str]:
        """What a step without bounds of memory and seats admits."""
        self.now += 1.0
        runtime.begin_step()
        runtime.admission.new_step()
        asked = runtime.first_open if runtime.admission.needed else runtime.first
        order = asked(len(runtime.table))
        return [name for name in order if self._takes(runtime, name)]

    def _takes(self, runtime: Runtime, name: str) -> bool:
        may = runtime.may_start(name)
        if may:
            self.start(runtime, name)
        return may


@pytest.fixture
def world() -> World:
    return World()


def words(runtime: Runtime, names: Sequence[str]) -> list[str]:
    return list(held_by(runtime, names, Holding("kv")).values())


def test_what_the_step_has_admitted_is_counted(world: World) -> None:
    runtime = world.runtime(GATE)
    for name in ("a", "b", "c"):
        arrive(runtime, name, 450)
    assert world.step(runtime) == ["a", "b"]
    assert words(runtime, ["c"]) == ["gate"]
    assert runtime.engine_now()["engine.gated"] == 0.0  # as of the snapshot that the step was judged by
    runtime.begin_step()
    assert runtime.engine_now()["engine.gated"] == 1.0


def test_a_refused_row_is_skipped(world: World) -> None:
    runtime = world.runtime(GATE)
    for name, tokens in (("runs", 600), ("large", 700), ("small", 300), ("late", 300)):
        arrive(runtime, name, tokens)
    assert world.step(runtime) == ["runs", "small"]
    assert words(runtime, ["large", "late"]) == ["gate", "gate"]
    world.end(runtime, "runs")
    assert world.step(runtime) == ["large"]


def test_an_engine_with_nothing_running_admits_the_first(world: World) -> None:
    runtime = world.runtime(RANK + "admit when false\n")
    for name in ("a", "b"):
        arrive(runtime, name)
    assert world.step(runtime) == ["a"]
    assert world.step(runtime) == []
    world.end(runtime, "a")
    assert world.step(runtime) == ["b"]
    assert runtime.counters["admit.overruled"] == 2


def test_a_promoted_request_that_is_refused_reserves(world: World) -> None:
    runtime = world.runtime(GATE + "promote when request.waited >= 5s\n")
    arrive(runtime, "runs", 600)
    arrive(runtime, "large", 900)
    world.step(runtime)
    for n in range(3):
        arrive(runtime, f"small{n}", 100)
        assert world.step(runtime) == [f"small{n}"]  # until it is promoted they pass it
    arrive(runtime, "late", 100)
    assert world.step(runtime) == []
    assert words(runtime, ["large", "late"]) == ["gate", "reserved for large"]
    world.end(runtime, "runs")
    assert world.step(runtime) == []
    for n in range(2):
        world.end(runtime, f"small{n}")
    assert world.step(runtime) == ["large"]  # 100 tokens still run
    assert words(runtime, ["late"]) == ["gate"]


def test_others_that_are_promoted_do_not_pass_either(world: World) -> None:
    runtime = world.runtime(GATE + "promote when request.waited >= 1s\n")
    arrive(runtime, "runs", 600)
    world.step(runtime)
    arrive(runtime, "large", 900)
    arrive(runtime, "small", 100)
    world.now += 5.0
    assert world.step(runtime) == []
    assert words(runtime, ["large", "small"]) == ["gate", "reserved for large"]


def test_pins_yield_to_a_promoted_request_that_they_keep_out(world: World) -> None:
    gate = RANK + "on call preserve\npromote when request.waited >= 5s\n"
    gate += "admit when engine.seated_tokens + request.context <= 1000tok\n"
    runtime = world.runtime(gate)
    for name, tokens in (("quick", 320), ("slow", 320), ("runs", 80)):
        arrive(runtime, name, tokens, session=name, lamps_call_tool="x", lamps_call_duration_s=ord(name[0]) / 10)
    assert world.step(runtime) == ["quick", "slow", "runs"]
    world.end(runtime, "quick")
    world.end(runtime, "slow")
    arrive(runtime, "large", 500)
    assert world.step(runtime) == []
    world.now += 10.0
    assert world.step(runtime) == ["large"]
    assert runtime.counters["pins.yielded_promoted"] == 1  # one was enough
    assert next(iter(runtime.calls.ledger)).session == "quick"


def test_pins_are_not_spent_where_they_do_not_help(world: World) -> None:
    gate = RANK + "on call preserve\npromote when request.waited >= 5s\n"
    gate += "admit when engine.held_tokens + request.context <= 1000tok\n"
    runtime = world.runtime(gate)
    for name in ("pinned", "runs"):
        arrive(runtime, name, 320, session=name, lamps_call_tool="x", lamps_call_duration_s=60.0)
    world.step(runtime)
    world.end(runtime, "pinned")
    arrive(runtime, "large", 900)
    world.now += 10.0
    assert world.step(runtime) == []
    assert runtime.calls.ledger.tokens == 320


def test_a_limit_on_what_runs(world: World) -> None:
    runtime = world.runtime(RANK + "limit running <= 2\n")
    for name in ("a", "b", "c"):
        arrive(runtime, name)
    assert world.step(runtime) == ["a", "b"]
    assert words(runtime, ["c"]) == ["limit running"]
    assert runtime.engine_now()["engine.gated"] == 0.0
    world.end(runtime, "a")
    assert world.step(runtime) == ["c"]


CLASSES = 'hint tier = "batch"\nclass chat when hint.tier == "chat" { weight: 4 }\nclass batch { weight: 1 }\n'


def test_a_limit_on_one_class_holds_even_for_the_promoted_and_lets_the_others_pass(world: World) -> None:
    rules = (
        CLASSES + "rank -class.weight, request.arrival\nlimit batch.running <= 1\npromote when request.waited >= 2s\n"
    )
    runtime = world.runtime(rules)
    for name in ("b1", "b2"):
        arrive(runtime, name)
    arrive(runtime, "c1", lamps_hint_tier="chat")
    assert world.step(runtime) == ["c1", "b1"]
    world.now += 5.0
    arrive(runtime, "c2", lamps_hint_tier="chat")
    assert world.step(runtime) == ["c2"]
    assert words(runtime, ["b2"]) == ["limit batch.running"]
    world.end(runtime, "b1")
    assert world.step(runtime) == ["b2"]


def test_a_limit_below_one_still_lets_one_run(world: World) -> None:
    runtime = world.runtime(RANK + "limit running <= 0.1%\n")  # of 256 seats
    for name in ("a", "b"):
        arrive(runtime, name)
    assert world.step(runtime) == ["a"]


def test_what_other_classes_reserve_is_seen_at_the_gate(world: World) -> None:
    rules = (
        'hint tier = ""\nclass vip when hint.tier == "vip" { reserve: 60% }\nclass rest { reserve: 0% }\n' + RANK +
        "admit when engine.held_tokens + request.context <= engine.kv_total * (1 - engine.reserved_elsewhere)\n"
    )  # fmt: skip
    runtime = world.runtime(rules)
    arrive(runtime, "r1", 3_000)
    arrive(runtime, "r2", 3_000)
    arrive(runtime, "v1", 5_000, lamps_hint_tier="vip")
    assert world.step(runtime) == ["r1", "v1"]  # of 10,000 tokens 6,000 are reserved
    assert words(runtime, ["r2"]) == ["gate"]
    arrive(runtime, "r3", 1_000)  # the class uses 5,000 of its 6,000
    assert world.step(runtime) == ["r3"]


@pytest.mark.parametrize(("rule", "rules"), [("admit", GATE), ("limit running", RANK + "limit running <= 1\n")])
def test_a_rule_that_fails_lets_in_and_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, rule: str, rules: str
) -> None:
    runtime = world.runtime(rules)

    def fails(*args: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(runtime.policy.scalar, rule.partition(" ")[0], fails)
    for name in ("a", "b"):
        arrive(runtime, name, 900)
    assert world.step(runtime) == ["a", "b"]
    assert runtime.counters[f"faults.{rule}"] >= 2


def test_a_policy_without_these_rules_is_never_asked(world: World) -> None:
    assert not world.runtime(RANK + "limit pinned <= 50%").admission.needed
    assert world.runtime(RANK + "limit running <= 5").admission.needed
    assert world.runtime(GATE).admission.needed


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 6)), min_size=1, max_size=40), st.integers(1, 30))
def test_nobody_starves_at_a_gate(requests: list[tuple[int, int]], patience: int) -> None:
    """Small ones keep coming; every large one starts once it is promoted and what ran before has ended."""
    world = World()
    runtime = world.runtime(GATE + f"promote when request.waited >= {patience}s\n")
    ends: dict[str, float] = {}
    started: dict[str, float] = {}
    arrived: dict[str, float] = {}
    for n in range(400):
        for name in [name for name, at in ends.items() if at <= world.now]:
            del ends[name]
            world.end(runtime, name)
        if n < len(requests):
            tokens, _ = requests[n]
            arrive(runtime, f"r{n}", tokens)
            arrived[f"r{n}"] = world.now
        for name in world.step(runtime):
            started[name] = world.now
            ends[name] = world.now + requests[int(name[1:])][1]
    assert len(started) == len(requests)
    # Whoever is promoted is passed by none that arrived later, so it waits at most for those before it.
    for name, at in started.items():
        later = [o for o in arrived if arrived[o] > arrived[name] and started[o] > arrived[name] + patience + 1]
        assert all(started[o] >= at for o in later)


def test_without_a_gate_nothing_is_kept_of_those_that_left(world: World) -> None:
    runtime = world.runtime(RANK)
    for n in range(50):
        arrive(runtime, f"r{n}", 100)
        assert world.step(runtime) == [f"r{n}"]
        world.end(runtime, f"r{n}")
    assert (runtime.admission._refused._left, runtime.admission.refused) == (set(), {})
