"""Live rows from vLLM's own scheduler: what they say holds a request is what held it."""

from __future__ import annotations

import json
from typing import Any

from policy_dsl.explain import explain
from policy_dsl.loading import load_text
from policy_dsl.saved import of_document
from tests.engine.stepping import Stepper
from tests.engine.test_scheduler import Make, make, prompt  # noqa: F401  (a fixture)


def state(engine: Stepper, *wanted: str) -> dict[str, Any]:
    answer = json.loads(engine.scheduler.lamps_command("state", json.dumps({"requests": wanted})))
    assert "error" not in answer, answer
    return answer


def held_by(engine: Stepper) -> dict[str, str]:
    return {name: row.get("held_by", "") for name, row in state(engine)["requests"].items()}


def test_seats(make: Make) -> None:  # noqa: F811
    engine = make("fcfs", seats=1)
    for name in ("runs", "next", "last"):
        engine.add(name, prompt(len(name), 20), 8)
    assert held_by(engine) == {"runs": "", "next": "behind runs", "last": "behind next"}  # no step has seen them
    engine.step()
    assert held_by(engine) == {"next": "seats", "last": "behind next"}
    assert list(state(engine)["running"]) == ["runs"]


def test_memory(make: Make) -> None:  # noqa: F811
    engine = make("fcfs", blocks=33)  # 512 tokens
    engine.add("runs", prompt(1, 300), 20)
    engine.step()
    engine.add("large", prompt(2, 300), 4)
    engine.step()
    assert held_by(engine) == {"large": "kv"}


def test_memory_that_a_pin_gave_back_is_not_short(make: Make) -> None:  # noqa: F811
    engine = make(blocks=33)
    engine.add("pinned", prompt(1, 300), 2, session="s", lamps_call_tool="search")
    engine.run()
    engine.add("large", prompt(2, 400), 4)
    engine.step()
    assert list(state(engine)["running"]) == ["large"]
    engine.add("late", prompt(3, 20), 4)
    assert held_by(engine) == {"late": ""}
    paused = state(engine)["paused"]["s"]
    assert (paused["handling"], paused["call.tool"]) == ("preserve", "search")


def test_a_pin_that_gave_way(make: Make) -> None:  # noqa: F811
    engine = make(blocks=33)
    engine.add("pinned", prompt(1, 300), 2, session="s", lamps_call_tool="search")
    engine.run()
    engine.add("large", prompt(2, 500), 4)
    engine.step()
    paused = state(engine)["paused"]["s"]
    assert (paused["handling"], paused["lost"]) == ("discard", "yielded_idle")


def test_a_preemption_is_short_memory(make: Make) -> None:  # noqa: F811
    engine = make("fcfs", blocks=21)  # 320 tokens
    engine.add("first", prompt(1, 140), 60)
    engine.add("second", prompt(2, 140), 60)
    while not engine.scheduler.lamps.counters["preemptions"]:
        engine.step()
    assert held_by(engine) == {"second": "kv"}


def test_the_token_budget(make: Make) -> None:  # noqa: F811
    engine = make("fcfs", blocks=129)
    engine.add("first", prompt(1, 900), 4)  # 512 tokens a step
    engine.add("second", prompt(2, 100), 4)
    engine.step()
    assert held_by(engine) == {"second": "token budget"}
    engine.step()
    assert held_by(engine) == {}


def test_the_state_is_explained_by_the_policy_that_it_brings(make: Make) -> None:  # noqa: F811
    engine = make("lamps", seats=1)
    engine.add("turn1", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    for name, tokens in (("runs", 20), ("long", 300), ("short", 30)):
        engine.add(name, prompt(tokens, tokens), 4)
        engine.step()
    document = state(engine)
    loaded = load_text(document["policy"]["text"])
    assert loaded.policy is not None, loaded.diagnostics
    found = explain(loaded, of_document(loaded, document))
    assert found.order == ("short", "long")
    assert [one.held_by for one in found.waiting] == ["seats", "behind short"]
    assert [one.name for one in found.running] == ["runs"]
    (paused,) = found.paused
    assert paused.of_then and paused.decided.handlings.startswith(paused.handling)
