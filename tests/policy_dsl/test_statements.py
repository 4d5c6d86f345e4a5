"""What each statement answers once it is compiled, and that the reference interpreter says the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

import policies
from policy_dsl import ir
from policy_dsl.catalogue import SIGNALS
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.diagnostics import codes
from policy_dsl.interpret import decide, evaluate
from policy_dsl.loading import load, load_text
from policy_dsl.types import Handling
from policy_dsl.verify import verify
from policy_dsl.worlds import engine_values, row_values

HEAD = 'lamps 1\npolicy p "t"\n'
ENGINE = engine_values(())


def compiled(text: str, **params: float) -> CompiledPolicy:
    loaded = load_text(HEAD + text)
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    verify(loaded.policy)
    return compile_policy(loaded.policy, loaded.source, params)


def wrong(text: str) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in load_text(HEAD + text).diagnostics]


def row(**given: object) -> dict:
    return row_values((), ENGINE) | {k.replace("__", "."): v for k, v in given.items()}


# --- while paused

PAUSED = """
on call least { preserve: call.duration * call.context discard: 500tok * 1s }
while paused every 500ms if handling == preserve and call.elapsed > 5s { discard } else { again }
"""


def test_paused_reads_what_is_in_force_and_asks_again() -> None:
    rules = compiled(PAUSED).scalar
    kept = row(call__handling=0.0, call__elapsed=6.0, call__duration=1.0, call__context=100.0)
    assert rules.paused(kept, ENGINE).holds == ((Handling.DISCARD, None),)
    again = kept | {"call.elapsed": 1.0}
    assert rules.paused(again, ENGINE) == rules.on_call(again, ENGINE)
    assert rules.paused(again, ENGINE).costs[0][1] == 100.0
    swapped = kept | {"call.handling": float(Handling.SWAP)}
    assert rules.paused(swapped, ENGINE).holds == ((Handling.PRESERVE, None),)


def test_the_interpreter_says_the_same_of_paused_sessions() -> None:
    loaded = load_text(HEAD + PAUSED)
    assert loaded.policy is not None and loaded.policy.paused is not None
    rules = compile_policy(loaded.policy, loaded.source).scalar
    for handling in map(float, (0, 1, 2)):
        for elapsed in (1.0, 9.0, math.nan):
            at = row(call__handling=handling, call__elapsed=elapsed, call__duration=elapsed, call__context=70.0)
            verdict = decide(loaded.policy.paused.decision, at, ENGINE, {}, loaded.policy.on_call)
            assert (rules.paused(at, ENGINE).holds, rules.paused(at, ENGINE).line) == (verdict.holds, verdict.line)
    with pytest.raises(ValueError, match="again"):
        decide(ir.Again(loaded.policy.paused.span), {}, {}, {})


@pytest.mark.parametrize(
    ("every", "seconds", "steps"),
    [("500ms", 0.5, 0.0), ("1step", 0.0, 1.0), ("often", 3.0, 0.0), ("2 * often", 6.0, 0.0)],
)
def test_how_often_is_asked(every: str, seconds: float, steps: float) -> None:
    rules = compiled(f"param often = 3s in 1s..9s\nwhile paused every {every} preserve").scalar
    assert (rules.paused_every_s, rules.paused_every_steps) == (seconds, steps)
    other = compiled("param often = 3s in 1s..9s\nwhile paused every often preserve", often=9.0).scalar
    assert other.paused_every_s == 9.0


def test_without_while_paused_nobody_may_ask() -> None:
    rules = compiled("rank request.arrival").scalar
    assert rules.paused_every_s is None and rules.paused_every_steps is None
    with pytest.raises(ValueError, match="while paused"):
        rules.paused(row(), ENGINE)


def test_rank_reads_what_is_foreseen_and_yield_what_is_in_force() -> None:
    both = compiled("let held = if handling == swap { 1 } else { 0 }\non call swap\nrank held\nyield held\nvictim held")
    at = row(call__chance=1.0, call__handling=float(Handling.PRESERVE))
    assert (both.scalar.rank(at, ENGINE), both.scalar.yield_keys(at, ENGINE)) == ((1.0,), (0.0,))
    assert both.scalar.victim_keys(at, ENGINE) == (1.0,)
    assert "call.handling" in both.paused_keys and "call.handling" not in both.row_keys | both.victim_keys


# --- admit


def test_a_gate_opens_where_it_is_not_a_number() -> None:
    rules = compiled("admit when request.context / request.cached < 4 and engine.running < 3").scalar
    assert rules.admit(row(request__context=9.0, request__cached=3.0), ENGINE)
    assert not rules.admit(row(request__context=90.0, request__cached=3.0), ENGINE)
    assert not rules.admit(row(request__context=9.0, request__cached=0.0), ENGINE)  # infinite, not NaN
    assert rules.admit(row(request__context=0.0, request__cached=0.0), ENGINE)
    assert not rules.admit(row(request__context=9.0, request__cached=3.0), ENGINE | {"engine.running": 5.0})
    assert rules.admit(row(request__context=9.0, request__cached=3.0), ENGINE | {"engine.running": math.nan})
    assert compiled("rank request.arrival").scalar.admit(row(), ENGINE)


@pytest.mark.parametrize("strict", [1.0, 0.0])
def test_a_fault_in_a_branch_of_a_gate_is_one_whatever_the_params_are(strict: float) -> None:
    """What a param's value folds away is not asked otherwise than what is asked at run time."""
    text = (
        "param strict = 1 in 0..1\nadmit when if strict > 0.5 and engine.running >= 0 { request.uncached / 0 < 3tok }"
    )
    gate = compiled(text + " else { request.cached / 0 < 3tok }", strict=strict).scalar
    faulty = {"request__uncached" if strict else "request__cached": 0.0}
    other = {"request__cached" if strict else "request__uncached": 5.0}
    assert gate.admit(row(**faulty, **other), ENGINE)
    assert not gate.admit(row(request__uncached=5.0, request__cached=5.0), ENGINE)


