"""Hints: what is read, what is refused, and that nothing raises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.runtime.hints import NO_HINTS, Hints, parse


def test_all_of_them() -> None:
    hints, problems = parse(
        {
            "session_id": "s1",
            "lamps_tenant": "acme",
            "lamps_call_tool": "search",
            "lamps_call_chance": 1,
            "lamps_call_duration_s": 2.5,
            "lamps_call_response_tokens": 40,
            "lamps_call_returns": 0.9,
            "lamps_output_tokens": 12,
            "lamps_output_after_tokens": 0,
            "lamps_calls_left": 3,
            "lamps_call_time_left_s": 7.5,
            "lamps_turn": "t-1",
            "lamps_may_call": 1,
            "top_n_sigma": 3,
        }
    )
    assert problems == ()
    assert hints == Hints("s1", "acme", "search", 1.0, 2.5, 40.0, 0.9, 12.0, 0.0, 3.0, 7.5, "t-1", True)
    assert isinstance(hints.output_tokens, float)


@pytest.mark.parametrize("empty", [None, {}, {"other": 1}, {"session_id": ""}, {"session_id": None}])
def test_nothing_said(empty: dict[str, object] | None) -> None:
    assert parse(empty) == (NO_HINTS, ())


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("lamps_call_duration_s", -1, "not between"),
        ("lamps_call_duration_s", "2", "str"),
        ("lamps_call_duration_s", True, "bool"),
        ("lamps_call_duration_s", math.nan, "finite"),
        ("lamps_output_tokens", math.inf, "finite"),
        ("lamps_output_tokens", 10**400, "not between"),
        ("lamps_call_chance", 1.5, "between 0 and 1"),
        ("lamps_call_tool", 7, "int, not text"),
        ("lamps_call_tool", "x" * 129, "longer than 128"),
        ("session_id", "a\nb", "printed"),
        ("lamps_may_call", 2, "0 or 1"),
        ("lamps_may_call", "yes", "0 or 1"),
        ("lamps_tool", "x", "not a hint"),
        ("session_id", ["a"], "list"),
    ],
)
def test_a_broken_hint_is_left_out_and_named(key: str, value: object, says: str) -> None:
    hints, problems = parse({key: value, "lamps_tenant": "acme"})
    assert hints == Hints(tenant="acme")
    assert len(problems) == 1
    assert problems[0].startswith(key) and says in problems[0]


def test_a_problem_never_quotes_the_text() -> None:
    assert "secret" not in parse({"session_id": "secret" * 100})[1][0]


@given(
    st.dictionaries(
        st.sampled_from(["session_id", "lamps_may_call", "lamps_call_chance", "lamps_x"]),
        st.from_type(object) | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_never_raises(extra: dict[str, object]) -> None:
    parse(extra)


def test_announces_call() -> None:
    assert Hints(call_tool="x").announces_call
    assert not Hints(call_tool="x", call_chance=0.4).announces_call
    assert not Hints(call_chance=1.0).announces_call
