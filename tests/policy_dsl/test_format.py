"""The formatter: one layout, the same meaning, every comment kept, and nothing left to do the second time."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import policies
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Source
from policy_dsl.formatting import comments, format_source, same_syntax
from policy_dsl.formatting.columns import WIDTH
from policy_dsl.lexer import lex
from policy_dsl.parser import parse, parser

HERE = Path(__file__).parent
GOLDEN = sorted((HERE / "format").glob("*.before.lamps"))
FILES = [*policies.shipped().values(), *sorted((HERE / "corpus" / "ok").glob("*.lamps")), *GOLDEN]
TEXTS = {path.name: path.read_text(encoding="utf-8-sig") for path in FILES}
HEAD = 'lamps 1\n\npolicy p "t"\n\n'


def formatted(text: str) -> str:
    done = format_source(Source("a.lamps", text))
    assert done.text is not None, done.diagnostics
    return done.text


def body(text: str) -> str:
    return formatted(HEAD + text).removeprefix(HEAD)


@pytest.mark.parametrize("before", GOLDEN, ids=lambda path: path.name)
def test_golden_files(before: Path) -> None:
    after = before.with_name(before.name.replace(".before", ".after"))
    assert formatted(before.read_text()) == after.read_text()


@pytest.mark.parametrize("name", TEXTS)
def test_formatting_again_changes_nothing(name: str) -> None:
    once = formatted(TEXTS[name])
    assert formatted(once) == once
    assert comments(once) == comments(TEXTS[name])
    assert all(line == line.rstrip() for line in once.split("\n"))
    assert "\n\n\n" not in once
    assert once.endswith("\n")
    assert not once.endswith("\n\n")


def mangled(text: str, choice: random.Random) -> str:
    """*text* with other blanks, line breaks and comments between its tokens, and other commas between entries."""
    source = Source("a.lamps", text)
    tokens, _ = lex(parser(), source)
    written = [tokens[0]] if choice.random() < 0.5 else [_gap(choice, "\n"), tokens[0]]
    for before, token in pairwise(tokens):
        apart = text[before.end_pos : token.start_pos] != "" or choice.random() < 0.2
        needed = "\n" if before.type == "HEADER" else " " if apart else ""
        between = _gap(choice, needed) if choice.random() < 0.3 else needed
        written += [between, token]
    return "".join(written) + _gap(choice, "")


def _gap(choice: random.Random, needed: str) -> str:
    pieces = [needed]
    for _ in range(choice.randint(1, 3)):
        kinds = (" ", "\t", "\n", "\n\n", "\n \n\n  ", f" # note {choice.randint(0, 99)},\n", '\n  #"odd\n')
        pieces.append(choice.choice(kinds))
    return "".join(pieces)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(TEXTS)), seed=st.integers(0, 2**32))
def test_whatever_the_blanks_and_comments_are(name: str, seed: int) -> None:
    text = mangled(TEXTS[name], random.Random(seed))
    once = formatted(text)
    assert formatted(once) == once
    assert comments(once) == comments(text)
    assert same_syntax(parse(Source("a", text)).statements, parse(Source("b", TEXTS[name])).statements)
    assert same_syntax(parse(Source("a", once)).statements, parse(Source("b", TEXTS[name])).statements)
    assert minuses_that_begin_lines(once) == []


def minuses_that_begin_lines(text: str) -> list[int]:
    """The lines that begin with a minus whose left side is on the line before."""
    tokens, _ = lex(parser(), Source("a", text))
    return [
        token.line or 0
        for before, token in pairwise(tokens)
        if token == "-" and token.line != before.line and before.type in ("NAME", "PATH", "NUMBER", "QUANTITY", "RPAR")
    ]


def test_same_syntax_sees_every_difference() -> None:
    one = parse(Source("a", HEAD + "let a = 1 + 2 * 3")).statements
    assert same_syntax(one, parse(Source("b", HEAD + "\n\nlet a=1+2*3")).statements)
    for other in ("let a = (1 + 2) * 3", "let b = 1 + 2 * 3", "let a = 1 + 2 * 4", "let a = 1 + 2 * 3 let b = 1", ""):
        assert not same_syntax(one, parse(Source("b", HEAD + other)).statements), other


def test_a_minus_never_begins_a_line() -> None:
    assert minuses_that_begin_lines("lamps 1\nlet a = b\n - c\nlet d = e -\n f") == [3]
    assert body("let a = request.context\n - 5tok") == "let a = request.context - 5tok\n"
    assert body("let a = request.context # why\n - 5tok") == "let a = request.context -  # why\n        5tok\n"


def test_breaks_of_a_sum_stay_and_others_go() -> None:
    assert body("let a = 1\n + 2\n + 3\n") == "let a = 1\n      + 2\n      + 3\n"
    assert body("let a = 1 +\n 2 *\n 3\n") == "let a = 1 + 2 * 3\n"
    assert body("let a = max(1,\n 2)\n") == "let a = max(1, 2)\n"


def test_braces_stay_open_if_they_were() -> None:
    assert body("on call if true { discard } else { swap }") == "on call if true { discard } else { swap }\n"
    opened = "on call if true {\n  discard\n} else {\n  swap\n}\n"
    assert body("on call if true {\ndiscard } else { swap }") == opened


def test_columns_of_neighbours_are_aligned() -> None:
    assert body("let a = 1 # x\nlet bcd = 22 # y\n\nlet ef = 3\n") == (
        "let a   = 1   # x\nlet bcd = 22  # y\n\nlet ef = 3\n"
    )
    assert body('test "t" { request a { call.tool: "x", call.chance: 1 } request bc { call.tool: "long" } }') == (
        'test "t" {\n  request a  { call.tool: "x", call.chance: 1 }\n  request bc { call.tool: "long" }\n}\n'
    )


def test_lines_fit_the_width_where_they_can_break() -> None:
    long = " + ".join(f"decode_time(predict.output) * {i}" for i in range(9))
    condition = " and ".join(f"request.waited > {i}s" for i in range(9))
    text = body(f"let a = {long}\nlet b = max({long}, min({long}, 3s))\npromote when {condition} or {condition}\n")
    assert max(map(len, text.split("\n"))) <= WIDTH


def test_an_alignment_that_would_push_a_line_over_the_width_is_given_up() -> None:
    long = f"let a = {'x' * 90}\n"
    text = f"let {'x' * 90} = 1\n{long}let {'y' * 60} = 2\n"
    assert body(text) == text


def test_a_file_with_a_mistake_in_its_syntax_is_left_alone() -> None:
    done = format_source(Source("a.lamps", HEAD + "let a = = 1\nrank a a"))
    assert done.text is None
    assert [d.code for d in done.diagnostics] == [codes.SYNTAX, codes.SYNTAX]


def test_a_mistake_in_the_units_is_no_hindrance() -> None:
    assert body("rank  1s+1tok") == "rank 1s + 1tok\n"


def test_depth_and_length_are_no_crash() -> None:
    deep = format_source(Source("a", HEAD + "let a = " + "(" * 3000 + "1" + ")" * 3000))
    assert [d.code for d in deep.diagnostics] == [codes.TOO_LARGE]
    ninety = body("let a = " + "max(1, (" * 45 + "1" + "))" * 45)
    assert ninety.count("max") == 45
    assert body("let a = " + " + ".join(["1"] * 5000)).count("+") == 4999
    assert body("let a = " + "- " * 3000 + "1") == "let a = " + "-" * 3000 + "1\n"