def test_what_a_gate_reads_is_known_apart() -> None:
    rules = compiled("admit when request.uncached < 3tok\nrank request.arrival\nvictim session.service")
    assert rules.admit_keys == {"request.uncached"}
    assert rules.victim_keys == {"session.service"}
    assert "request.uncached" not in rules.row_keys


# --- orders


def test_orders_are_negated_where_highest_goes_first() -> None:
    rules = compiled(
        "yield highest call.remaining, handling == swap\nvictim lowest request.arrival, highest engine.now"
    ).scalar
    at = row(call__remaining=3.0, call__handling=float(Handling.SWAP), request__arrival=5.0)
    assert rules.yield_keys(at, ENGINE) == (-3.0, True)
    assert rules.victim_keys(at, ENGINE | {"engine.now": 7.0}) == (5.0, -7.0)
    nothing = compiled("rank request.arrival").scalar
    assert nothing.yield_keys(at, ENGINE) == nothing.victim_keys(at, ENGINE) == ()


# --- classes and hints

CLASSES = """
hint critical = 0.25 in 0..1
hint tier = "none"
class chat when hint.tier in ["chat", "talk*"] or hint.critical > 0.9 { weight: 4, due: 2s, fast: true, name: "c" }
class agent when request.priority < 0 { weight: -2, due: 0, fast: false, name: "a" }
class rest { weight: 0, due: 1min, fast: false, name: "r" }
"""


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"hint.tier": "chat"}, "chat"), ({"hint.tier": "talking"}, "chat"), ({"hint.critical": 0.95}, "chat"),
        ({"request.priority": -1.0}, "agent"), ({"hint.tier": "chat", "request.priority": -1.0}, "chat"),
        ({}, "rest"), ({"hint.critical": math.nan}, "rest"),
    ],
)  # fmt: skip
def test_the_first_class_that_matches(given: dict, name: str) -> None:
    rules = compiled(CLASSES)
    assert rules.class_keys == {"hint.tier", "hint.critical", "request.priority"}
    assert rules.scalar.class_of(row() | {"hint.tier": "none", "hint.critical": 0.25} | given) == name


def test_attributes_are_read_as_signals_of_the_row() -> None:
    rules = compiled(CLASSES + 'rank class.weight, class.due, class.fast, if class.name == "a" { 1 } else { 2 }')
    assert rules.classes["agent"] == {"weight": -2.0, "due": 0.0, "fast": False, "name": "a"}
    at = row() | rules.scalar.attributes("agent")
    assert rules.scalar.rank(at, ENGINE) == (-2.0, 0.0, False, 1.0)
    assert rules.scalar.attributes("") == {}
    assert rules.row_keys >= {"class.weight", "class.due", "class.fast", "class.name"}


def test_columns_hold_classes_and_hints() -> None:
    rules = compiled(
        CLASSES + 'rank class.weight * hint.critical + request.waited / 1s, class.name == "c", hint.tier == "x"'
    )
    batch = rules.batch
    code = batch.texts.code
    rows = [
        row(request__waited=w, request__arrival=float(i))
        | rules.scalar.attributes(c)
        | {"hint.critical": h, "hint.tier": t}
        for i, (w, c, h, t) in enumerate([(1.0, "chat", 0.5, "x"), (2.0, "agent", 1.0, "y"), (3.0, "rest", 0.0, "x")])
    ]
    keys = batch.hoisted_keys | batch.step_keys
    # A waiting table keeps texts by their codes, in columns like any other.
    columns = {k: np.array([code(r[k]) if isinstance(r[k], str) else float(r[k]) for r in rows]) for k in keys}
    hoisted = batch.hoist({k: columns[k] for k in batch.hoisted_keys | {"request.arrival"}}, ENGINE)
    found = batch.rank(columns, hoisted, ENGINE)
    assert list(zip(*(c.tolist() for c in found), strict=True)) == [rules.scalar.rank(r, ENGINE) for r in rows]
    assert "class.weight" not in batch.step_keys  # fixed while the request waits


