"""What is put off is done in its order, and whenever that is, no decision and nothing that is learned differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel, StepSample
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Held
from engine_adapter.runtime.later import Later
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Arrival, Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load_text

FACTS = EngineFacts(10_000, 16, 16, 1024.0, 512, can_preserve=True)
SILENT = "rank request.arrival"
RULES = {
    "silent": SILENT,
    "by what was learned": "rank predict.output\npromote when request.waited > 3s",
    "by the engine": "rank prefill_time(request.prompt) + engine.paused * 1s",
    "decides": "rank request.arrival\non call least {\n  preserve: call.duration * call.context\n"
    "  discard: prefill_time(call.context) * (call.context + engine.running_tokens)\n}",
}


class Engines:
    """A runtime and its clock."""

    def __init__(self, rules: str) -> None:
        self.now = 0.0
        loaded = load_text(f'lamps 1\npolicy tried "a test"\n{rules}\n')
        assert loaded.policy is not None, loaded.diagnostics
        engine = Engine(
            FACTS,
            load=lambda: EngineLoad(running=1, waiting=0, running_tokens=700, free_tokens=5_000),
            release=lambda blocks: None,
            clock=lambda: self.now,
            in_real_time=False,
        )
        self.runtime = Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel())

    def arrive(self, name: str, session: str, tokens: int, tool: str) -> None:
        hints = {"lamps_call_tool": tool} if tool else {}
        self.runtime.arrive(Arrival(name, [1] * tokens, 64, 0.0, session, hints, [], 0))
        self.runtime.enqueue(name)

    def start(self, name: str) -> None:
        self.runtime.dequeue(name)
        self.runtime.admitted({name: 0})

    def end(self, name: str, output: int, tokens: int) -> None:
        self.runtime.ended(Ended(name, output, tokens, False, []), hold=lambda: Held((name,), tokens))


def test_work_is_done_once_in_its_order_with_what_it_puts_off_itself() -> None:
    later, done = Later(), []

    def second() -> None:
        later.do()  # what came before is done by now, and this isn't done again
        done.append("second")
        later.put(lambda: done.append("fourth"))

    later.put(lambda: done.append("first"))
    later.put(second)
    later.put(lambda: done.append("third"))
    assert not done
    later.do()
    later.do()
    assert done == ["first", "second", "third", "fourth"]


def one_turn(engines: Engines) -> None:
    engines.arrive("a", "s", 100, "search")
    engines.start("a")
    engines.now = 5.0
    engines.end("a", 20, 120)


def test_the_end_of_a_turn_that_nobody_decides_about_is_put_off_and_keeps_its_instant() -> None:
    engines = Engines(SILENT)
    one_turn(engines)
    assert not engines.runtime.calls.paused
    engines.now = 9.0
    engines.runtime.later.do()
    call = engines.runtime.calls.paused["s"].turn.call
    assert call is not None
    assert call.since == 5.0


@pytest.mark.parametrize(
    "look",
    [
        lambda engines: engines.arrive("b", "s", 150, ""),
        lambda engines: engines.runtime.begin_step(),
        lambda engines: engines.runtime.engine_now(),
        lambda engines: engines.runtime.verdict("label", "end", ()),
        lambda engines: engines.runtime.close(),
    ],
    ids=["the session is back", "a second has passed", "the engine is read", "a verdict", "the end"],
)
def test_whoever_reads_what_it_leaves_finds_it(look: Callable[[Engines], object]) -> None:
    engines = Engines(SILENT)
    one_turn(engines)
    look(engines)
    assert engines.runtime.counters["decisions.discard"] == 1
    assert engines.runtime.expecting.predictor.state()["output"]


@pytest.mark.parametrize(
    "read",
    [lambda runtime: runtime.turns["b"].forecast, lambda runtime: runtime.preempted("b", 120)],
    ids=["a forecast that nobody had asked for", "what is left of one that loses its memory"],
)
def test_a_forecast_knows_all_that_has_ended(read: Callable[[Runtime], object]) -> None:
    engines = Engines(SILENT)
    engines.arrive("b", "other", 100, "")
    engines.start("b")
    one_turn(engines)
    read(engines.runtime)
    assert engines.runtime.expecting.predictor.state()["output"]


def test_a_policy_that_decides_about_calls_holds_the_blocks_at_once() -> None:
    engines = Engines("rank request.arrival\non call preserve")
    one_turn(engines)
    assert engines.runtime.calls.ledger.tokens == 120


OPS = st.lists(
    st.tuples(
        st.sampled_from(("arrive", "start", "end", "preempt", "step", "wait", "cost")),
        st.integers(0, 3),
        st.integers(1, 400),
        st.sampled_from(("", "search", "build")),
        st.booleans(),
    ),
    max_size=60,
)


@pytest.mark.parametrize("rules", RULES)
@settings(deadline=None)
@given(ops=OPS)
def test_when_it_is_done_makes_no_difference(rules: str, ops: Sequence[tuple[str, int, int, str, bool]]) -> None:
    at_once, put_off = Engines(RULES[rules]), Engines(RULES[rules])
    seen = ([], []) if not ops else (played(at_once, ops, always=True), played(put_off, ops, always=False))
    assert seen[0] == seen[1]
    for engines in (at_once, put_off):
        engines.runtime.later.do()
    one, other = at_once.runtime, put_off.runtime
    assert one.expecting.predictor.state() == other.expecting.predictor.state()
    assert one.costs.state() == other.costs.state()
    assert one.counters == other.counters
    assert [(key, p.handling) for key, p in one.calls.paused.items()] == [
        (key, p.handling) for key, p in other.calls.paused.items()
    ]
    assert [e.what for e in one.watch.journal.since(0)] == [e.what for e in other.watch.journal.since(0)]


def played(engines: Engines, ops: Sequence[tuple[str, int, int, str, bool]], always: bool) -> list[Any]:
    """What the policy said meanwhile. *always*: what is put off is done after each operation, else where they say."""
    runtime, waiting, running, said = engines.runtime, [], [], []
    for number, (what, which, size, tool, do) in enumerate(ops):
        match what:
            case "arrive":
                engines.arrive(f"r{number}", f"s{which}", size, tool)
                waiting.append(f"r{number}")
            case "start" if waiting:
                runtime.begin_step()
                name = runtime.first(1)[0]
                said.append(name)
                waiting.remove(name)
                running.append(name)
                engines.start(name)
            case "end" if running:
                engines.end(running.pop(which % len(running)), size, 400 + size)
            case "preempt" if running:
                name = running.pop(which % len(running))
                waiting.append(name)
                runtime.preempted(name, 400 + size)
                runtime.enqueue(name)
            case "step":
                runtime.begin_step()
                said.append(runtime.first(3))
            case "wait":
                engines.now += size / 100
            case "cost":
                runtime.observe(StepSample(size, size * size / 2, which, 100 * which, size / 1e4))
            case _:
                pass
        said.append((runtime.calls.ledger.tokens, runtime.counters["turns"]))
        if always or do:
            runtime.later.do()
        if do:
            said.append([paused.turn.call and paused.turn.call.duration for paused in runtime.calls.paused.values()])
    return said
