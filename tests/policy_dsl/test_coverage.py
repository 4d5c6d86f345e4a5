"""Which choices of a policy its tests took."""

from __future__ import annotations

from policy_dsl.coverage import Coverage, run_covered
from policy_dsl.loading import load_text

HEAD = 'lamps 1\npolicy p "t"\n'


def covered(rules: str, test: str) -> Coverage:
    loaded = load_text(f'{HEAD}{rules}\ntest "it" {{ {test} }}')
    assert not loaded.diagnostics, loaded.diagnostics
    results, coverage = run_covered(loaded)
    assert all(r.passed for r in results), results
    return coverage


def missed(rules: str, test: str) -> list[str]:
    return [p.what for p in covered(rules, test).missed]


TWO = "request a {} request b { request.arrival: 1s, request.context: 2tok } expect rank a, b"
ARMS = "on call least { preserve: call.duration discard: 2s swap: 9s }"


def test_the_arm_that_was_chosen():
    test = "request a { call.duration: 1s } expect a on call preserve"
    assert missed(ARMS, test) == ["arm `discard`", "arm `swap`"]


def test_a_statement_that_nothing_asks():
    assert missed(f"rank request.arrival\n{ARMS}", "request a {} expect a.request.arrival == a.request.arrival") == [
        "`rank`", "`on call`", "arm `preserve`", "arm `discard`", "arm `swap`",
    ]  # fmt: skip


def test_what_is_foreseen_is_decided_where_a_call_is_likely():
    rules = f"{ARMS}\nrank match handling {{ preserve: 1, discard, swap: 2, none: 3 }}, request.arrival"
    likely = "request a { call.chance: 1, call.duration: 1s } request b { request.arrival: 1s, call.chance: 1 }"
    both = missed(rules, f"{likely} expect rank a, b")
    assert both == ["`on call`", "arm `discard`", "arm `swap`", "case `discard`, `swap`", "the last case"]
    unlikely = "request a { call.duration: 1s } request b { request.arrival: 1s } expect rank a, b"
    assert "arm `preserve`" in missed(rules, unlikely)


def test_both_answers_of_promote():
    rules = "rank request.context\npromote when request.waited > 5s"
    small = "request a { request.context: 3tok } request b { request.context: 9tok"
    assert missed(rules, f"{small} }} expect rank a, b") == ["`promote` holding"]
    assert missed(rules, f"{small}, request.waited: 6s }} expect rank b, a") == []


def test_branches_are_those_that_count():
    inner = "if request.context > 5tok { 2 } else { 3 }"
    rules = f"rank if request.generated > 0 {{ {inner} }} else {{ 1 }}, request.context"
    test = "request a { request.context: 1tok } request b { request.context: 2tok } expect rank a, b"
    # the inner one has a value all the same, but it decides nothing
    assert missed(rules, test) == ["`if` holding", "`if` holding", "`if` not holding"]


def test_cases_of_texts():
    rules = 'on call match call.tool { "bash", "web_*": discard "ask": preserve _: swap }'
    test = 'request a { call.tool: "ask" } expect a on call preserve'
    assert missed(rules, test) == ['case "bash", "web_*"', "the last case"]


def test_given_params_count_too():
    rules = f"param most = 2s in 1s..9s\n{ARMS.replace('2s', 'most')}"
    test = "given { most: 1s } request a { call.duration: 1.5s } expect a on call discard"
    assert missed(rules, test) == ["arm `preserve`", "arm `swap`"]


def test_the_prelude_and_shipped_lets_are_no_points_of_their_own():
    rules = "rank prefill_area(request.context, 0)"
    assert [p.what for p in covered(rules, TWO).points] == ["`rank`"]


def test_classes():
    rules = 'class gold when tenant.name == "g" { weight: 2 }\nclass rest { weight: 1 }\nrank class.weight'
    assert missed(rules, TWO) == ["`class gold`"]
