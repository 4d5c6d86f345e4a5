"""What is predicted before anything was seen, after, and against what the client says."""

from __future__ import annotations

import random

import pytest

from engine_adapter.runtime import predictor as module
from engine_adapter.runtime.hints import NO_HINTS, Hints
from engine_adapter.runtime.learned import MOST_CLASSES
from engine_adapter.runtime.predictor import USER, Forecast, Predictor
from engine_adapter.runtime.sessions import Session

OFFERED = Hints(may_call=True)


def new(tenant: str = "") -> Session:
    return Session("s", None, tenant, arrival=0.0, last_seen=0.0)


def ask(
    predictor: Predictor, session: Session, hints: Hints = OFFERED, prompt: int = 400, most: int | None = None
) -> Forecast:
    predictor.begin_turn(session, prompt)
    return predictor.forecast(session, hints, hints.may_call, most)


def live(predictor: Predictor, tool: str, output: int, duration: float, turns: int = 5, prompt: int = 400) -> None:
    """A session of *turns* calls of *tool*, then an answer."""
    session = new()
    for i in range(turns + 1):
        ask(predictor, session, prompt=prompt)
        last = i == turns
        predictor.learn_turn(session, OFFERED, output, not last, USER if last else tool)
        if not last:
            predictor.learn_call(session, tool, duration, 30)


def test_a_cold_start_is_told_from_knowledge() -> None:
    found = ask(Predictor(), new())
    assert found.duration.mean == module.DEFAULT_DURATION_S
    assert found.output.mean == module.DEFAULT_OUTPUT_TOKENS
    assert (found.tool, found.chance, found.returns) == ("", 0.5, 1.0)
    assert not any(d.known for d in (found.duration, found.response, found.output, found.output_after))


def test_a_turn_that_cannot_call_ends_with_a_person() -> None:
    found = ask(Predictor(), new(), NO_HINTS)
    assert (found.tool, found.chance, found.returns) == (USER, 0.0, module.DEFAULT_USER_RETURNS)
    assert found.duration.mean == module.DEFAULT_USER_S


def test_a_tool_is_measured() -> None:
    predictor = Predictor()
    rng = random.Random(1)
    for _ in range(500):
        predictor.learn_call(new(), "search", rng.lognormvariate(0.0, 0.5), 100)
    found = ask(predictor, new(), Hints(call_tool="search"))
    assert found.duration.known and found.response.known
    assert found.duration.mean == pytest.approx(1.13, rel=0.2)
    assert found.duration.stat("p90") == pytest.approx(1.9, rel=0.25)
    assert found.response.mean == pytest.approx(100)


def test_a_tool_never_seen_is_like_any_tool_and_a_person_is_no_tool() -> None:
    predictor = Predictor()
    for _ in range(9):
        predictor.learn_call(new(), "search", 2.0, 50)
        predictor.learn_call(new(), USER, 500.0, 9)
    found = predictor.call(new(), NO_HINTS, ("other",))
    assert found.duration.mean == pytest.approx(2.0)
    assert not found.duration.known
    assert predictor.call(new(), NO_HINTS, (USER,)).duration.mean == pytest.approx(500.0)


def test_what_a_tool_took_long_ago_is_forgotten() -> None:
    predictor = Predictor()
    for duration in (100.0,) * 500 + (1.0,) * 400:
        predictor.learn_call(new(), "search", duration, 1)
    assert predictor.call(new(), NO_HINTS, ("search",)).duration.mean < 1.5


def test_one_measurement_is_not_certainty() -> None:
    predictor = Predictor()
    predictor.learn_call(new(), "search", 2.0, 10)
    duration = predictor.call(new(), NO_HINTS, ("search",)).duration
    assert duration.mean == 2.0
    assert duration.stat("p90") > 2.5


def test_of_parallel_calls_the_longest_counts() -> None:
    predictor = Predictor()
    predictor.learn_call(new(), "fast", 0.1, 10)
    predictor.learn_call(new(), "slow", 9.0, 20)
    found = predictor.call(new(), NO_HINTS, ("fast", "slow", "fast"))
    assert (found.tool, found.duration.mean) == ("slow", 9.0)


def test_hints_win() -> None:
    predictor = Predictor()
    live(predictor, "search", 50, 1.0)
    hints = Hints(
        call_tool="paint",
        call_duration_s=20.0,
        call_response_tokens=3.0,
        call_returns=0.2,
        output_tokens=7.0,
        output_after_tokens=8.0,
    )
    found = ask(predictor, new(), hints)
    assert (found.tool, found.chance, found.returns) == ("paint", 1.0, 0.2)
    assert [d.mean for d in (found.duration, found.response, found.output, found.output_after)] == [20.0, 3.0, 7.0, 8.0]
    assert found.duration.known and found.output.known
    assert predictor.call(new(), hints, ("paint",)).duration.mean == 20.0
    assert predictor.call(new(), hints, ("search",)).duration.mean == pytest.approx(1.0)


