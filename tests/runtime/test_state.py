"""Live rows as a saved state: what is in them, what is not, and that they explain what the engine does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from engine_adapter.control.naming import means
from engine_adapter.runtime import state as states
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.held import Holding
from engine_adapter.runtime.state import state
from policies import shipped
from policy_dsl.explain import explain
from policy_dsl.loading import load, load_text
from policy_dsl.saved import HELD_BY, of_document
from tests.runtime.test_core import World, arrive, finish, runtime_of, world  # noqa: F401  (fixtures)

Make = Callable[[str], Runtime]
RULES = (
    "hint critical = 0 in 0..1\nparam patience = 20s in 1s..1h\nrank highest hint.critical, request.context\n"
    "promote when request.waited >= patience\n"
    "on call least { preserve: call.duration * call.context\n discard: 2s * call.context }\nlimit pinned <= 50%"
)


def explained(document: dict[str, object]):
    """By the policy that the state brings, through JSON."""
    document = json.loads(json.dumps(document, allow_nan=False))
    loaded = load_text(document["policy"]["text"])
    assert loaded.policy is not None, loaded.diagnostics
    return explain(loaded, of_document(loaded, document | {"params": document["policy"]["params"]}))


@pytest.fixture
def busy(world: World, runtime_of: Make) -> Runtime:  # noqa: F811
    runtime = runtime_of(RULES)
    for name, tokens, seconds in (("quick", 400, 1.0), ("slow", 400, 9.0), ("large", 6_000, 1.0)):
        arrive(runtime, f"{name}1", tokens, session=name, lamps_call_tool="t", lamps_call_duration_s=seconds)
        finish(runtime, f"{name}1", tokens)
    world.now = 3.0
    runtime.begin_step()
    for name, tokens, critical in (("chatcmpl-long", 900, 0.0), ("chatcmpl-short", 100, 0.0), ("vip", 950, 7)):
        arrive(runtime, name, tokens, session=f"of {name}", lamps_hint_critical=critical)
    world.now = 5.0
    runtime.begin_step()
    return runtime


def test_the_order_and_the_values_are_those_of_the_engine(busy: Runtime) -> None:
    found = explained(state(busy, [], Holding("seats")))
    assert list(found.order) == busy.first(3) == ["vip", "chatcmpl-short", "chatcmpl-long"]
    places = {place.id: place.keys for place in busy.places(3)}
    for one in found.waiting:
        signed = [-k.value if h else k.value for k, h in zip(one.standing.keys, one.standing.highest, strict=True)]
        assert tuple(signed) == places[one.name]
    assert [one.held_by for one in found.waiting] == ["seats", "behind vip", "behind chatcmpl-short"]
    assert found.waiting[0].session == "of vip"
    assert found.waiting[1].promote.changes[0].now == 2.0


def test_a_decision_is_explained_from_the_values_of_then(busy: Runtime) -> None:
    found = {one.name: one for one in explained(state(busy, [], Holding())).paused}
    assert {name: (one.handling, one.of_then) for name, one in found.items()} == {
        "quick": ("preserve", True), "slow": ("discard", True), "large": ("discard", True),
    }  # fmt: skip
    assert [(o.cost.value, o.why, o.chosen) for o in found["large"].decided.options] == [
        (6_000.0, "the engine cannot preserve now", False), (12_000.0, "", True),
    ]  # fmt: skip
    assert (found["large"].held_by, found["slow"].held_by) == ("limit pinned", "")


def test_why_a_pin_is_gone_is_told(busy: Runtime) -> None:
    (pin,) = busy.calls.yield_order(spare="")
    busy.calls.shrink(pin, 10_000, len, "yielded_running")
    found = {one.name: one for one in explained(state(busy, [], Holding())).paused}
    assert (found["quick"].handling, found["quick"].lost) == ("discard", "yielded_running")
    assert found["quick"].decided.handlings == "preserve"


def test_running_rows_and_params(busy: Runtime) -> None:
    busy.dequeue("vip")
    busy.admitted({"vip": 0})
    found = explained(state(busy, ["vip", "unknown"], Holding()))
    assert [one.name for one in found.running] == ["vip"] and "vip" not in found.order
    assert found.limits[0].bound == 5_000.0


@pytest.mark.parametrize("path", shipped().values(), ids=lambda p: p.stem)
def test_any_policy_can_explain_it(busy: Runtime, path) -> None:
    loaded = load(path)
    found = explain(loaded, of_document(loaded, json.loads(json.dumps(state(busy, [], Holding())))))
    assert len(found.order) == 3 and len(found.paused) == 3


def test_what_is_left_out_is_counted_and_what_is_asked_for_is_not(
    busy: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "LISTED", 1)
    assert list(state(busy, [], Holding())["requests"]) == ["vip"]
    asked = state(busy, [], Holding(), ["long", "slow"])
    assert list(asked["requests"]) == ["vip", "chatcmpl-short", "chatcmpl-long"]
    assert list(asked["paused"]) == ["quick", "slow"]
    assert asked["left_out"] == {"requests": 0, "paused": 1}
    assert explained(asked).left_out == (("requests", 0), ("paused", 1))


def test_a_rank_that_fails_or_is_no_number_is_a_fault(world: World, runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.cached / request.generated")
    arrive(runtime, "a")
    rows = state(runtime, [], Holding("kv"))["requests"]
    assert rows["a"]["held_by"] == "fault"
    runtime.table.places = lambda *_: 1 / 0  # type: ignore[method-assign]
    assert state(runtime, [], Holding("kv"))["requests"]["a"]["held_by"] == "fault"


def test_a_request_that_no_step_has_seen_is_held_by_nothing(world: World, runtime_of: Make) -> None:  # noqa: F811
    runtime = runtime_of("rank request.arrival")
    runtime.begin_step()
    arrive(runtime, "new")
    assert "held_by" not in state(runtime, [], Holding("seats"))["requests"]["new"]
    runtime.begin_step()
    assert state(runtime, [], Holding("seats"))["requests"]["new"]["held_by"] == "seats"


def test_a_request_whose_kv_is_loading_is_in_it(busy: Runtime) -> None:
    busy.dequeue("vip")
    rows = state(busy, [], Holding("", frozenset({"vip"})))["requests"]
    assert rows["vip"]["held_by"] == "loading"
    assert "loading" in HELD_BY


def test_no_tokens_and_no_text_of_the_client_leave(busy: Runtime) -> None:
    arrive(busy, "odd", lamps_hint_note="the prompt itself", lamps_hint_critical=1.0)
    row = state(busy, [], Holding())["requests"]["odd"]
    assert "prompt itself" not in json.dumps(row)
    assert row["hint.critical"] == 1.0
    assert all(isinstance(v, int | float | str | bool | dict) for v in row.values())


@pytest.mark.parametrize(
    ("name", "yes"), [("chatcmpl-ab", True), ("ab", True), ("s1", True), ("b", False), ("s", False), ("", False)]
)
def test_what_people_call_a_request(name: str, yes: bool) -> None:
    assert means(name, "chatcmpl-ab12-cafe", "s1") is yes
