"""The runner of tests that stand in policy files."""

from __future__ import annotations

import pytest

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS
from policy_dsl.loading import load_text
from policy_dsl.testing import TestResult, run_file, run_tests
from policy_dsl.worlds import engine_values, row_values
from tests.policy_dsl.test_compiled import POLICIES

HEAD = 'lamps 1\npolicy p "t"\n'


def run(rules: str, test: str) -> TestResult:
    loaded = load_text(f'{HEAD}{rules}\ntest "it" {{ {test} }}')
    assert not loaded.diagnostics, loaded.diagnostics
    (result,) = run_tests(loaded)
    return result


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.lamps")), ids=lambda p: p.stem)
def test_shipped_policies(path):
    results = run_file(path)
    assert results
    assert [f for r in results for f in r.failures] == []


def test_a_wrong_order_shows_the_ranks():
    result = run(
        "rank request.context\npromote when request.waited > 5s",
        "request a { request.context: 9tok } request b { request.context: 3tok } expect rank a, b",
    )
    (failure,) = result.failures
    assert failure.message == "expected a, b; the order is b, a"
    assert failure.values == (("b", "rank 3"), ("a", "rank 9"))
    assert not result.passed


@pytest.mark.parametrize(
    ("rank", "of_a", "of_b"),
    [
        ("highest request.context > 5tok, request.context", "highest true, 9", "highest false, 3"),
        ("request.context > 20tok, highest request.context", "false, highest 9", "false, highest 3"),
    ],
)
def test_keys_are_shown_as_the_policy_writes_them(rank, of_a, of_b):
    rows = "request a { request.context: 9tok } request b { request.context: 3tok }"
    (failure,) = run(f"rank {rank}", f"{rows} expect rank b, a").failures
    assert failure.values == (("a", f"rank {of_a}"), ("b", f"rank {of_b}"))


def test_promoted_rows_go_first():
    rows = "request a { request.context: 9tok, request.waited: 6s } request b { request.context: 3tok }"
    assert run("rank request.context\npromote when request.waited > 5s", f"{rows} expect rank a, b").passed


def test_an_order_must_not_depend_on_what_is_written_first():
    (failure,) = run("rank request.context", "request a {} request b {} expect rank a, b").failures
    assert "written first" in failure.message


VICTIMS = "rank request.context\npromote when request.waited > 5s\nvictim highest request.context"
LARGE_AND_SMALL = "request a {{ request.context: 9tok{} }} request b {{ request.context: 3tok }} expect victim {}"


@pytest.mark.parametrize(
    ("more", "order", "said"),
    [
        ("", "a, b", "victim highest 9"),
        (", request.waited: 6s", "b, a", "victim highest 9, promoted"),
        (", request.preemptions: 3", "b, a", "victim highest 9, preempted 3 times"),
    ],
)
def test_who_was_promoted_or_preempted_three_times_is_preempted_last(more, order, said):
    """As the engine adapter has it, whatever the policy says (runtime/victims.py)."""
    assert run(VICTIMS, LARGE_AND_SMALL.format(more, order)).passed
    other = ", ".join(order.split(", ")[::-1])
    (failure,) = run(VICTIMS, LARGE_AND_SMALL.format(more, other)).failures
    assert failure.message == f"expected {other}; the order is {order}"
    assert ("a", said) in failure.values


def test_without_victim_the_engine_chooses():
    (failure,) = run("rank request.context", LARGE_AND_SMALL.format("", "a, b")).failures
    assert "no `victim`" in failure.message


@pytest.mark.parametrize("order", ["a, b", "b, a"])
def test_equals_have_no_order_among_those_that_give_way(order):
    asked = f"request a {{}} request b {{}} expect victim {order}"
    paused = f"session a {{}} session b {{}} expect yield {order}"
    for rules, test in (("victim request.context", asked), ("yield call.context", paused), ("rank 1", paused)):
        (failure,) = run(rules, test).failures
        assert "written first" in failure.message


