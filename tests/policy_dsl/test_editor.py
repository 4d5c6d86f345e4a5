"""What editors are told: words at a place, offers, definitions, fixes that have been tried."""

from __future__ import annotations

import time

import pytest

import policies
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.editor.actions import actions, apply
from policy_dsl.editor.completion import Item, ItemKind, complete
from policy_dsl.editor.document import Document, read
from policy_dsl.editor.hover import hover
from policy_dsl.editor.inlay import inlays
from policy_dsl.editor.navigation import SymbolKind, definition, symbols
from policy_dsl.editor.words import OTHERS, STATEMENTS
from policy_dsl.lexer import lex
from policy_dsl.loading import load_text
from policy_dsl.parser import parser

TEXT = """lamps 1

policy p "t"

param patience = 10s in 1s..1h  # how long
# what is kept
let keep = call.duration * call.context
let area(n: tokens, any) = n * 2s / max(any, 1)

class batch { weight: 3 }
hint urgency = 0 in 0..1

on call least {
  preserve: keep
  discard:  prefill_area(call.context, 0)
}

rank keep, class.weight, hint.urgency, area(request.context, 100ms / 1s)
promote when request.waited >= patience

test "t" {
  request slow { call.duration: 3s }
  expect slow.call.duration > 2s
}
"""


def at(text: str, cursor: str = "|") -> tuple[Document, int, int]:
    """*text* without its cursor, and where that stood."""
    before, _, after = text.partition(cursor)
    return read(before + after), before.count("\n") + 1, len(before) - before.rfind("\n")


def place(needle: str, into: int = 1) -> tuple[int, int]:
    """*into* characters behind the beginning of the first *needle* in TEXT."""
    i = TEXT.index(needle) + into
    return TEXT.count("\n", 0, i) + 1, i - TEXT.rfind("\n", 0, i)


DOC = read(TEXT)


def test_the_example_is_sound() -> None:
    assert [f.message for f in DOC.loaded.diagnostics] == []


@pytest.mark.parametrize(
    ("needle", "words"),
    [
        ("call.duration *", ["call.duration: seconds", "`.p90`"]),
        ("request.waited", ["request.waited: seconds", "waiting"]),
        ("keep\n", ["let keep: token·seconds = call.duration * call.context", "what is kept"]),
        ("patience\n", ["param patience: seconds = 10s in 1s..1h", "how long"]),
        ("area(request", ["let area(n: tokens, any)"]),
        ("prefill_area(call", ["token·seconds", "From the prelude"]),
        ("max(any", ["max(a, b, ...)", "largest"]),
        ("n * 2s", ["n: tokens", "argument"]),
        ("any, 1", ["any: any type"]),
        ("100ms", ["= 0.1 (seconds)"]),
        ("class.weight", ["class.weight: number", "class"]),
        ("hint.urgency", ["hint.urgency: number"]),
        ("call least", ["**on call**"]),
        ("promote when", ["**promote**"]),
        ("least {", ["**least**"]),
        ("slow.call", ["call.duration: seconds"]),
    ],
)
def test_hover(needle: str, words: list[str]) -> None:
    found = hover(DOC, *place(needle))
    assert found is not None
    assert [word for word in words if word not in found.text] == []


def test_hover_says_nothing_where_nothing_is() -> None:
    assert hover(DOC, *place("# how long", 3)) is None
    assert hover(DOC, 2, 1) is None
    assert hover(read(""), 1, 1) is None


def test_hover_of_a_statistic() -> None:
    doc, line, column = at('lamps 1\npolicy p "t"\nrank call.dur|ation.p90, call.duration.known')
    found = hover(doc, line, column)
    assert found is not None
    assert "call.duration.p90: seconds" in found.text
    assert "90 of 100 are at most this" in found.text


def test_everything_typed_is_known_despite_errors_elsewhere() -> None:
    doc, line, column = at('lamps 1\npolicy p "t"\nlet a = = 3\nlet b = 2s + 1tok\nlet c = 3tok * 1s\nrank c|, nope')
    found = hover(doc, line, column)
    assert found is not None
    assert "let c: token·seconds" in found.text


# --- definitions and outline


@pytest.mark.parametrize(
    ("needle", "defined"),
    [
        ("keep\n", "keep = call"),
        ("patience\n", "patience ="),
        ("area(request", "area(n"),
        ("n * 2s", "n: tokens"),
        ("class.weight", "weight: 3"),
        ("hint.urgency", "urgency = 0"),
        ("slow.call", "slow {"),
    ],
)
def test_definition(needle: str, defined: str) -> None:
    span = definition(DOC, *place(needle))
    assert span is not None
    assert (span.line, span.column) == place(defined, 0)


def test_definition_in_the_prelude_and_nowhere() -> None:
    span = definition(DOC, *place("prefill_area"))
    assert span is not None
    assert span.source.path == "<prelude>"
    assert span.source.line(span.line).startswith("let prefill_area(")
    assert definition(DOC, *place("request.waited")) is None


def test_outline() -> None:
    found = [(s.name, s.kind) for s in symbols(DOC)]
    assert found[:4] == [
        ("p", SymbolKind.POLICY),
        ("patience", SymbolKind.PARAM),
        ("keep", SymbolKind.VALUE),
        ("area(n: tokens, any)", SymbolKind.FUNCTION),
    ]
    assert ("on call", SymbolKind.RULE) in found
    assert found[-1] == ("t", SymbolKind.TEST)


def test_inlays_stand_behind_names_and_arguments() -> None:
    found = [(i.line, i.column, i.text) for i in inlays(DOC, 1, 99)]
    assert (7, len("let keep") + 1, ": token·seconds") in found
    assert inlays(DOC, 1, 6) == []
    typed = read('lamps 1\npolicy p "t"\nlet f(x: tokens, t: duration) = x * t\nrank f(1tok, 1s)')
    assert [(i.column, i.text) for i in inlays(typed, 1, 9)] == [
        (len("let f(x: tokens, t: duration)") + 1, ": token·seconds")
    ]


