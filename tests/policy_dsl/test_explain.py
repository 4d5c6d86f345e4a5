"""Why a request stands where it does: trees, what would change it, and situations from documents."""

from __future__ import annotations

import math
from itertools import takewhile

import pytest

from policies import shipped
from policy_dsl import nodes
from policy_dsl.contributions import Part
from policy_dsl.explain import ExplainedWaiting, explain
from policy_dsl.inversion import Change
from policy_dsl.loading import Loaded, load, load_text
from policy_dsl.saved import of_document
from policy_dsl.situation import StateError, of_test
from policy_dsl.testing import run_tests

HEAD = 'lamps 1\npolicy p "t"\n'


def loaded(rules: str) -> Loaded:
    made = load_text(HEAD + rules)
    assert not made.diagnostics, made.diagnostics
    return made


def explained(rules: str, requests: dict[str, object], **more: object) -> dict[str, ExplainedWaiting]:
    policy = loaded(rules)
    found = explain(policy, of_document(policy, {"requests": requests, **more})).waiting
    return {one.name: one for one in found}


def outline(part: Part) -> list[tuple[str, float]]:
    return [(p.text, p.value) for p in part.parts]


def test_terms_have_their_share_and_signs_do_not_cancel():
    rules = "rank request.context - request.generated + request.cached"
    row = {"request.context": 600, "request.generated": 300, "request.cached": 100}
    (key,) = explained(rules, {"a": row})["a"].standing.keys
    assert (key.value, key.unit) == (400.0, "tokens")
    assert [(p.text, p.share, p.note) for p in key.parts] == [
        ("request.context", 0.6, ""), ("request.generated", 0.3, "subtracted"), ("request.cached", 0.1, ""),
    ]  # fmt: skip


def test_names_are_those_of_the_policy_with_what_they_stand_for_below():
    rules = "param f = 3 in 1..9\nlet size(x) = x * f\nlet all = size(request.context) / 2\nrank all"
    (key,) = explained(rules, {"a": {"request.context": "10tok"}})["a"].standing.keys
    assert (key.text, key.value, key.how) == ("all", 15.0, "product")
    assert outline(key) == [("size(request.context)", 30.0), ("2", 2.0)]
    assert outline(key.parts[0]) == [("x", 10.0), ("f", 3.0)]


def test_equals_that_give_way_are_told_apart_as_the_engine_adapter_does():
    policy = loaded("on call preserve for 30s\nyield call.context")
    paused = {"short": {"call.duration": "5s"}, "long": {"call.duration": "20s"}}
    standing = {one.name: one.yields for one in explain(policy, of_document(policy, {"paused": paused})).paused}
    assert standing["long"] is not None and standing["long"].place == 1
    behind = standing["short"]
    assert behind is not None and behind.ahead is not None
    assert (behind.ahead.name, behind.ahead.decides) == ("long", "rest")


def test_a_test_s_running_request_is_promoted_as_the_test_has_it():
    text = "rank request.context\npromote when request.waited > 5s\nvictim request.context"
    rows = "request a { request.waited: 6s } request b { request.context: 9tok } expect victim b, a"
    policy = load_text(f'{HEAD}{text}\ntest "it" {{ {rows} }}')
    assert all(result.passed for result in run_tests(policy))
    places = {one.name: one.victim for one in explain(policy, of_test(policy, "it")).running}
    assert places["b"] is not None and places["b"].place == 1
    assert places["a"] is not None and places["a"].ahead is not None and places["a"].ahead.decides == "promote"


def test_only_the_branch_that_counts_is_followed():
    rules = 'rank match call.tool { "bash": request.context, "web_*": request.cached, _: 0 }, request.arrival'
    (key, _) = explained(rules, {"a": {"call.tool": "web_get", "request.cached": 7}})["a"].standing.keys
    assert (key.value, key.note) == (7.0, 'case "web_*"')
    assert outline(key) == [("call.tool", "web_get"), ("request.cached", 7.0)]


def test_the_key_that_decides_and_what_would_change_it():
    rules = "rank request.priority, request.context + 2 * request.generated\npromote when request.waited >= 5s"
    found = explained(rules, {"a": {"request.context": 100}, "b": {"request.prompt": 90, "request.generated": 10}})
    assert [found[n].standing.place for n in "ab"] == [1, 2]
    ahead = found["b"].standing.ahead
    assert ahead is not None
    assert (ahead.name, ahead.decides) == ("a", "request.context + 2 * request.generated")
    assert (ahead.mine.value, ahead.theirs.value) == (120.0, 100.0)
    assert ahead.changes == (
        Change("request.priority", 0.0, "less than", 0.0, ""),
        Change("request.context", 100.0, "less than", 80.0, "tokens"),
        Change("request.waited", 0.0, "at least", 5.0, "seconds"),
    )


def test_a_param_may_be_what_decides():
    rules = "param most = 10s in 1s..1h\nrank request.arrival\npromote when request.waited >= most"
    rows = {"a": {"request.waited": 11, "request.arrival": 3}, "b": {"request.arrival": 2}}
    ahead = explained(rules, rows)["b"].standing.ahead
    assert ahead is not None and ahead.decides == "promote"
    assert Change("most", 10.0, "more than", 11.0, "seconds") in ahead.changes


def test_what_is_not_monotone_has_no_single_value():
    rules = "rank abs(request.priority - 3) < 1, request.arrival"
    rows = {"a": {"request.priority": 9}, "b": {"request.priority": 3, "request.arrival": -1}}
    ahead = explained(rules, rows)["b"].standing.ahead
    assert ahead is not None and ahead.changes == (Change("request.priority", 3.0, "", None, ""),)


