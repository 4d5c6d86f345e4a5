"""The terms of a rank: as many values as the sum has parts, under the names of the file."""

from __future__ import annotations

import pytest

import policies
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load, load_text
from policy_dsl.terms import split
from policy_dsl.worlds import declared_values, engine_values, row_values

HEAD = 'lamps 1\npolicy p "P."\n'


def compiled(text: str) -> CompiledPolicy:
    loaded = load_text(HEAD + text)
    assert loaded.policy is not None, loaded.diagnostics
    return compile_policy(loaded.policy, loaded.source)


def test_a_sum_is_told_term_by_term() -> None:
    policy = compiled(
        "let a = request.prompt * 2\nlet b = request.context\n"
        "rank highest a - b + max(request.cached + 1tok, 0tok), request.arrival\n"
    )
    assert [(t.text, t.unit, t.key, t.highest, t.negative) for t in policy.terms.terms] == [
        ("a", "tokens", 0, True, False),
        ("b", "tokens", 0, True, True),
        ("max(request.cached + 1tok, 0tok)", "tokens", 0, True, False),
        ("request.arrival", "instant", 1, False, False),
    ]
    row = {"request.prompt": 10.0, "request.context": 5.0, "request.cached": 3.0, "request.arrival": 7.0}
    assert policy.terms.values(row, {}) == (20.0, 5.0, 4.0, 7.0)
    assert policy.scalar.rank(row, {})[0] == -(20.0 - 5.0 + 4.0)


def test_the_sum_of_a_let_is_not_opened() -> None:
    policy = compiled("let a = request.prompt + request.context\nrank a\n")
    assert [t.text for t in policy.terms.terms] == ["a"]


def test_a_policy_without_rank_has_no_terms() -> None:
    assert compiled("on call discard\n").terms.terms == ()


@pytest.mark.parametrize("name", policies.shipped())
def test_terms_of_shipped_policies_add_up_to_their_keys(name: str) -> None:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    policy = compile_policy(loaded.policy, loaded.source)
    engine = engine_values(())
    row = row_values((), engine)
    row |= declared_values((), row, policy)
    keys = policy.scalar.rank(row, engine)
    values = policy.terms.values(row, engine)
    for number, key in enumerate(keys[: max((t.key for t in policy.terms.terms), default=-1) + 1]):
        mine = [(t, v) for t, v in zip(policy.terms.terms, values, strict=True) if t.key == number]
        total = sum(-v if t.negative else v for t, v in mine)
        if mine[0][0].highest:
            total = not total if isinstance(key, bool) else -total
        assert float(key) == pytest.approx(float(total))


def test_signs_inside_brackets_and_of_numbers_do_not_split() -> None:
    assert split("a + (b - c) * d - max(e + f, -1) + x", "+-") == ["a", "(b - c) * d", "max(e + f, -1)", "x"]
