"""The overtaking verdict: which word, which T, and that what is proved is so for random rows."""

from __future__ import annotations

from random import Random

import pytest

from policies import shipped
from policy_dsl import ir
from policy_dsl.analysis.intervals import Interval
from policy_dsl.analysis.signals import plausible
from policy_dsl.analysis.starvation import duration, overtaking
from policy_dsl.catalogue import SIGNALS, STATISTICS
from policy_dsl.interpret import evaluate
from policy_dsl.loading import load, load_text
from policy_dsl.types import Kind

SIZE = "let left = max(prefill_time(request.uncached) + decode_time(predict.output), 1ms)\n"
SMALL = "let few = clamp(predict.output / 1tok, 0, 100)\n"


def policy(text: str) -> ir.Policy:
    loaded = load_text(f'lamps 1\npolicy p "P."\nparam patience = 60s in 1s..1h\n{text}\n')
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("rank request.arrival", "order"),
        ("rank highest request.age, request.priority", "order"),
        ("rank 2 * (request.arrival - engine.now) - request.age", "order"),
        ("rank request.age", "unproved"),
        ("rank request.priority, request.arrival", "unproved"),
        ("rank predict.output\npromote when request.waited >= patience", "guard 60 s"),
        ("rank predict.output\npromote when 2 * request.waited > patience or call.tool == \"a\"", "guard 30 s"),
        ("rank predict.output\npromote when request.waited_steps >= 100steps", "guard 100 steps"),
        ("rank predict.output\npromote when request.waited > 5s and request.waited_steps > 100steps",
         "guard 5 s and 100 steps"),
        ("rank predict.output\npromote when engine.now - request.arrival > 3min", "guard 3 min"),
        ("rank predict.output\npromote when request.waited >= 2 * session.service + 1s",
         "guard `2 * session.service + 1s`"),
        ("rank predict.output\npromote when engine.now >= session.arrival + 1min", "guard `session.arrival + 1min`"),
        # what need not become true
        ("rank predict.output\npromote when request.waited >= patience and session.turn > 1", "unproved"),
        ("rank predict.output\npromote when request.waited >= engine.step_time * 1step", "guard 100 s"),
        ("rank predict.output\npromote when request.waited >= session.age", "unproved"),
        ("rank predict.output\npromote when 0 * request.age / (0 * request.age) != 1", "guard 0 s"),  # NaN is not 1
        ("rank predict.output\npromote when 0 * request.age / (0 * request.age) >= 1", "unproved"),
        ("rank predict.output\npromote when request.waited >= patience by request.priority", "unproved"),
        ("rank predict.output\npromote when request.waited >= patience by request.arrival, request.priority",
         "guard 60 s"),
        # a limit on what runs that is given out by another order
        ("rank request.arrival\nlimit running <= 3 by session.arrival", "order"),
        ("rank request.arrival\nlimit running <= 3 by predict.output", "unproved"),
        ("rank request.arrival\nlimit pinned <= 3% by call.elapsed", "order"),
        ("class a { x: 1 }\nrank request.arrival\nlimit a.running <= 3 by predict.output", "unproved"),
        (SMALL + "rank request.arrival\nlimit running <= 3 by few - request.age / 2s", "ageing 3.33 min"),
        ("rank request.arrival\npromote when request.waited >= patience\nlimit running <= 3 by predict.output",
         "guard 60 s"),
        # ageing
        (SMALL + "rank few - request.age / 2s", "ageing 3.33 min"),
        (SMALL + "rank request.arrival + few * 1s", "ageing 100 s"),
        (SMALL + "rank few - request.age / 2s + request.priority", "unproved"),
        (SIZE + "rank left / (1 + request.age / 50s) ^ 3", "ageing 2.38 days"),
        (SIZE + "rank left / exp(request.age / 60s)", "ageing 25 min"),
        ("rank predict.output / (1 + request.age / 50s) ^ 3", "unproved"),  # 0 divided by anything stays 0
    ],
)  # fmt: skip
def test_verdicts(text, verdict):
    assert str(overtaking(policy(text))) == verdict


@pytest.mark.parametrize("path", shipped().values(), ids=lambda p: p.stem)
def test_shipped_policies_have_a_verdict(path):
    loaded = load(path)
    assert loaded.policy is not None
    assert overtaking(loaded.policy).word in ("order", "guard", "ageing", "unproved")


