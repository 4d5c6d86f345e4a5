"""What expressions mean: the values of lowered rules, and what each rule may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_dsl import ir, nodes
from policy_dsl.catalogue import SIGNALS
from policy_dsl.diagnostics import codes
from policy_dsl.functions import BUILTINS
from policy_dsl.interpret import evaluate
from policy_dsl.loading import load_text
from policy_dsl.names import nearest
from policy_dsl.rows import reads
from policy_dsl.types import Handling
from tests.policy_dsl.checking import ENGINE, HEAD, good, value, wrong

# --- arithmetic and built-ins


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 ^ 3 ^ 2", 512.0),
        ("(2 ^ 3) ^ 2", 64.0),
        ("-2 ^ 2", -4.0),
        ("10 - 3 - 2", 5.0),
        ("50% * 8", 4.0),
        ("1min - 30s", 30.0),
        ("if 1s < 2s { 3 } else { 4 }", 3.0),
        ("min(3s, 2s, 1min)", 2.0),
        ("max(3s, 0)", 3.0),
        ("clamp(9tok, 0, 4tok)", 4.0),
        ("abs(-2tok)", 2.0),
        ("sqrt(9s * 1s) + 1s", 4.0),
        ("floor(7 / 2) + ceil(7 / 2)", 7.0),
        ("log2(8) + log(exp(1))", 4.0),
        ("not (1 == 2) and 2 != 3 or false", True),
        ("prefill_time(100tok)", 100 * (1e-3 + 1e-6 * 50)),
        ("prefill_time(100tok, 40tok)", 100 * (1e-3 + 1e-6 * 90)),
        ("prefill_time(0 - 5tok, 40tok)", 0.0),
        ("prefill_time(100tok, 0 - 40tok)", 100 * (1e-3 + 1e-6 * 50)),
        ("decode_time(10tok)", 0.2),
        ("decode_time(0)", 0.0),
        ("swap_time(10tok)", 5e-3),
        ("prefill_area(100tok, 40tok)", 60 * (1e-3 + 1e-6 * 70) * 70),
        ("prefill_area(40tok, 100tok)", 0.0),
        ("decode_area(100tok, 10tok)", 0.2 * 105),
        ("aged(80tok, 5s, 5s)", 10.0),
    ],
)
def test_values(text: str, expected: float | bool) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-12)


def test_texts_are_matched_by_pattern_and_compared_whole() -> None:
    expr = 'match call.tool { "bash", "py*": 1  "user": 2  _: 3 }'
    assert [value(expr, call__tool=t) for t in ("bash", "bashful", "python", "py", "user", "")] == [1, 3, 1, 1, 2, 3]
    assert value('call.tool in ["a", "web_*"]', call__tool="web_search") is True
    assert value('"a" != call.tool', call__tool="a") is False


def test_an_instant_less_an_instant_is_a_duration() -> None:
    expr = "engine.now - request.arrival + 1s"
    assert evaluate(good(f"rank {expr}").rank[0].expr, {"request.arrival": 3.0}, {"engine.now": 10.0}, {}) == 8.0
    assert good("rank request.arrival + 1s").rank[0].expr.type.kind.value == "instant"


@pytest.mark.parametrize("zero", ["0 < request.age", "request.arrival + 0 < engine.now", "max(0, request.context) > 0"])
def test_the_literal_zero_fits_every_unit(zero: str) -> None:
    good(f"promote when {zero}")


@pytest.mark.parametrize(
    "almost", ["0s < request.context", "1 < request.context", "0% < request.context", "(0 + 0) < request.context"]
)
def test_only_the_literal_zero_does(almost: str) -> None:
    assert [code for code, _ in wrong(f"promote when {almost}")] == [codes.UNITS]


def test_a_let_used_twice_is_one_node() -> None:
    policy = good("let a = request.age * 2\nlet f(x) = x + 1s\nrank f(a) / f(a), a")
    quotient = policy.rank[0].expr
    assert isinstance(quotient, ir.Binary) and quotient.left is quotient.right


def test_arguments_without_a_type_take_any_unit_and_are_checked_at_each_use() -> None:
    good("let twice(x) = x + x\nrank twice(1s), twice(1tok)")
    found = load_text(HEAD + "let more(x) = x + 1s\nrank more(1s), more(1tok)").diagnostics
    assert [(d.code, d.span.line, d.span.column) for d in found] == [(codes.UNITS, 4, 16)]
    assert {label.span.line for label in found[0].labels} == {3}


def test_a_function_sees_what_is_defined_before_it_not_what_surrounds_its_call() -> None:
    assert value("1") == 1.0
    policy = good("let k = 2\nlet f(x) = x * k\nlet g(k) = f(k)\nrank g(10)")
    assert evaluate(policy.rank[0].expr, {}, {}, {}) == 20.0


def test_every_builtin_is_called_by_these_tests() -> None:
    of_predictions = Path(__file__).with_name("test_distributions.py")
    text = Path(__file__).read_text(encoding="utf-8") + of_predictions.read_text(encoding="utf-8")
    assert [name for name in BUILTINS if f"{name}(" not in text] == []


# --- decisions and what is foreseen

ROW = {"call.chance": 1.0, "call.duration": 10.0, "call.context": 100.0, "call.tool": "bash"}
LEAST = """
on call least {
  preserve: call.duration * call.context
  discard:  500tok * 1s
  swap:     400tok * 1s when call.tool != "x"
}
"""


def foreseen(policy: ir.Policy, **changes: object) -> Handling:
    row = {**ROW, **{k.replace("__", "."): v for k, v in changes.items()}}
    engine = {**ENGINE, **{k: row.pop(k) for k in ("allow.preserve", "allow.swap") if k in row}}
    return Handling(int(evaluate(policy.handling, row, engine, {})))  # type: ignore[arg-type]


def test_least_is_foreseen_with_what_is_allowed() -> None:
    policy = good(LEAST)
    assert isinstance(policy.on_call, ir.Pick)
    assert foreseen(policy) is Handling.SWAP
    assert foreseen(policy, allow__swap=False) is Handling.DISCARD
    assert foreseen(policy, call__tool="x") is Handling.DISCARD
    assert foreseen(policy, call__duration=1.0) is Handling.PRESERVE
    assert foreseen(policy, call__duration=1.0, allow__preserve=False) is Handling.SWAP


def test_no_call_is_foreseen_below_one_in_two() -> None:
    policy = good("on call preserve")
    assert foreseen(policy, call__chance=0.49) is Handling.NONE
    assert foreseen(policy, call__chance=0.5) is Handling.PRESERVE


def test_without_on_call_memory_is_given_up() -> None:
    policy = good("rank request.age")
    assert isinstance(policy.on_call, ir.Act)
    assert foreseen(policy) is Handling.DISCARD
    assert foreseen(policy, call__chance=0.1) is Handling.NONE


def test_a_chain_falls_to_its_next_link() -> None:
    policy = good("on call preserve for 30s then swap for 1min then discard")
    assert isinstance(policy.on_call, ir.Act)
    links = [(h.handling.word, h.lasts and evaluate(h.lasts, {}, {}, {})) for h in policy.on_call.holds]
    assert links == [("preserve", 30.0), ("swap", 60.0), ("discard", None)]
    assert foreseen(policy, allow__preserve=False) is Handling.SWAP
    assert foreseen(policy, allow__preserve=False, allow__swap=False) is Handling.DISCARD


def test_if_and_match_choose_between_decisions() -> None:
    policy = good(
        'on call match call.tool { "user": discard  "b*": if call.duration < 5s { preserve } else { swap }'
        "  _: discard }"
    )
    assert foreseen(policy, call__duration=1.0) is Handling.PRESERVE
    assert foreseen(policy) is Handling.SWAP
    assert foreseen(policy, call__tool="user") is Handling.DISCARD


def test_match_on_handling_needs_all_four_or_an_else() -> None:
    row = {"call__chance": 1.0}
    policy = good("on call swap\nrank match handling { preserve: 1 swap: 2 discard: 3 none: 4 }")
    key = policy.rank[0].expr
    assert [evaluate(key, {"call.chance": c}, ENGINE, {}) for c in (1.0, 0.0)] == [2.0, 4.0]
    assert value("if handling == discard { 1 } else { 2 }", **row) == 1.0
    code, _ = wrong("rank match handling { preserve: 1 swap: 2 discard: 3 }")[0]
    assert code == codes.MATCH


def test_the_cycle_through_lets_is_shown() -> None:
    lets = "let a = handling\nlet f(x) = if a == swap { x } else { 1 }\nlet b = f(2)\n"
    text = lets + "on call if b > 1 { swap } else { discard }"
    (found,) = load_text(HEAD + text).diagnostics
    assert found.code == codes.CYCLE
    assert found.help == "the cycle: `on call` -> `b` -> `f` -> `a` -> `handling` -> `on call`"


def test_the_order_of_rules_does_not_matter() -> None:
    lets = "let keep = call.duration * call.context\nlet seen = match handling { preserve: keep _: 0 }\n"
    rules = ["rank seen", "on call least { preserve: keep discard: 5tok * 1s }", "limit pinned <= 50%"]
    one, other = good(lets + "\n".join(rules)), good(lets + "\n".join(reversed(rules)))
    row = {**ROW, "call.duration": 0.01}
    assert evaluate(one.rank[0].expr, row, ENGINE, {}) == evaluate(other.rank[0].expr, row, ENGINE, {}) == 1.0


# --- params, limits, signals


def test_params_are_in_base_units_and_carry_their_comment() -> None:
    policy = good(
        "param wait = 2min in 1..60   # how long\nparam none_ = 0 in 0s..5s\nparam share = 40% in 0..100\nrank wait"
    )
    shown = [(p.name, p.default, p.low, p.high, p.doc, str(p.type)) for p in policy.params]
    assert shown == [
        ("wait", 120.0, 60.0, 3600.0, "how long", "seconds"),
        ("none_", 0.0, 0.0, 5.0, "", "seconds"),
        ("share", 0.4, 0.0, 1.0, "", "number"),
    ]


def test_a_limit_reads_the_engine_only() -> None:
    assert good("limit pinned <= engine.kv_total / 2").limits[0].name == "pinned"
    assert [c for c, _ in wrong("let x = call.context\nlimit pinned <= x")] == [codes.NOT_READABLE]
    assert [c for c, _ in wrong("limit pinned <= 5s")] == [codes.WRONG_TYPE]


def test_every_signal_can_be_read_unless_hidden() -> None:
    for signal in SIGNALS.values():
        found = wrong(f"let x = {signal.name}")
        assert bool(found) == signal.hidden, (signal.name, found)


def test_near_names_are_offered() -> None:
    assert nearest("arrival", SIGNALS)[:2] == ["request.arrival", "session.arrival"]
    assert nearest("request.contxet", SIGNALS)[0] == "request.context"
    assert nearest("zzz", SIGNALS) == []


# --- tests in policies


def first_test(text: str) -> nodes.Test:
    loaded = load_text(f'{HEAD}param wait = 5s in 1s..60s\nlet twice = 2 * request.age\ntest "t" {{ {text} }}')
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    return loaded.tests[0]


def test_given_values_are_constants_in_base_units() -> None:
    test = first_test(
        "given { wait: 0.5min, engine.can_swap: false }"
        "request a { request.arrival: 2s - 5s, call.duration: lognormal(1s, 1min), "
        'call.duration.known: false, call.tool: "x", call.response: 3tok, request.cached: 0 } expect a on call discard'
    )
    given, row, _ = test.steps
    assert isinstance(given, nodes.Given) and isinstance(row, nodes.Given)
    assert (given.name, {f.path: f.value for f in given.fields}) == (None, {"wait": 30.0, "engine.can_swap": False})
    assert (row.name, {f.path: f.value for f in row.fields}) == ("a", {
        "request.arrival": -3.0, "call.duration": nodes.Lognormal(1.0, 60.0), "call.duration.known": False,
        "call.tool": "x",
        "call.response": 3.0, "request.cached": 0.0,
    })  # fmt: skip


def test_expected_conditions_read_named_requests() -> None:
    step = first_test("request slow { } expect slow.twice == 3s + wait").steps[-1]
    assert isinstance(step, nodes.ExpectTrue)
    assert {r.key for r in reads(step.expr)} == {"slow/request.age"}
    assert [text for text, _ in step.operands] == ["slow.twice", "3s + wait"]
    for age, holds in ((4.0, True), (4.0 * (1 + 1e-10), True), (4.001, False)):
        assert evaluate(step.expr, {"slow/request.age": age}, {}, {"wait": 5.0}) is holds


def test_expected_handlings_are_read_per_request() -> None:
    step = first_test("request a { } expect a.handling == none").steps[-1]
    assert isinstance(step, nodes.ExpectTrue)
    assert evaluate(step.expr, {"a/call.chance": 0.0}, ENGINE, {}) is True
    assert evaluate(step.expr, {"a/call.chance": 1.0}, ENGINE, {}) is False


def test_expected_actions_have_durations_in_seconds() -> None:
    step = first_test("request a { } expect a on call preserve for 1min then swap").steps[-1]
    assert isinstance(step, nodes.ExpectCall)
    assert step.holds == ((Handling.PRESERVE, 60.0), (Handling.SWAP, None))