@pytest.mark.parametrize("rules", ["rank request.context", "yield call.context"])
def test_the_longest_rest_of_a_call_gives_way_first_where_nothing_else_is_said(rules):
    rows = "session a { call.duration: 9s } session b { call.duration: 30s }"
    assert run(rules, f"{rows} expect yield b, a").passed
    assert not run(rules, f"{rows} expect yield a, b").passed


def test_nan_goes_last():
    rules = "rank request.cached / request.generated"
    assert run(rules, "request a {} request b { request.cached: 1tok } expect rank b, a").passed


def test_a_wrong_call_shows_the_costs():
    (failure,) = run(
        "rank request.arrival\non call least { preserve for 3s then discard: call.duration discard: 2s }",
        "request a { call.duration: 1s } expect a on call discard",
    ).failures
    assert failure.message == "expected a on call discard; the answer is preserve for 3s then discard (line 4)"
    assert failure.values == (("preserve then discard", "1"), ("discard", "2"))


def test_a_duration_is_part_of_an_action():
    rules = "rank request.arrival\non call preserve for 3s then discard"
    assert run(rules, "request a {} expect a on call preserve for 3s then discard").passed
    assert not run(rules, "request a {} expect a on call preserve for 4s then discard").passed
    assert not run(rules, "request a {} expect a on call preserve").passed


def test_a_condition_shows_both_sides():
    test = "request a { call.duration: 0.3s } expect a.call.duration == 0.1s * 3 expect a.call.duration > 1s"
    (failure,) = run("rank request.arrival", test).failures
    assert failure.values == (("a.call.duration", "0.3"), ("1s", "1"))


def test_params_and_engine_are_given():
    decision = "on call if engine.running > most { discard } else { preserve }"
    rules = f"param most = 5 in 1..9\nrank request.arrival\n{decision}"
    test = "given { engine.running: 3, most: 2 } request a {} expect a on call discard"
    assert run(rules, test).passed
    assert run(rules, "given { engine.running: 3 } request a {} expect a on call preserve").passed


def fields(**given: object) -> list[nodes.Field]:
    return [nodes.Field(k.replace("__", "."), v, None) for k, v in given.items()]  # type: ignore[arg-type]


def test_values_that_follow():
    engine = engine_values(fields(engine__now=10.0, engine__can_swap=False))
    assert engine["allow.swap"] is False
    given = fields(request__prompt=40.0, request__generated=8.0, request__arrival=4.0, predict__output=5.0)
    row = row_values(given, engine)
    assert row["request.context"] == 48.0
    assert row["call.context"] == 53.0
    assert row["request.blocks"] == 3.0
    assert (row["request.age"], row["session.age"]) == (6.0, 6.0)
    back = row_values(fields(request__context=48.0, request__generated=8.0), engine)
    assert back["request.prompt"] == 40.0
    nothing = row_values(fields(request__generated=8.0), engine)
    assert (nothing["request.prompt"], nothing["request.context"]) == (1.0, 9.0)


def test_every_signal_has_a_value():
    engine = engine_values(())
    row = row_values((), engine)
    assert {s.name for s in SIGNALS.values()} <= row.keys() | engine.keys()


def test_predictions():
    row = row_values(fields(call__duration=2.0, call__response=nodes.Lognormal(10.0, 40.0)), engine_values(()))
    assert (row["call.duration.p99"], row["call.duration.known"], row["call.duration.sigma"]) == (2.0, True, 0.0)
    assert row["call.response.p50"] == pytest.approx(10.0)
    assert row["call.response.p90"] == pytest.approx(40.0)
    assert row["call.response"] > 10.0
    assert row["predict.output.known"] is False
    unknown = row_values(fields(call__duration=2.0, call__duration__known=False), engine_values(()))
    assert unknown["call.duration.known"] is False


def test_a_policy_with_errors_has_no_results():
    with pytest.raises(ValueError, match="has errors"):
        run_tests(load_text("lamps 1\nrank nothing"))