@pytest.mark.parametrize(
    ("given", "value"),
    [(None, 0.25), (0.5, 0.5), (1, 1.0), (7, 1.0), (-1.0, 0.0), (math.nan, 0.25), (True, 0.25), ("0.5", 0.25),
     (math.inf, 1.0), ([1], 0.25)],
)  # fmt: skip
def test_hints_are_clamped_or_default(given: object, value: float) -> None:
    found = compiled(CLASSES).scalar.hint("critical", given)
    assert found == value and type(found) is float


def test_hints_that_are_texts() -> None:
    rules = compiled(CLASSES).scalar
    assert [rules.hint("tier", given) for given in (None, "chat", 3)] == ["none", "chat", "none"]
    with pytest.raises(KeyError):
        rules.hint("nothing", 3)


def test_hints_are_told_with_their_range() -> None:
    first, second = compiled('hint wait = -5s in -1min..0s  # how long\nhint t = "x"\nrank hint.wait').hint_infos
    assert (first.name, first.default, first.low, first.high, first.doc, str(first.type)) == (
        "wait", -5.0, -60.0, 0.0, "how long", "seconds",
    )  # fmt: skip
    assert second.default == "x"


def test_only_what_is_fixed_when_a_session_begins_makes_its_class() -> None:
    for signal in SIGNALS.values():
        if signal.hidden:
            continue
        condition = {"quantity": "== 0", "instant": "== engine.now", "text": '== "x"', "bool": ""}[
            signal.type.kind.value
        ]
        if signal.type.kind.value == "instant":
            continue  # only against one another, and `engine.now` isn't fixed
        found = wrong(f"class a when {signal.name} {condition} {{ x: 1 }}\nclass rest {{ x: 2 }}")
        assert bool(found) != signal.at_birth, (signal.name, found)
        assert {code for code, _ in found} <= {codes.NOT_READABLE}


# --- limits and budget


@pytest.mark.parametrize(
    ("text", "name", "engine", "bound"),
    [
        ("limit pinned <= 60%", "pinned", {"engine.kv_total": 1000.0}, 600.0),
        ("limit pinned <= 60tok", "pinned", {}, 60.0),
        ("limit host <= 80%", "host", {"engine.host_total": 50.0}, 40.0),
        ("limit swapping <= engine.hidden_swap / 2", "swapping", {"engine.hidden_swap": 50.0}, 25.0),
        ("limit running <= 8", "running", {"engine.seats": 100.0}, 8.0),
        ("limit running <= 50%", "running", {"engine.seats": 100.0}, 50.0),
        ("param share = 25% in 0%..100%\nlimit running <= share", "running", {"engine.seats": 100.0}, 25.0),
        ("param seats = 3 in 1..9\nlet most = seats + 1\nlimit running <= most", "running", {}, 4.0),
        ("class a { x: 1 }\nlimit a.running <= 30%", "a.running", {"engine.seats": 100.0}, 30.0),
        ("class a { x: 1 }\nlimit a.pinned <= 30%", "a.pinned", {"engine.kv_total": 100.0}, 30.0),
        ("limit running <= 8 / engine.paused * 0", "running", {}, 0.0),
    ],
)
def test_limits_are_tokens_or_requests(text: str, name: str, engine: dict, bound: float) -> None:
    rules = compiled(text).scalar
    assert rules.limits == (name,)
    assert rules.limit(name, ENGINE | engine) == pytest.approx(bound)
    assert rules.limit("other", ENGINE) is None


def test_what_is_left_of_a_limit_goes_by_merit() -> None:
    rules = compiled("limit swapping <= 50% by highest call.elapsed * call.context, handling == preserve")
    at = row(call__elapsed=3.0, call__context=7.0, call__handling=0.0)
    assert rules.scalar.limit_by("swapping", at, ENGINE) == (-21.0, True)
    assert rules.scalar.limit_by("pinned", at, ENGINE) == ()
    assert {"call.elapsed", "call.context", "call.handling"} <= rules.paused_keys


