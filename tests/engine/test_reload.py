"""Another policy in the middle of traffic, on vLLM's own scheduler: nobody is lost, nothing is left behind."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.runtime import compiling
from engine_adapter.runtime.activation import compiled
from engine_adapter.runtime.guard import MOST_FAILURES
from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from lamps_cli.exit_codes import ExitCode
from policy_dsl.compiled import CompiledPolicy
from tests.cli.running import lamps
from tests.engine.stepping import Clock, Stepper, vllm_config
from tests.engine.test_scheduler import free, prompt, status

POLICIES = [
    'lamps 1\npolicy keep "K."\nrank request.arrival\non call preserve\nlimit pinned <= 30%\n',
    'lamps 1\npolicy last "L."\nrank highest request.arrival\non call preserve for 1s\nwhile paused every 1step again\n'
    "promote when request.waited > 300ms\nyield call.elapsed\n",
    'lamps 1\npolicy short "S."\nrank request.uncached, request.fcfs_wait\non call at arrival preserve for 100ms\n',
    'lamps 1\npolicy gated "G."\nrank request.arrival\nadmit when engine.running_tokens <= 300tok\n'
    "limit running <= 1\n",
    'lamps 1\npolicy nan "N."\nrank (request.age - request.age) / (request.age - request.age)\non call discard\n',
]


def engine_of(base: type[Scheduler], blocks: int = 40, seats: int = 2, **lamps_settings: Any) -> Stepper:
    clock = Clock()
    config = vllm_config(blocks, seats, {"policy": "fcfs", **lamps_settings})
    return Stepper(make_scheduler(timed(base, clock), config), clock)


def tell(engine: Stepper, name: str, **payload: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(engine.scheduler.lamps_command(name, json.dumps(payload)))
    return answer


def reload(engine: Stepper, text: str, **how: Any) -> dict[str, Any]:
    prepared = tell(engine, "prepare", text=text)
    assert "trial" in prepared, prepared
    return tell(engine, "commit", revision=prepared["policy"]["revision"], **how)


def test_the_queue_is_ordered_anew_and_promotions_stay() -> None:
    engine = engine_of(LampsScheduler, seats=1)
    reload(engine, 'lamps 1\npolicy once "P."\nrank request.arrival\npromote when request.context >= 200tok\n')
    engine.add("first", prompt(0, 20), 30)
    engine.step()
    for name, tokens in (("large", 300), ("a", 100), ("b", 60), ("c", 20)):
        engine.add(name, prompt(tokens, tokens), 4)
    engine.step()
    assert status(engine)["waiting"][0]["promoted"]  # as of this ranking
    dry = tell(engine, "prepare", text='lamps 1\npolicy short "P."\nrank request.context\n')
    assert (dry["trial"]["waiting"], dry["trial"]["moved"]) == (4, 2)  # a and c change places
    assert status(engine)["policy"]["name"] == "once"
    reload(engine, 'lamps 1\npolicy short "P."\nrank request.context\n')  # steady, as it reads nothing of a step
    assert status(engine)["policy"]["name"] == "short"
    engine.run()
    assert engine.order == ["first", "large", "c", "b", "a"]


def test_pins_stay_within_the_new_limits() -> None:
    engine = engine_of(LampsScheduler, blocks=81, seats=4)
    reload(engine, 'lamps 1\npolicy all "P."\nrank request.arrival\non call preserve\n')
    for n in range(4):
        engine.add(f"t{n}", prompt(n, 150), 11, session=f"s{n}", lamps_call_tool="x")
    engine.run()
    held = status(engine)["pins"]["tokens"]
    assert held == 4 * 160
    reload(engine, POLICIES[0])
    assert status(engine)["pins"]["tokens"] == 0.3 * 80 * 16
    assert tell(engine, "off")["state"] == "off"
    assert status(engine)["pins"]["count"] == 0 and free(engine) == 80
    assert status(engine)["guard"] | {"revision": ""} == {
        "state": "off", "reason": "told to", "chosen": "keep", "revision": "", "on_trial": False
    }  # fmt: skip


def test_what_lies_in_the_cache_is_looked_up_for_who_came_before() -> None:
    engine = engine_of(LampsScheduler, blocks=80, seats=1)
    engine.add("one", prompt(1, 160), 2)
    engine.run()
    engine.add("runs", prompt(2, 20), 20)
    engine.step()
    engine.add("new", prompt(3, 100), 2)
    engine.add("again", prompt(1, 160), 2)
    reload(engine, 'lamps 1\npolicy found "P."\nrank request.uncached\n')
    engine.run()
    assert engine.order[-2:] == ["again", "new"]


def test_a_bad_policy_changes_nothing() -> None:
    engine = engine_of(LampsScheduler)
    before = status(engine)["policy"]
    assert "has errors" in tell(engine, "prepare", text="lamps 1\npolicy x\nrank 3tok > 2s")["refused"]
    assert "no param" in tell(engine, "prepare", params=["none=1"])["refused"]
    assert "another policy" in tell(engine, "commit", revision="000000000000")["refused"]
    assert "no shadow" in tell(engine, "prepare", promote=True)["refused"]
    assert status(engine)["policy"] == before


CLASSES = """lamps 1
policy classed "C."
class vip when tenant.name == "v" { weight: 5 }
class rest { weight: 1 }
rank request.context / class.weight
"""


def test_a_trial_sees_the_classes_that_the_policy_would_give() -> None:
    engine = engine_of(LampsScheduler, seats=1)
    engine.add("runs", prompt(0, 20), 30)
    engine.step()
    engine.add("plain", prompt(1, 100), 3, lamps_tenant="x")
    engine.add("vip", prompt(2, 200), 3, lamps_tenant="v")
    assert tell(engine, "prepare", text=CLASSES)["trial"]["first"] == ["vip", "plain"]
    assert {turn.session.class_name for turn in engine.scheduler.lamps.turns.values()} == {""}  # nothing is changed
    reload(engine, CLASSES, shadow=True)
    for _ in range(3):
        engine.step()
    shadow = status(engine)["shadow"]
    assert shadow["rank"] == {"compared": 1, "differing": 1} and shadow["failures"] == 0
    reload(engine, CLASSES)
    engine.run()
    assert engine.order == ["runs", "vip", "plain"]


def test_params_are_set() -> None:
    engine = engine_of(LampsScheduler)
    reload(engine, 'lamps 1\npolicy p "P."\nparam patience = 5s in 1s..60s\nrank request.arrival + patience\n')
    before = status(engine)["policy"]
    prepared = tell(engine, "prepare", params=["patience=7s"])
    tell(engine, "commit", revision=prepared["policy"]["revision"])
    after = status(engine)["policy"]
    assert after["params"] == {"patience": 7.0} and after["revision"] != before["revision"]
    assert "1..60" in tell(engine, "prepare", params=["patience=2min"])["refused"]


def test_an_ejected_policy_leaves_a_state_that_explain_reads(tmp_path: Path) -> None:
    engine = engine_of(LampsScheduler, seats=1, dumps=str(tmp_path))
    reload(engine, POLICIES[-1], trial_s=0)
    engine.add("runs", prompt(0, 20), 80)
    for n in range(3):
        engine.add(f"waits{n}", prompt(n, 50), 4)
    # A seat must be free for the order to be asked for.
    for _ in range(int(MOST_FAILURES)):
        engine.step()
        engine.scheduler.lamps.first(1)
    engine.step()
    frame = status(engine)
    assert frame["guard"]["state"] == "ejected" and frame["guard"]["chosen"] == "nan"
    assert frame["policy"]["name"] == "built_in"
    (dumped,) = tmp_path.iterdir()
    done = lamps("explain", dumped)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "waits2" in done.stdout
    engine.run()
    assert len(engine.finished) == 4


def test_a_shadow_is_counted_and_has_no_effect() -> None:
    engine = engine_of(LampsScheduler, seats=1)
    shadow = 'lamps 1\npolicy other "P."\nrank highest request.arrival\non call preserve\n'
    assert reload(engine, shadow, shadow=True)["shadow"]["name"] == "other"
    for n in range(6):
        engine.add(f"r{n}", prompt(n, 30), 60, session=f"s{n}", lamps_call_tool="x")
    engine.run()
    assert engine.order == [f"r{n}" for n in range(6)]
    seen = status(engine)["shadow"]
    assert seen["on_call"] == {"compared": 6, "differing": 6}
    assert 2 <= seen["rank"]["compared"] == seen["rank"]["differing"] <= 4  # once a second
    assert status(engine)["pins"]["count"] == 0
    assert any(entry["kind"] == "shadow" for entry in status(engine)["decisions"])
    prepared = tell(engine, "prepare", promote=True)
    assert tell(engine, "commit", revision=prepared["policy"]["revision"])["shadow"] is None
    assert (status(engine)["policy"]["name"], status(engine)["shadow"]) == ("other", None)


def test_steps_go_on_while_a_policy_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(LampsScheduler, seats=1)
    go_on = Event()

    def slowly(text: str, path: str, words: Sequence[str]) -> CompiledPolicy:
        assert go_on.wait(60)
        return compiled(text, path, words)

    monkeypatch.setattr(compiling, "compiled", slowly)
    engine.add("runs", prompt(0, 20), 40)
    short = {"text": 'lamps 1\npolicy short "P."\nrank request.context\n', "path": "short.lamps"}
    assert tell(engine, "compile", **short) == {"pending": True}
    for _ in range(5):
        assert engine.step()
    assert status(engine)["pending"] == "short.lamps"
    assert status(engine)["policy"]["name"] == "fcfs"
    go_on.set()
    while tell(engine, "compile", **short)["pending"]:
        engine.step()
    assert status(engine)["pending"] == ""
    prepared = tell(engine, "prepare", **short)
    tell(engine, "commit", revision=prepared["policy"]["revision"])
    assert status(engine)["policy"]["name"] == "short"
    engine.run()


def test_in_a_storm_of_reloads_the_last_that_was_told_to_decides() -> None:
    """Two people reload as fast as they can, each in three steps; what one prepares the other may overtake."""
    engine, chance = engine_of(LampsScheduler, seats=2), random.Random(5)
    texts = [f'lamps 1\npolicy p{n} "P."\nrank {"highest " * (n % 2)}request.context\n' for n in range(6)]
    standing: list[tuple[str, dict[str, Any]]] = []  # each one's next command
    in_force, refused = "fcfs", 0
    for n in range(400):
        if n % 4 == 0:
            engine.add(f"r{n}", prompt(n, 10 + n % 90), 1 + n % 9)
        while len(standing) < 2:
            standing.append(("compile", {"text": chance.choice(texts), "path": "p.lamps"}))
        what, payload = standing.pop(chance.randrange(2))
        answer = tell(engine, what, **payload)
        if "refused" in answer:
            assert what == "commit"
            refused += 1
        elif what == "compile":
            standing.append(("compile" if answer["pending"] else "prepare", payload))
        elif what == "prepare":
            assert f"policy {answer['policy']['name']} " in payload["text"]
            standing.append(("commit", {"revision": answer["policy"]["revision"]}))
        else:
            assert answer["policy"]["revision"] == payload["revision"]
            in_force = answer["policy"]["name"]
        assert status(engine)["policy"]["name"] == in_force
        engine.step()
    engine.run()
    assert len(engine.finished) == 100
    assert refused > 5 and status(engine)["counters"]["reloads"] > 20


EVENTS = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 20)),
    st.tuples(st.just("add"), st.integers(0, 10**6)),
    st.tuples(st.just("reload"), st.integers(0, len(POLICIES) - 1)),
    st.tuples(st.just("shadow"), st.integers(0, len(POLICIES) - 1)),
    st.tuples(st.just("abort"), st.integers(0, 10**6)),
    st.tuples(st.sampled_from(["off", "on", "promote"]), st.just(0)),
)


@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=5, max_size=60))
def test_random_reloads_lose_nobody(
    base: type[Scheduler], events: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine = engine_of(base, dumps=str(tmp_path_factory.mktemp("dumps")))
    lengths: dict[str, int] = {}
    aborted: set[str] = set()
    for what, number in events:
        match what:
            case "step":
                for _ in range(number):
                    engine.step()
            case "add":
                name, lengths_now = f"r{len(lengths)}", 10 + number % 250
                lengths[name] = lengths_now
                engine.add(
                    name, prompt(number, lengths_now), 1 + number % 40, session=f"s{number % 5}", lamps_call_tool="x"
                )
            case "reload" | "shadow":
                reload(engine, POLICIES[number], shadow=what == "shadow")
            case "abort" if lengths:
                name = f"r{number % len(lengths)}"
                aborted |= {name} - engine.finished.keys()
                engine.abort(name)
            case "promote":
                tell(engine, "prepare", promote=True)
            case _:
                tell(engine, what)
        pool = engine.scheduler.kv_cache_manager.block_pool
        assert sum(len(pin.blocks) for pin in engine.scheduler.lamps.calls.ledger) <= pool.num_gpu_blocks
    engine.run()
    runtime = engine.scheduler.lamps
    assert lengths.keys() - aborted <= engine.finished.keys()
    for name, tokens in engine.finished.items():
        generated = tokens[lengths[name] :]
        assert generated == list(range(7, 7 + len(generated)))
    tell(engine, "off")
    assert not runtime.turns and len(runtime.table) == 0 and not runtime.calls.ledger
    assert free(engine) == 39