def test_the_sentence_says_no_more_than_is_proved():
    assert overtaking(policy("rank request.arrival")).sentence == "no later arrival starts before it"
    aged = overtaking(policy(SIZE + "rank left / (1 + request.age / 50s) ^ 3")).sentence
    assert aged.startswith("after 2.38 days it goes before every request that arrives then")
    assert aged.endswith("one that has waited long itself may still pass")
    limited = overtaking(policy("rank request.arrival\nlimit running <= 3 by predict.output"))
    assert (
        limited.sentence == "`limit running` orders by something that later arrivals can win, and nothing is promoted"
    )
    of_sessions = overtaking(policy("rank session.arrival")).sentence
    assert "turns of older sessions may" in of_sessions


def world(random: Random, wait: float, steps: float) -> dict[str, float | bool | str]:
    """A plausible row and engine, the row having waited so long."""
    values: dict[str, float | bool | str] = {}
    for signal in SIGNALS.values():
        keys = [signal.name, *(f"{signal.name}.{s}" for s in (*STATISTICS, "mu", "sigma") if signal.distribution)]
        for key in keys:
            match plausible(key):
                case Interval(low=low, high=high):
                    inside = (random.uniform(low, high), random.uniform(low, min(high, 9)))
                    values[key] = random.choice([low, high, *inside])
                case None:
                    values[key] = "a"
                case _:
                    values[key] = random.random() < 0.5
    values |= {"engine.now": 1e8, "request.arrival": 1e8 - wait, "request.age": wait, "request.waited": wait}
    older = random.choice([0.0, random.uniform(0, 1e5)])
    values |= {"session.arrival": 1e8 - wait - older, "session.age": wait + older, "session.waited": wait}
    values["request.waited_steps"] = steps
    return values


@pytest.mark.parametrize(
    "text",
    [
        "rank predict.output\npromote when request.waited >= patience or session.turn > 3",
        "rank predict.output\npromote when request.waited_steps >= 7steps and request.waited > min(call.duration, 3s)",
        "rank predict.output\npromote when log(1 + request.age / 1s) > 4 * call.chance",
    ],
)
def test_a_guard_holds_from_its_bound_on(text):
    p = policy(text)
    verdict = overtaking(p)
    assert verdict.word == "guard"
    assert p.promote is not None
    random = Random(1)
    seconds = verdict.t if verdict.unit == "s" else 0.0
    for _ in range(300):
        values = world(random, (seconds or 3.01) * random.choice([1.000001, 2.0, 50.0]), random.uniform(8, 1e4))
        assert evaluate(p.promote.when, values, {}, {"patience": 60.0})


@pytest.mark.parametrize("text", [SMALL + "rank few - request.age / 2s", SMALL + "rank request.arrival + few * 1s"])
def test_ageing_by_a_sum_holds_for_good(text):
    p = policy(text)
    verdict = overtaking(p)
    assert verdict.t is not None
    random = Random(2)
    for _ in range(300):
        later = random.uniform(0, 1e5)  # how long both go on waiting
        a, b = world(random, verdict.t * 1.001 + later, 0), world(random, later, 0)
        ranks = [evaluate(p.rank[0].expr, v, {}, {"patience": 60.0}) for v in (a, b)]
        assert ranks[0] < ranks[1]
        assert p.rank[0].expr.type.kind in (Kind.QUANTITY, Kind.INSTANT)


def test_ageing_by_a_quotient_holds_against_new_arrivals_only():
    p = policy(SIZE + "rank left / (1 + request.age / 50s) ^ 3")
    verdict = overtaking(p)
    assert verdict.t is not None
    random = Random(3)
    size = {"cost.prefill": 0.0, "cost.prefill_context": 0.0}

    def rank(wait: float, more: dict[str, float]) -> float:
        found = evaluate(p.rank[0].expr, world(random, wait, 0) | size | more, {}, {"patience": 60.0})
        assert isinstance(found, float)
        return found

    large, small = {"predict.output": 1e7, "cost.decode": 1.0}, {"predict.output": 0.0, "cost.decode": 1.0}
    assert all(rank(verdict.t * 1.001, {}) < rank(0.0, {}) for _ in range(300))
    assert rank(verdict.t * 1e3 * 1.001, large) > rank(verdict.t * 1e3, small)  # so the sentence says


def test_durations():
    assert [duration(s) for s in (0.05, 1.0, 60.0, 180.0, 7200.0, 2e5)] == [
        "50 ms", "1 s", "60 s", "3 min", "2 h", "2.31 days",
    ]  # fmt: skip