# --- completion


def offers(text: str) -> dict[str, Item]:
    doc, line, column = at(text)
    return {item.label: item for item in complete(doc, line, column).items}


HEAD = 'lamps 1\npolicy p "t"\nlet size = 3tok\n'


def test_a_line_begins_with_a_statement() -> None:
    found = offers(HEAD + "pro|")
    assert set(found) == set(STATEMENTS)
    assert list(offers("|")) == ["lamps 1"]


def test_values_are_offered_with_their_units() -> None:
    found = offers(HEAD + "rank call.du|")
    assert found["call.duration"].detail == "seconds"
    assert "call.duration.p90" not in found
    found = offers(HEAD + "rank |\nlet later = 2")
    assert found["size"].detail == "tokens"
    assert found["prefill_time"].insert == "prefill_time($0)"
    assert found["request.arrival"].kind is ItemKind.SIGNAL
    assert "later" not in found
    assert "cost.prefill" not in found


def test_statistics_come_after_the_dot_of_a_prediction() -> None:
    assert offers(HEAD + "rank call.duration.|")["call.duration.known"].detail == "bool"


def test_what_has_been_typed_is_replaced() -> None:
    doc, line, column = at(HEAD + "rank 1 + call.du|")
    typed = complete(doc, line, column).typed
    assert (typed.column, typed.end_column) == (len("rank 1 + ") + 1, len("rank 1 + call.du") + 1)


def test_inside_tests() -> None:
    assert set(offers(HEAD + 'test "t" {\n  |\n}')) == {"request", "given", "at", "expect"}
    fields = offers(HEAD + 'param q = 3 in 0..9\ntest "t" {\n  request a { | }\n}')
    assert fields["call.tool"].insert == "call.tool: "
    assert fields["q"].kind is ItemKind.PARAM
    assert "min" not in fields
    values = offers(HEAD + 'test "t" {\n  request a { call.chance: 1 }\n  expect a.|\n}')
    assert "a.call.chance" in values
    assert "a.size" in values
    assert "a.handling" in values


def test_limits_comments_and_texts() -> None:
    assert "pinned" in offers(HEAD + "limit |")
    assert offers(HEAD + "# rank |") == {}
    assert offers(HEAD + 'policy x "rank |') == {}


def test_what_is_offered_can_be_typed() -> None:
    """Every signal and every function offered for a value is one that the language knows."""
    for item in offers(HEAD + "rank |").values():
        if item.kind is ItemKind.SIGNAL:
            found = load_text(f"{HEAD}let x = if {item.label} == {item.label} {{ 1 }} else {{ 2 }}").diagnostics
            assert not [f for f in found if f.code in ("LMP101", "LMP102")], item.label


def test_words_are_words_of_the_language() -> None:
    for name in (*OTHERS, *(word for statement in STATEMENTS for word in statement.split())):
        (token,), _ = lex(parser(), Source("a", name))
        assert token.type not in ("NAME", "PATH"), name


# --- quick fixes


def test_did_you_mean_becomes_a_fix() -> None:
    doc = read(HEAD + "rank request.arival\npromote when request.waited > 5sec\n")
    found = actions(doc, 4, 5)
    assert [(a.title, a.finding.span.line) for a in found] == [("write `request.arrival`", 4), ("write `5s`", 5)]
    assert load_text(apply(doc, (*found[0].edits, *found[1].edits))).diagnostics == ()
    assert actions(doc, 1, 3) == []


def test_a_proposal_that_mends_nothing_is_not_offered() -> None:
    doc = read(HEAD + "promote when 1s < request.waited < 5s\n")
    assert doc.findings[0].help.startswith("comparisons do not chain")
    assert actions(doc, 1, 9) == []


def test_a_brace_is_closed() -> None:
    doc = read(HEAD + "on call least {\n  preserve: size\n  discard: 2tok")
    (action,) = actions(doc, 1, 9)
    assert load_text(apply(doc, action.edits)).diagnostics == ()


def test_fixes_of_rules_are_offered() -> None:
    doc = read(policies.find("fcfs").read_text().replace("on call", "let unused = 3\n\non call", 1))
    with_fix = [f for f in doc.findings if f.fix is not None]
    assert with_fix
    found = actions(doc, 1, 99)
    assert with_fix[0].fix is not None
    assert with_fix[0].fix.title in [a.title for a in found]


# --- anything goes


def test_half_typed_policies_are_no_trouble() -> None:
    text = policies.find("lamps").read_text()
    for end in range(0, len(text), 37):
        doc = read(text[:end])
        line, column = text[:end].count("\n") + 1, end - text[:end].rfind("\n")
        complete(doc, line, column)
        hover(doc, line, column)
        definition(doc, line, column)
        inlays(doc, 1, 99)
        symbols(doc)


def test_a_keystroke_is_answered_in_time() -> None:
    text = policies.find("lamps").read_text()
    head, *tests = text.split("\ntest ")
    long = head + "".join(f'\ntest "{i} {t[1:]}' for i in range(4) for t in tests)
    assert long.count("\n") > 300
    read(long).findings  # noqa: B018 - warms up
    began = time.process_time()
    doc = read(long + " ")
    assert doc.findings == ()
    complete(doc, 20, 20)
    assert time.process_time() - began < 0.1


def test_spans_are_of_the_text(doc: Document = DOC) -> None:
    found = hover(doc, *place("keep\n"))
    assert found is not None
    assert isinstance(found.span, Span)
    assert (found.span.column, found.span.end_column) == (13, 17)
