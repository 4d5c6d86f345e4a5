"""Fixes: what they write, that they keep the meaning, and that they end."""

from __future__ import annotations

import re

import pytest

from policy_dsl import ir
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix, Severity, Source, Span
from policy_dsl.interpret import evaluate
from policy_dsl.lint import registry
from policy_dsl.lint.fix import fixed
from policy_dsl.lint.run import fix, lint
from policy_dsl.loading import load_text
from policy_dsl.worlds import engine_values
from tests.policy_dsl.test_lint import blocks, whole

HEAD = 'lamps 1\npolicy p "A policy."\n'


def mended(body: str, head: str = HEAD) -> str:
    loaded = load_text(head + body)
    assert loaded.policy is not None, loaded.diagnostics
    return fix(loaded)[0].removeprefix(head)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rank highest -predict.output, request.arrival\n", "rank predict.output, request.arrival\n"),
        ("rank -predict.output\n", "rank highest predict.output\n"),
        ("rank 1 * predict.output + 0tok\n", "rank predict.output\n"),
        ("rank request.arrival, predict.output, session.turn\n", "rank request.arrival\n"),
        ("rank session.turn, predict.output, session.turn\n", "rank session.turn, predict.output\n"),
        ("rank lowest predict.output\n", "rank predict.output\n"),
        ("param x = 1 in 0..2  # nobody reads it\nrank request.arrival\n", "rank request.arrival\n"),
        ("let a = 1\nlet b = a + 1\nrank request.arrival\n", "rank request.arrival\n"),
        ("# kept\nlet a = 1 # gone\n# kept too\nrank request.arrival\n", "# kept\n# kept too\nrank request.arrival\n"),
        ("on call if not not engine.can_swap { swap } else { discard }\n",
         "on call if engine.can_swap { swap } else { discard }\n"),
        ("on call if engine.can_swap != true { discard } else { swap }\n",
         "on call if not engine.can_swap { discard } else { swap }\n"),
        ("on call least { discard: 1s }\n", "on call discard\n"),
        ("on call least { swap: 2s when engine.can_swap discard: 1s }\n", "on call least { swap: 2s discard: 1s }\n"),
        ("rank request.arrival  # lamps: allow title -- once\n", "rank request.arrival\n"),
        ("# lamps: allow title -- once\nrank request.arrival\n", "rank request.arrival\n"),
        ("rank request.arrival\npromote when request.age > 1min\n", "rank request.arrival\n"),
        ("on call discard\nlimit pinned <= 100%\n", "on call discard\n"),
    ],
)  # fmt: skip
def test_what_is_written(before, after):
    assert mended(before) == after


def test_a_title_becomes_a_sentence():
    assert mended("rank request.arrival\n", 'lamps 1\npolicy p "shortest job"\n') == (
        'lamps 1\npolicy p "Shortest job."\nrank request.arrival\n'
    )


def test_what_a_test_mentions_is_not_removed():
    body = 'param x = 1 in 0..2\ntest "t" { given { x: 2 } expect x == 2 }\n'
    assert mended(body) == body


@pytest.mark.parametrize("code", registry.entries())
def test_fixes_end_and_leave_nothing_to_fix(code):
    for text in blocks(registry.find(code).load().page(), "Avoid"):
        loaded = load_text(whole(text))
        done, count = fix(loaded)
        again = load_text(done)
        assert again.policy is not None
        assert not [f for f in lint(again).findings if f.fix]
        fixable = [f for f in lint(loaded).findings if f.fix]
        assert bool(fixable) == bool(count)
        if fixable:
            assert done != loaded.source.text


@pytest.mark.parametrize("code", ["LMP308", "LMP310", "LMP311", "LMP601", "LMP607", "LMP608", "LMP610", "LMP611"])
def test_fixes_keep_the_order(code):
    """The keys of the mended rank sort a few rows as those of the first did."""
    for text in blocks(registry.find(code).load().page(), "Avoid"):
        loaded = load_text(whole(text))
        after = load_text(fix(loaded)[0])
        assert loaded.policy is not None
        assert after.policy is not None
        assert _order(loaded.policy) == _order(after.policy)


def _order(policy: ir.Policy) -> list[int]:
    params = {p.name: p.default for p in policy.params}
    rows = []
    for i, (tokens, turn) in enumerate([(5.0, 3.0), (1.0, 2.0), (1.0, 1.0), (9.0, 2.0)]):
        values = engine_values(()) | {
            "predict.output": tokens, "session.turn": turn, "request.context": tokens, "request.cached": 1.0,
            "request.arrival": 10.0 + i % 3, "request.age": 5.0, "request.waited": 5.0,
        }  # fmt: skip
        keys = [(evaluate(k.expr, values, {}, params), k.highest) for k in policy.rank]
        rows.append(([-v if high else v for v, high in keys], i))
    return [i for _, i in sorted(rows)]


def test_overlapping_fixes_wait_for_the_next_round():
    source = Source("a", "abcdef\n")

    def finding(start: int, end: int, text: str) -> Diagnostic:
        span = Span(source, 1, start, 1, end)
        return Diagnostic("LMP611", Severity.WARNING, "x", span, fix=Fix("x", (Edit(span, text),)))

    assert fixed(source, [finding(1, 4, "X"), finding(2, 5, "Y"), finding(5, 6, "Z")]) == ("XdZf\n", 2)
    assert fixed(source, [finding(2, 2, "-"), finding(2, 2, "+")]) == ("a-bcdef\n", 1)


def test_titles_of_fixes_are_orders():
    for entry in registry.entries().values():
        for text in blocks(entry.load().page(), "Avoid"):
            for f in lint(load_text(whole(text))).findings:
                assert f.fix is None or re.match(r"(remove|keep|say|write) ", f.fix.title), f.fix
