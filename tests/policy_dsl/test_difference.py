"""Policies compared by what they mean."""

from __future__ import annotations

from policies import shipped
from policy_dsl.difference import Difference, differences
from policy_dsl.loading import load, load_text

HEAD = 'lamps 1\npolicy p "t"\n'
RULES = """param most = 2s in 1s..9s
let keep = call.duration * call.context
let double(x: tokens) = x * 2
on call least { preserve: keep discard: most * double(call.context) }
rank request.context + request.generated, request.arrival
promote when request.waited > most
limit pinned <= 40%
"""


def found(one: str, other: str) -> list[str]:
    loaded = [load_text(HEAD + text) for text in (one, other)]
    assert not [x.diagnostics for x in loaded if x.diagnostics]
    return [d.what for d in differences(*loaded)]


def test_layout_comments_tests_and_names_of_lets_do_not_count():
    other = RULES.replace("keep", "held").replace("<= 40%", "<=   40%  # at most") + 'test "t" { expect 1 == 1 }'
    assert found(RULES, other) == []


def test_every_statement_can_differ():
    for before, after, what in (
        ("most = 2s", "most = 3s", "param most"),
        ("1s..9s", "1s..8s", "param most"),
        ("request.generated, request.arrival", "request.generated, highest request.arrival", "rank"),
        ("request.context + request.generated", "request.context - request.generated", "rank"),
        ("waited > most", "waited >= most", "promote"),
        ("<= 40%", "<= 41%", "limit pinned"),
    ):
        assert found(RULES, RULES.replace(before, after)) == [what], what


def test_a_statement_too_many():
    assert found(RULES, RULES.replace("limit pinned <= 40%\n", "")) == ["limit pinned"]
    assert found(RULES, RULES + "victim highest request.context\nlimit swapping <= 10%") == [
        "victim",
        "limit swapping",
    ]


def test_a_changed_let_is_named_with_the_rules_it_changes():
    assert found(RULES, RULES.replace("call.duration * call", "call.duration.p90 * call")) == ["on call", "let keep"]
    assert found(RULES, RULES.replace("x * 2", "x * 3")) == ["on call", "let double"]
    unused = "let nothing = 1\n"
    assert found(RULES + unused, RULES + unused.replace("1", "2")) == []


def test_both_texts_are_told():
    one, other = (load_text(f"{HEAD}rank {key}") for key in ("request.arrival", "request.context"))
    assert differences(one, other) == (Difference("rank", "rank request.arrival", "rank request.context"),)


def test_what_is_taken_over_counts_as_if_it_stood_there():
    lamps = load(shipped()["lamps"])
    child = load_text('lamps 1\npolicy child "t"\nextends lamps\n')
    assert differences(lamps, child) == ()
    eager = load_text('lamps 1\npolicy child "t"\nextends lamps\noverride param patience = 5s in 100ms..1h\n')
    assert [d.what for d in differences(lamps, eager)] == ["param patience"]