def test_the_order_of_a_limit_on_what_runs_is_about_waiting_requests() -> None:
    rules = compiled(
        "on call swap\nlimit running <= 3 by highest call.context, handling == swap, capped(call.duration, 9s)"
    )
    at = row(call__context=7.0, call__chance=1.0, call__handling=0.0)
    assert rules.scalar.limit_by("running", at, ENGINE)[:2] == (-7.0, True)  # what is foreseen, not what is in force
    assert "call.context" in rules.rank_keys and "call.duration.mu" in rules.rank_keys
    assert not rules.paused_keys & {"call.context", "call.handling"}
    assert not [key for key in rules.rank_keys if key.endswith(".after")]  # no call has begun


def test_a_budget_is_seconds_at_so_many_requests() -> None:
    budget = compiled("budget 200us at 4096 requests").budget
    assert budget is not None
    assert (budget.cost_s, budget.requests) == (pytest.approx(200e-6), 4096.0)


def test_the_statements_of_a_policy() -> None:
    rules = compiled(
        "on call at arrival preserve\nwhile paused every 1s again\nyield call.elapsed\nvictim request.arrival\n"
        "admit when true\npromote when false\nclass a { x: 1 }\nlimit running <= 3\nlimit host <= 9% by call.elapsed"
    )
    assert rules.on_call_at_arrival
    assert rules.statements == (
        "rank", "on call at arrival", "while paused", "yield", "victim", "admit", "promote", "class", "limit running",
        "limit host ... by",
    )  # fmt: skip
    plain = compiled("rank request.arrival")
    assert (plain.statements, plain.on_call_at_arrival) == (("rank", "on call"), False)
    assert plain.states("rank") and not plain.states("admit")


# --- shipped policies


@pytest.mark.parametrize("name", policies.shipped())
def test_shipped_policies_are_short_and_compile(name: str) -> None:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    text = loaded.source.text.partition('\ntest "')[0]
    assert sum(1 for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")) <= 40
    rules = compile_policy(loaded.policy, loaded.source)
    assert rules.scalar.rank and rules.batch.step_keys


def of(name: str) -> ir.Policy:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    return loaded.policy


def test_infercept_s_wastes() -> None:
    """InferCept, equations 2 and 4, in token-seconds: C = 3000, three chunks of 1000, 40,000 tokens beside it."""
    paused = of("infercept").paused
    assert paused is not None and isinstance(paused.decision, ir.Pick)
    engine = ENGINE | {"engine.chunk": 1200.0, "engine.query_tokens": 200.0, "engine.running_tokens": 40_000.0}
    at = row(call__context=3000.0, call__elapsed=2.0)
    costs = {a.act.holds[0].handling.word: evaluate(a.cost, at, engine, {}) for a in paused.decision.arms}
    forward = 50e-6
    assert costs == pytest.approx({
        "preserve": 2.0 * 3000, "swap": 0.0, "discard": 3000 * forward * 3000 / 2 + 3 * 1000 * forward * 40_000,
    })  # fmt: skip


def test_mars_s_wastes_are_those_of_its_code() -> None:
    """scheduler_v2.py:661-696 for 700 tokens (K = 704), T_API = 2 s, Q = 84 query tokens, R = 40,000 tokens."""
    policy = of("mars")
    assert isinstance(policy.on_call, ir.Pick)
    a, c, c_h, k, r = 0.0408, 16.92, 300.0, 704.0, 40_000.0
    n = max(math.ceil(k / c_h) - 1, 0)
    remainder = k % c_h
    discard = (a * 384 + c) / 1000 * n * (n + 1) / 2 * c_h + a * c_h / 1000 * n * r
    discard += a * remainder / 1000 * (r + remainder)
    m = max(math.ceil(k / c_h) - 1, 1)
    swap = (0.181 * 384 + 22.5) / 1000 * m * k + 2 * (0.136 * c_h / 1000) * m * r
    engine = ENGINE | {"engine.query_tokens": 84.0, "engine.running_tokens": r}
    at = row(request__prompt=650.0, predict__output=50.0, call__duration=2.0)
    params = {p.name: p.default for p in policy.params}
    costs = {x.act.holds[0].handling.word: evaluate(x.cost, at, engine, params) for x in policy.on_call.arms}
    assert costs == pytest.approx({"preserve": k * 2.0, "discard": discard, "swap": swap})


@pytest.mark.parametrize(
    ("service", "level"), [(0.0, 0), (1.9, 0), (2.0, 1), (3.9, 1), (4.0, 2), (32.0, 5), (1e9, 7), (math.inf, 7)]
)
def test_autellix_s_levels_are_twice_as_long_each(service: float, level: float) -> None:
    key = of("autellix").rank[0].expr
    assert evaluate(key, row(session__service=service), ENGINE, {"quantum": 2.0, "depth": 8.0}) == level
