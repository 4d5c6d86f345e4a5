"""Ranges: whatever the signals are, the reference reading lies inside; and they are narrow enough to say something."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policy_dsl import ir
from policy_dsl.analysis import intervals
from policy_dsl.analysis.intervals import INF, Interval, Truth
from policy_dsl.analysis.ranges import Hazard, Ranges
from policy_dsl.analysis.signals import extreme, plausible
from policy_dsl.codegen import arithmetic
from policy_dsl.codegen.lower import postorder
from policy_dsl.interpret import evaluate
from policy_dsl.loading import load_text
from tests.policy_dsl import strategies as make

_SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
_KEYS = (*make.QUANTITIES, *make.FLAGS, *make.INSTANTS, "call.tool")
_PARAMS = tuple(ir.ParamInfo(n, make.NUM, v, 0.0, 10.0, "", make.SPAN) for n, v in make.PARAMS.items())
seeds = st.integers(0, 2**32 - 1)


def drawn(interval: Interval, random: Random) -> float:
    """A number of *interval*: often an end of it, or near 0 or 1."""
    inside = [x for x in (*make.SPECIAL, *make.ORDINARY, interval.low, interval.high) if interval.holds(x)]
    low, high = max(interval.low, -1e6), min(interval.high, 1e6)
    return random.choice([*inside, random.uniform(low, high)])


def world(assume, random: Random) -> dict[str, float | bool | str]:
    """Values for all signals of the strategies, inside *assume*."""
    values: dict[str, float | bool | str] = {}
    for key in _KEYS:
        range_ = assume(key)
        match range_:
            case Interval():
                values[key] = drawn(range_, random)
            case Truth():
                values[key] = random.random() < 0.5
            case None:
                values[key] = random.choice(make.TOOLS)
    now = values["engine.now"] = random.uniform(0.0, 1e9)
    for key in ("request.arrival", "session.arrival"):  # nothing arrives in the future, or before a plausible age
        values[key] = now - random.choice([0.0, 1.0, random.uniform(0.0, 1e6)])
    return values


def inside(value, range_) -> bool:
    match range_:
        case Interval():
            return range_.holds(value)
        case Truth():
            return range_.can_hold if value else range_.can_fail
        case frozenset():
            return value in range_
    return range_ is None


def said(node: ir.Node) -> str:
    """The graph in a line."""
    match node:
        case ir.Const(value=value):
            return repr(value)
        case ir.Read(key=name) | ir.Param(name=name):
            return name
        case _:
            word = getattr(node, "op", getattr(node, "name", type(node).__name__))
            return f"({word} {' '.join(map(said, ir.children(node)))})"


@pytest.mark.parametrize("assume", [plausible, extreme])
@settings(max_examples=150, **_SETTINGS)
@given(seeds)
def test_every_value_lies_inside(assume, seed):
    random = Random(seed)
    pool = make.pools(random)
    worlds = [world(assume, random) for _ in range(8)]
    params = {name: random.choice([0.0, 10.0, random.uniform(0, 10)]) for name in make.PARAMS}
    for node in (*pool.numbers[-6:], *pool.flags[-6:], *pool.handlings[-3:]):
        ranges = Ranges(_PARAMS, assume)
        found = ranges.of(node)
        for values in worlds:
            value = evaluate(node, values, {}, params)
            assert inside(value, found), (value, found, said(node))


any_number = st.sampled_from([*make.SPECIAL, 1e-320, 1.5, 1e16]) | st.floats()
_OPERATIONS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": arithmetic.divide, "^": arithmetic.power,
}  # fmt: skip


@st.composite
def intervals_with_a_member(draw):
    numbers = sorted(x for x in draw(st.lists(any_number, min_size=1, max_size=3)) if not math.isnan(x))
    nan = not numbers or draw(st.booleans())
    x = draw(st.sampled_from([*numbers, *([math.nan] if nan else [])]))
    return (Interval(numbers[0], numbers[-1], nan) if numbers else Interval(INF, -INF, True)), x


@pytest.mark.parametrize("op", _OPERATIONS)
@settings(max_examples=400, **_SETTINGS)
@given(intervals_with_a_member(), intervals_with_a_member())
def test_operations_are_sound(op, left, right):
    (a, x), (b, y) = left, right
    assert intervals.OPERATIONS[op](a, b).holds(_OPERATIONS[op](x, y))


@pytest.mark.parametrize("name", intervals.FUNCTIONS)
@settings(max_examples=300, **_SETTINGS)
@given(intervals_with_a_member())
@example((Interval(-1.0, 1.0), -0.5))
def test_functions_are_sound(name, given_one):
    a, x = given_one
    function = abs if name == "abs" else getattr(arithmetic, name)
    assert intervals.FUNCTIONS[name](a).holds(function(x))


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@settings(max_examples=200, **_SETTINGS)
@given(intervals_with_a_member(), intervals_with_a_member())
def test_comparisons_are_sound(op, left, right):
    (a, x), (b, y) = left, right
    value = {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y, "==": x == y, "!=": x != y}[op]
    truth = intervals.compare(op, a, b)
    assert truth.can_hold if value else truth.can_fail


def rank_of(text: str) -> tuple[Ranges, ir.Node]:
    loaded = load_text(f'lamps 1\npolicy p "P."\nparam n = 2 in 0..10\nrank {text}\n')
    assert loaded.policy is not None, loaded.diagnostics
    ranges = Ranges(loaded.policy.params)
    return ranges, loaded.policy.rank[0].expr


@pytest.mark.parametrize(
    ("text", "low", "high", "nan"),
    [
        ("n", 0, 10, False),
        ("min(max(n - 3, 1), 5)", 1, 5, False),
        ("1 / n", 0.1, INF, False),
        ("n / n", 0, INF, True),
        ("if n > 0 { 1 / n } else { 7 }", 0.1, INF, False),
        ("if n == 0 { 7 } else { n / n }", 0, INF, False),
        ("if n >= 2 { 1 / n } else { 0 }", 0, 0.5, False),
        ("if n > 1 and n < 3 { n } else { 2 }", 1, 3, False),
        ("if n < 20 { n } else { 0 / 0 }", 0, 10, False),
        ("n ^ 2 - 1", -1, 99, False),
        ("match handling { preserve: 1 discard: 2 swap: 3 none: 4 }", 2, 4, False),
        ("(engine.now - request.arrival) / 1s", 0, 1e7, False),
    ],
)
def test_what_is_found(text, low, high, nan):
    ranges, node = rank_of(text)
    found = ranges.numbers(node)
    assert found.nan == nan
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "hazard"),
    [
        ("1 / n", {Hazard.ZERO_DIVISOR}),
        ("1 / max(n, 1)", set()),
        ("if n != 0 { 1 / n } else { 0 }", set()),
        ("(1 / n) - (2 / n)", {Hazard.ZERO_DIVISOR, Hazard.INFINITIES}),
        ("n * (1 / n)", {Hazard.ZERO_DIVISOR, Hazard.ZERO_TIMES_INFINITY}),
        ("request.waited * request.context * request.age / 1s", set()),
    ],
)
def test_hazards(text, hazard):
    ranges, node = rank_of(text)
    ranges.of(node)
    assert {h for found in ranges.hazards.values() for h in found} == hazard


def test_an_arm_that_cannot_be_taken_is_not_looked_at():
    ranges, node = rank_of("if n < 20 { n } else { request.waited / 1s }")
    ranges.of(node)
    assert [n.key for n in postorder((node,)) if isinstance(n, ir.Read) and ranges.reached(n)] == []