def test_what_would_change_it_does():
    """Every value that is named, put in, reverses the two."""
    policy = load(shipped()["lamps"])
    rows = {
        "a": {"request.context": 500, "predict.output": 100},
        "b": {"request.context": 500, "predict.output": 100, "call.chance": 1, "call.duration": 1},
    }
    engine = {"engine.running_tokens": 60_000}
    (one,) = explain(policy, of_document(policy, {"requests": rows, "engine": engine}), ["b"]).waiting
    assert one.standing.ahead is not None
    told = [c for c in one.standing.ahead.changes if c.what.startswith("request")]
    assert {c.what for c in told} >= {"request.context", "request.pinned", "request.waited"}
    for change in told:
        assert change.needed is not None
        step = {"more than": 1e-3, "less than": -1e-3}.get(change.bound, 0.0)
        row = {"call.context": 600, **rows["b"], change.what: change.needed + step}
        situation = of_document(policy, {"requests": {**rows, "b": row}, "engine": engine})
        assert explain(policy, situation).waiting[0].name == "b", change


def test_every_arm_has_its_price_and_what_excludes_it():
    rules = "on call least { preserve: 2s when call.last, swap: 1s, discard: call.duration }"
    found = explained(rules, {"a": {"call.duration": 3, "call.chance": 0.4}}, engine={"engine.can_swap": False})
    foreseen = found["a"].foreseen
    assert (foreseen.answer.handlings, foreseen.chance, foreseen.likely) == ("discard", 0.4, False)
    assert [(o.text, o.cost.value, o.why, o.chosen) for o in foreseen.answer.options] == [
        ("preserve", 2.0, "`call.last` does not hold", False),
        ("swap", 1.0, "the engine cannot swap now", False),
        ("discard", 3.0, "", True),
    ]


def test_nan_is_last_and_shown():
    rules = "rank request.cached / request.generated"
    found = explained(rules, {"a": {}, "b": {"request.cached": 1}})
    assert [one.name for one in found.values()] == ["b", "a"]
    assert math.isnan(found["a"].standing.keys[0].value)


@pytest.mark.parametrize("path", shipped().values(), ids=lambda p: p.stem)
def test_the_order_is_that_of_the_tests_of_every_shipped_policy(path):
    policy = load(path)
    assert all(r.passed for r in run_tests(policy))
    asked = 0
    for test in policy.tests:
        if any(getattr(s, "paused", False) for s in test.steps):
            continue
        now = takewhile(lambda step: not isinstance(step, nodes.At), test.steps)  # a situation is the test's start
        for step in (s for s in now if type(s).__name__ == "ExpectRank" and s.rule == "rank"):
            found = [one.name for one in explain(policy, of_test(policy, test.name)).waiting if one.name in step.names]
            assert tuple(found) == step.names, test.name
            asked += 1
    assert asked


def test_a_policy_that_extends_another_is_explained_in_its_words():
    found = explained("extends lamps", {"a": {"request.context": 5}})
    assert [k.text for k in found["a"].standing.keys][1] == "before + during + after"


def test_hints_and_classes_are_part_of_a_situation():
    rules = (
        'hint critical = 0 in 0..1\nclass gold when tenant.name == "g" { weight: 2 }\nclass rest { weight: 1 }\n'
        "rank highest class.weight, highest hint.critical"
    )
    found = explained(rules, {"a": {"hint.critical": 0.5}, "b": {"tenant.name": "g"}, "c": {"hint.critical": 7}})
    assert {n: [k.value for k in one.standing.keys] for n, one in found.items()} == {
        "b": [2.0, 0.0], "c": [1.0, 1.0], "a": [1.0, 0.5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a state should be a mapping"),
        ({"request": {}}, "a state has no `request`"),
        ({}, "the state has no requests"),
        ({"requests": {"a": {"request.contxt": 1}}}, "unknown signal `request.contxt`"),
        ({"requests": {"a": {"engine.running": 1}}}, "`engine.running` belongs in `engine`"),
        ({"requests": {"a": {"request.context": "5s"}}}, "`request.context` is tokens, '5s' is not"),
        ({"requests": {"a": {"request.context": "5 potatoes"}}}, "is no quantity"),
        ({"requests": {"a": {"request.context": True}}}, "`request.context` is tokens, not True"),
        ({"requests": {"a": {"request.context": -1}}}, "`request.context` lies in 1..inf"),
        ({"requests": {"a": {"call.last": 1}}}, "`call.last` is true or false"),
        ({"requests": {"a": {"call.duration": {"p50": 3, "p90": 2}}}}, "not above p90"),
        ({"requests": {"a": {"request.context": {"p50": 3, "p90": 5}}}}, "`request.context` cannot be"),
        ({"requests": {"a": {"held_by": "magic"}}}, "`held_by` is none of"),
        ({"requests": {"a": {"held_by": "limit "}}}, "`held_by` is none of"),
        ({"requests": {"a": {}}, "params": {"nothing": 1}}, "the policy has no param `nothing`"),
    ],
)
def test_a_state_that_is_none(document, message):
    with pytest.raises(StateError, match=message.replace("[", r"\[").replace(".", r"\.")):
        of_document(loaded("rank request.arrival"), document)


def test_what_holds_a_request_is_passed_on():
    rows = {"a": {"held_by": "limit batch.running"}, "b": {"held_by": "token budget"}, "c": {}}
    found = explained("rank request.arrival", rows)
    assert [found[n].held_by for n in "abc"] == ["limit batch.running", "token budget", ""]


def test_a_test_that_is_not_there():
    with pytest.raises(StateError, match="no test 'waitin promotes'") as problem:
        of_test(load(shipped()["lamps"]), "waitin promotes")
    assert "waiting promotes" in problem.value.help