def test_a_hinted_chance_below_a_half_is_no_call() -> None:
    found = ask(Predictor(), new(), Hints(call_tool="paint", call_chance=0.3))
    assert (found.tool, found.chance) == (USER, 0.3)


def test_output_is_capped() -> None:
    assert ask(Predictor(), new(), most=16).output.stat("p99") == 16
    assert ask(Predictor(), new(), Hints(output_tokens=90.0), most=16).output.mean == 16


def test_kinds_of_task_are_told_apart_by_their_first_prompt() -> None:
    predictor = Predictor()
    for _ in range(20):
        live(predictor, "math", 300, 0.001, prompt=400)
        live(predictor, "paint", 20, 15.0, prompt=100)
    long, short = ask(predictor, new(), prompt=450), ask(predictor, new(), prompt=90)
    assert (long.tool, short.tool) == ("math", "paint")
    assert long.output.mean > 200
    assert short.output.mean < 60
    assert (long.duration.mean, short.duration.mean) == (pytest.approx(0.001), pytest.approx(15.0))


def test_a_session_has_its_own_habits() -> None:
    predictor, session = Predictor(), new()
    for _ in range(20):
        live(predictor, "search", 50, 1.0)
    before = ask(predictor, session).output.mean
    for _ in range(8):
        predictor.learn_turn(session, OFFERED, 500, True, "search")
    assert before < 60
    assert ask(predictor, session).output.mean > 250


def test_the_chance_of_a_call_is_learned_by_class_and_session() -> None:
    predictor = Predictor()
    for _ in range(50):
        live(predictor, "search", 50, 1.0, turns=9)
    session = new()
    assert ask(predictor, session).chance > 0.75
    for _ in range(60):
        predictor.learn_turn(session, OFFERED, 50, False, USER)
    assert ask(predictor, session).chance < 0.3


def test_turns_that_could_not_call_say_nothing_of_chance() -> None:
    predictor = Predictor()
    for _ in range(50):
        predictor.learn_turn(new(), NO_HINTS, 10, False, USER)
    assert ask(predictor, new()).chance == 0.5


def test_several_likely_tools_make_a_mixture() -> None:
    predictor = Predictor()
    for _ in range(40):
        live(predictor, "fast", 50, 1.0, turns=1)
        live(predictor, "slow", 50, 9.0, turns=1)
    found = ask(predictor, new())
    assert found.tool == ""
    assert found.duration.mean == pytest.approx(5.0, rel=0.1)
    assert found.duration.stat("p90") > 7.0


def test_what_comes_after_a_call_is_what_followed_it_before() -> None:
    predictor = Predictor()
    for _ in range(30):
        session = new()
        ask(predictor, session)
        predictor.learn_turn(session, OFFERED, 200, True, "search")
        predictor.learn_turn(session, OFFERED, 20, False, USER)
    found = ask(predictor, new())
    assert found.output.mean > 150
    assert found.output_after.mean < 60


def test_sessions_that_never_return() -> None:
    predictor = Predictor()
    for _ in range(40):
        predictor.learn_loss("deploy")
    assert ask(predictor, new(), Hints(call_tool="deploy")).returns < 0.2
    for _ in range(200):
        predictor.learn_call(new(), "deploy", 1.0, 1)
    assert ask(predictor, new(), Hints(call_tool="deploy")).returns > 0.9


def test_a_preempted_turn_has_less_to_generate() -> None:
    predictor = Predictor()
    found = ask(predictor, new(), Hints(output_tokens=100.0))
    once = predictor.remaining(found, 30)
    assert once.output.mean == 70.0
    assert predictor.remaining(once, 60).output.mean == 40.0


def test_the_number_of_classes_is_bounded() -> None:
    predictor = Predictor()
    for i in range(3 * MOST_CLASSES):
        predictor.learn_call(new(f"t{i}"), f"tool{i}", 1.0, 1)
        predictor.learn_turn(new(f"t{i}"), OFFERED, 1, True, f"tool{i}")
    state = predictor.state()
    assert len(state.pop("next")) <= MOST_CLASSES * module._MOST_NEXT
    assert max(map(len, state.values())) == MOST_CLASSES


def test_state_makes_another_that_predicts_the_same() -> None:
    one, other = Predictor(), Predictor()
    for _ in range(5):
        live(one, "search", 50, 1.0)
    other.merge(one.state())
    assert ask(other, new()) == ask(one, new())
    assert other.state() == one.state()


def test_merging_weighs_by_what_was_seen() -> None:
    one, other, both = Predictor(), Predictor(), Predictor()
    for _ in range(30):
        one.learn_call(new(), "search", 1.0, 1)
    for _ in range(10):
        other.learn_call(new(), "search", 5.0, 1)
    both.merge(one.state())
    both.merge(other.state())
    duration = both.call(new(), NO_HINTS, ("search",)).duration
    assert duration.mean == pytest.approx(2.0)
    assert duration.sigma > 0.5  # two different engines: the spread between them counts
