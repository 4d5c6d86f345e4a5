"""Virtual time in tests of policies: what grows, what is decided on the way, how long a running call may take."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from policy_dsl import nodes, passing
from policy_dsl.compiled import compile_policy
from policy_dsl.coverage import run_covered
from policy_dsl.loading import load_text
from policy_dsl.prediction import Dist
from policy_dsl.testing import TestResult
from policy_dsl.worlds import engine_values, row_values
from tests.policy_dsl.test_testing import run

ARRIVAL = "rank request.arrival"
PAUSED = "on call preserve\nwhile paused every 1s if call.elapsed >= 2.5s { discard } else { preserve }"


def said(result: TestResult) -> list[str]:
    return [f.said for f in result.failures]


def grown(given: str, expected: str, engine: str = "") -> None:
    result = run(ARRIVAL, f"given {{ {engine} }} {given} at 3s expect {expected}")
    assert [f.values for f in result.failures] == []


# --- what grows


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "a.request.age == 3s"),
        ("request.arrival: 1s", "a.request.age == 2s"),
        ("request.arrival: 1s", "a.request.waited == 2s"),
        ("request.arrival: 1s", "a.request.waited_steps == 100steps"),
        ("request.waited: 4s", "a.request.waited == 7s"),
        ("request.waited: 4s", "a.session.waited == 7s"),
        ("session.waited: 9s", "a.session.waited == 12s"),
        ("request.waited_steps: 7steps", "a.request.waited_steps == 157steps"),
        ("request.age: 8s", "a.request.age == 11s"),
        ("session.age: 1min", "a.session.age == 63s"),
        ("session.seated: true, session.seated_for: 1s", "a.session.seated_for == 4s"),
        ("", "a.session.seated_for == 0s"),
        ("request.fcfs_wait: 4s", "a.request.fcfs_wait == 4s"),
        ("session.service: 4s", "a.session.service == 4s"),
        ("request.arrival: 1s", "a.request.arrival == a.request.arrival"),
        ("call.duration: 9s", "a.call.elapsed == 0s"),
        ("call.duration: 9s", "a.call.remaining == 9s"),
    ],
)
def test_of_a_request(given: str, expected: str) -> None:
    grown(f"request a {{ {given} }}", expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("call.elapsed: 4s", "s.call.elapsed == 7s"),
        ("call.duration: 9s", "s.call.remaining == 6s"),
        ("call.duration: 9s, call.elapsed: 4s", "s.call.remaining == 2s"),
        ("call.remaining: 2s", "s.call.remaining == 0s"),
        ("request.waited: 2s", "s.request.waited == 2s"),
        ("", "s.session.age == 3s"),
    ],
)
def test_of_a_session(given: str, expected: str) -> None:
    grown(f"session s {{ {given} }}", expected)


def test_the_clock_goes_on_from_what_is_given() -> None:
    grown("request a { request.arrival: 98s }", "a.request.age == 5s", "engine.now: 100s")
    grown("request a { request.arrival: 101s }", "a.request.waited == 2s", "engine.now: 100s")


def test_the_engine_changes_when_it_is_said_to() -> None:
    rules = "rank request.arrival\npromote when engine.running > 3 and request.waited < 2s"
    test = "request a { request.arrival: 0s } request b { request.arrival: 0.1s } expect rank a, b"
    late = f"{test} at 1s given {{ engine.running: 5 }} expect a.request.promoted at 9s expect b.request.promoted"
    assert said(run(rules, late)) == []
    assert said(run(rules, late.replace("at 1s", "at 3s"))) == [
        "at 3s: this does not hold",
        "at 9s: this does not hold",
    ]


def test_the_clock_is_set_before_it_runs() -> None:
    test = "request a {} at 1s given { engine.now: 9s } expect a.request.age == 9s"
    (found,) = load_text(f'lamps 1\npolicy p "t"\ntest "it" {{ {test} }}').diagnostics
    assert found.message == "from here on `at` says what time it is"


def test_steps_are_counted_at_the_pace_of_their_time() -> None:
    test = "request a {} at 1s given { engine.step_time: 0.1s/1step } expect a.request.waited_steps == 50steps"
    assert said(run(ARRIVAL, f"{test} at 2s expect a.request.waited_steps == 60steps")) == []


# --- promotion


def test_promotion_sticks() -> None:
    rules = "rank request.context\npromote when request.waited >= 5s and request.waited < 6s"
    rows = "request a { request.context: 9tok } request b { request.context: 3tok, request.waited: 6s }"
    assert said(run(rules, f"{rows} at 4.9s expect not a.request.promoted at 30s expect a.request.promoted")) == []
    (failure,) = run(rules, f"{rows} request c {{ request.waited: 9s }} at 30s expect rank c, b, a").failures
    assert failure.said == "at 30s: expected c, b, a; the order is a, c, b"
    assert failure.values == (("a", "rank 9, promoted"), ("c", "rank 1"), ("b", "rank 3"))


def test_who_is_given_as_promoted_stays_so() -> None:
    rows = "request a { request.context: 9tok, request.promoted: true } request b { request.context: 3tok }"
    assert said(run("rank request.context", f"{rows} expect rank a, b at 1s expect rank a, b")) == []


def test_a_request_that_has_not_arrived_is_no_part_of_an_order() -> None:
    rows = "request a {} request b { request.arrival: 7s }"
    (failure,) = run(ARRIVAL, f"{rows} at 5s expect rank a, b at 7s expect rank a, b").failures
    assert (failure.said, failure.values) == ("at 5s: not here yet: b", (("b", "arrives at 7s"),))


# --- what is in force


def test_preserve_moves_on_when_its_time_is_over() -> None:
    rules = f"{ARRIVAL}\non call preserve for 5s then swap for 9s then discard"
    test = """session s {}
      expect s paused preserve for 5s then swap for 9s then discard
      at 4.9s expect s paused preserve for 5s then swap for 9s then discard
      at 5s   expect s paused swap for 9s then discard
      at 9s   expect s paused discard"""
    assert said(run(rules, test)) == []
    assert said(run(rules, test.replace("session s {}", "session s { call.elapsed: 1s }"))) == [
        "at 4.9s: expected s paused preserve for 5s then swap for 9s then discard; "
        "the answer is swap for 9s then discard (line 4)"
    ]


def test_a_hold_that_nothing_follows_ends_in_discard() -> None:
    test = "session s {} at 4s expect s paused preserve for 5s at 5s expect s paused discard"
    assert said(run(f"{ARRIVAL}\non call preserve for 5s", test)) == []


def test_a_decision_is_taken_again_at_the_first_asking_after_its_time() -> None:
    test = "session s {} at 2.9s expect s paused preserve at 3s expect s paused discard"
    assert said(run(f"{ARRIVAL}\n{PAUSED}", test)) == []
    slow = "given { engine.step_time: 0.7s/1step } session s {}"
    test = f"{slow} at 2.7s expect s paused preserve at 2.8s expect s paused discard"
    assert said(run(f"{ARRIVAL}\n{PAUSED}", test)) == []


def test_a_failure_says_when_it_was_decided() -> None:
    (failure,) = run(f"{ARRIVAL}\n{PAUSED}", "session s {} at 3.5s expect s paused preserve").failures
    assert failure.said == "at 3.5s: expected s paused preserve; the answer is discard (line 5)"
    assert failure.values == (("s.call.elapsed", "3.5"), ("decided at", "3s"))


def test_a_call_that_begins_with_the_test_was_decided_at_0s() -> None:
    (failure,) = run("rank request.arrival\non call discard", "session s {} expect s paused preserve").failures
    assert ("decided at", "0s") in failure.values


def test_a_session_that_has_paused_for_long_is_asked_at_once() -> None:
    begins = "session s { call.elapsed: 0.5s } session long { call.elapsed: 3s }"
    assert said(run(f"{ARRIVAL}\n{PAUSED}", f"{begins} expect s paused preserve expect long paused discard")) == []


def test_nothing_comes_back_from_discard_and_swap_may_return() -> None:
    back = "while paused every 1s if call.elapsed >= 2s { preserve } else { again }"
    test = "session s {} at 1s expect s paused swap at 2s expect s paused preserve"
    assert said(run(f"{ARRIVAL}\non call swap\n{back}", test)) == []
    lost = "session s {} at 1s expect s paused discard at 9s expect s paused discard"
    assert said(run(f"{ARRIVAL}\non call discard\n{back}", lost)) == []


def test_again_asks_with_what_is_true_by_then() -> None:
    rules = f"{ARRIVAL}\non call if engine.waiting > 3 {{ discard }} else {{ preserve for 10s }}\n"
    test = "session s {} at 5s given { engine.waiting: 9 } expect s paused "
    assert said(run(f"{rules}while paused every 1s again", f"{test} discard")) == []
    assert said(run(rules, f"{test} preserve for 10s")) == []


def test_a_rule_sees_what_is_in_force() -> None:
    rules = f"{ARRIVAL}\non call preserve for 2s then swap\nwhile paused every 3s match handling "
    arms = "{ swap: discard preserve, discard, none: preserve }"
    test = "session s {} at 2.5s expect s paused swap at 3s expect s paused discard"
    assert said(run(f"{rules}{arms}", test)) == []


def test_every_step_is_every_step() -> None:
    rules = (
        f"{ARRIVAL}\non call preserve\nwhile paused every 2step if call.elapsed > 0.1s {{ swap }} else {{ preserve }}"
    )
    test = "session s {} at 0.119s expect s paused preserve at 0.12s expect s paused swap"
    assert said(run(rules, test)) == []


def test_a_way_that_takes_too_many_steps_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "MOST_ASKINGS", 40)
    rules = f"{ARRIVAL}\npromote when request.waited > 1h"
    test = "request a {} at 0.5s expect a.request.waited == 0.5s at 2s expect a.request.promoted"
    (failure,) = run(rules, test).failures
    assert "give a longer `engine.step_time`" in failure.message
    assert failure.at_s == 2.0


def test_coverage_sees_what_is_decided_on_the_way() -> None:
    rules = f"{ARRIVAL}\npromote when request.waited >= 5s\n{PAUSED}"
    head = f'lamps 1\npolicy p "t"\n{rules}\n'
    body = "session s {} request a {} expect s paused preserve expect not a.request.promoted"

    def missed(test: str) -> list[str]:
        results, coverage = run_covered(load_text(f'{head}test "it" {{ {test} }}'))
        assert all(r.passed for r in results)
        return [p.what for p in coverage.missed if p.what != "`rank`"]

    assert missed(body) == ["`promote` holding", "`while paused`", "`if` holding", "`if` not holding"]
    assert missed(f"{body} at 9s expect s paused discard expect a.request.promoted") == []


# --- a running call


SHAPE = (0.5, 0.8)


def of_call(rule: str, dist: nodes.Lognormal | float, elapsed_s: float) -> float:
    """`yield` of a session whose call has run so long."""
    loaded = load_text(f'lamps 1\npolicy p "t"\nrank request.arrival\nyield {rule}\n')
    assert loaded.policy is not None, loaded.diagnostics
    given = (("call.duration", dist), ("call.elapsed", elapsed_s))
    engine = engine_values(())
    row = row_values([nodes.Field(k, v, None) for k, v in given], engine)  # type: ignore[arg-type]
    (key,) = compile_policy(loaded.policy, loaded.source).scalar.yield_keys(row, engine)  # type: ignore[arg-type]
    return key


def spread() -> nodes.Lognormal:
    mu, sigma = SHAPE
    return nodes.Lognormal(math.exp(mu), math.exp(mu + sigma * 1.2815515655446004))


def survivors(elapsed_s: float, count: int = 200_000) -> list[float]:
    """Durations at equal shares of the chance that is left."""
    mu, sigma = SHAPE
    normal = NormalDist(mu, sigma)
    left = 1.0 - normal.cdf(math.log(elapsed_s))
    return [math.exp(normal.inv_cdf(1.0 - left * (i + 0.5) / count)) for i in range(count)]


@pytest.mark.parametrize("elapsed_s", [0.4, 2.0, 7.0])
@pytest.mark.parametrize("more_s", [-0.3, 0.0, 1.0, 20.0])
def test_chance_and_cap_of_a_running_call(elapsed_s: float, more_s: float) -> None:
    bound, values = elapsed_s + more_s, survivors(elapsed_s, 20_000)
    chance = sum(v <= bound for v in values) / len(values)
    assert of_call(f"chance(call.duration <= {bound}s)", spread(), elapsed_s) == pytest.approx(chance, abs=1e-4)
    assert of_call(f"chance(call.duration > {bound}s)", spread(), elapsed_s) == pytest.approx(1 - chance, abs=1e-4)
    mean = math.fsum(min(v, bound) for v in values) / len(values)
    assert of_call(f"capped(call.duration, {bound}s)", spread(), elapsed_s) == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("elapsed_s", [0.4, 2.0, 7.0])
@pytest.mark.parametrize("gain_s", [1.0, 6.0, 30.0])
def test_the_best_hold_of_a_running_call(elapsed_s: float, gain_s: float) -> None:
    found = of_call(f"best_hold(call.duration, {gain_s}s, 1)", spread(), elapsed_s)
    values = survivors(elapsed_s, 4000)[::-1]

    def worth(t: float) -> float:
        return gain_s * sum(v <= t for v in values) / len(values) - (t - elapsed_s)

    best = max((elapsed_s, *values[::40]), key=worth)
    assert found >= elapsed_s
    assert worth(found) == pytest.approx(worth(best), abs=0.02 * gain_s)


def test_statistics_of_a_running_call_are_those_of_what_it_can_still_be() -> None:
    values = survivors(2.0)[::-1]
    test = f"""session s {{ call.duration: lognormal({spread().p50}s, {spread().p90}s) }}
      at 2s expect s.call.duration.p50 > {values[len(values) // 2] * 0.999}s
      expect s.call.duration.p50 < {values[len(values) // 2] * 1.001}s
      expect s.call.remaining == s.call.duration - 2s
      expect s.call.duration.known"""
    assert said(run(ARRIVAL, test)) == []


def test_a_point_that_is_exceeded_is_as_long_again_and_not_known() -> None:
    test = """session s { call.duration: 2s }
      at 1.9s expect s.call.duration == 2s expect s.call.duration.known
      at 2s   expect s.call.duration == 4s expect not s.call.duration.known expect s.call.remaining == 2s
      at 9s   expect s.call.remaining == 9s expect s.call.duration.p99 == 18s"""
    assert said(run(ARRIVAL, test)) == []
    assert of_call("chance(call.duration <= 17s)", 2.0, 9.0) == 0.0
    assert of_call("best_hold(call.duration, 10s, 1)", 2.0, 9.0) == 18.0
    assert of_call("best_hold(call.duration, 8s, 1)", 2.0, 9.0) == 9.0


def test_a_mean_that_was_measured_stays_the_mean_of_a_cap_that_is_far() -> None:
    measured = Dist.from_moments(12.0, 0.0, 1.0, known=True).conditioned(3.0)
    stats = {f"call.duration.{s}": measured.stat(s) for s in ("mu", "sigma", "after")}
    loaded = load_text('lamps 1\npolicy p "t"\nyield capped(call.duration, 1000h)\n')
    assert loaded.policy is not None
    keys = compile_policy(loaded.policy, loaded.source).scalar.yield_keys
    assert keys({**stats, "call.duration": measured.mean}, {}) == (pytest.approx(measured.mean),)


def test_rules_that_are_asked_before_a_call_read_nothing_of_it() -> None:
    loaded = load_text(
        'lamps 1\npolicy p "t"\nrank chance(call.duration <= 2s), capped(call.duration, 2s)\n'
        "on call preserve for best_hold(call.duration, 1s, 1)\nwhile paused every 1s again\n"
    )
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    assert not {k for k in (*compiled.row_keys, *compiled.victim_keys) if k.endswith(".after")}
    assert "call.duration.after" in compiled.call_keys & compiled.paused_keys


# --- on call at arrival

AT_ARRIVAL = """rank match handling { preserve: 1, discard: 2, swap: 3, none: 4 }, highest request.arrival
on call at arrival if engine.running_tokens < 10tok { preserve } else { discard }
"""


def test_what_was_decided_at_arrival_is_read_from_then_on() -> None:
    result = run(
        AT_ARRIVAL,
        """
        request early { call.chance: 1 }
        request late  { call.chance: 1, request.arrival: 1s }
        request mute  { request.arrival: 2s }
        expect early on call preserve
        at 500ms
        given { engine.running_tokens: 20tok }
        at 3s
        given { engine.running_tokens: 0tok }
        expect early on call preserve
        expect late on call discard
        expect late.handling == discard
        expect mute.handling == none
        expect rank early, late, mute
        """,
    )
    assert said(result) == []


def test_at_the_call_it_is_of_now() -> None:
    rules = AT_ARRIVAL.replace(" at arrival", "")
    given = "request early { call.chance: 1 } at 1s given { engine.running_tokens: 20tok }"
    result = run(rules, f"{given} expect early on call discard expect early.handling == discard")
    assert said(result) == []


def test_only_what_a_test_reads_of_it_is_covered() -> None:
    """That `on call` is asked of everybody who arrives covers none of its arms."""
    rules = "on call at arrival least { preserve: call.duration, discard: 2s }\n"
    given = "request a { call.chance: 1, call.duration: 1s } request b { call.chance: 1, request.arrival: 1s }"
    order = "rank match handling { preserve: 1, discard: 2, swap: 3, none: 4 }, request.arrival"
    found = {}
    for rank in ("rank request.arrival", order):
        text = f'lamps 1\npolicy p "P."\n{rules}{rank}\ntest "t" {{ {given} expect rank a, b }}\n'
        results, covered = run_covered(load_text(text))
        assert [said(result) for result in results] == [[]]
        found[rank] = {point.what for point in covered.missed}
    assert "arm `preserve`" in found["rank request.arrival"]
    assert "arm `preserve`" not in found[order]
