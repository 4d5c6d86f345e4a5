"""`lamps fmt`: one layout for every policy; the meaning and every comment stay.

Pieces (tokens with their comments, grouped by brackets), layout (lines), columns (alignment) follow one
another; what comes out is parsed again and compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from policy_dsl import nodes
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span
from policy_dsl.formatting.columns import render
from policy_dsl.formatting.layout import Layout, begins_blank
from policy_dsl.formatting.pieces import (
    Group,
    Tok,
    braces_around,
    entry_places,
    grouped,
    parts,
    place_of,
    tokens_with_comments,
)
from policy_dsl.lexer import lex
from policy_dsl.parser import parse, parser
from policy_dsl.recovery import split

DEEPEST = 100  # brackets in brackets; the checker allows no more either
_COMMENT = re.compile(r'"[^"\n]*"|(#[^\n]*)')
_APART = ("lamps", "policy", "test")  # an empty line before and behind


@dataclass(frozen=True, slots=True)
class Formatted:
    """*text* is None where *diagnostics* (of the syntax) say why the policy can't be read."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...]


def format_source(source: Source) -> Formatted:
    """*source* in the one layout. Lines end in a newline character, whatever they ended in before."""
    parsed = parse(source)
    if parsed.diagnostics:
        return Formatted(None, parsed.diagnostics)
    tokens, _ = lex(parser(), source)
    deep = _too_deep(source, tokens)
    if deep is not None:
        return Formatted(None, (deep,))
    text = _write(source, tokens, parsed.statements)
    _verify(source, parsed.statements, text)
    return Formatted(text, ())


def _too_deep(source: Source, tokens: list[Any]) -> Diagnostic | None:
    depth = 0
    for token in tokens:
        depth += token.type in ("LBRACE", "LPAR", "LSQB")
        depth -= token.type in ("RBRACE", "RPAR", "RSQB")
        if depth > DEEPEST:
            span = Span(source, token.line, token.column, token.end_line, token.end_column)
            message = f"this nests deeper than {DEEPEST} levels"
            return Diagnostic(codes.TOO_LARGE, Severity.ERROR, message, span)
    return None


def _write(source: Source, tokens: list[Any], statements: tuple[nodes.Statement, ...]) -> str:
    entries = entry_places(statements, braces_around(tokens))
    *toks, end = tokens_with_comments(source, tokens, entries)
    by_place = {tok.place: tok for tok in toks}
    layout = Layout()
    before = ""
    for piece in split(tokens):
        kept = [tok for token in piece if (tok := by_place.get(place_of(token))) is not None]
        if not kept:
            continue
        word = kept[0].text.split()[0]
        apart = bool(before) and (word in _APART or before in _APART)
        item = grouped(kept, entries)
        if word == "test":
            _open_test(item[-1])
        layout.item(item, 0, blank=bool(layout.lines) and (apart or begins_blank(kept[0])))
        before = word
    layout.comments(end, 0, blank=bool(layout.lines) and (before in _APART or begins_blank(end)))
    return render(layout.lines)


def _open_test(braces: Group | Tok) -> None:
    """A test with steps never stands on one line."""
    if isinstance(braces, Group) and braces.entries:
        braces.broken = True


# --- the promise


def _verify(source: Source, statements: tuple[nodes.Statement, ...], text: str) -> None:
    """Raises AssertionError if formatting changed the meaning or lost a comment: the file must not be written."""
    again = parse(Source(source.path, text))
    same = not again.diagnostics and same_syntax(statements, again.statements)
    if not same or comments(source.text) != comments(text):  # no `assert`: `python -O` must not write it either
        raise AssertionError(f"formatting {source.path} would change it")


def same_syntax(one: Any, other: Any) -> bool:
    """Whether two trees of nodes are equal but for their places. Without recursion: sums may be long."""
    waiting = [(one, other)]
    while waiting:
        a, b = waiting.pop()
        inner_a, inner_b = parts(a), parts(b)
        if inner_a is None or inner_b is None:
            if a != b:
                return False
        elif type(a) is not type(b) or len(inner_a) != len(inner_b):
            return False
        else:
            waiting += zip(inner_a, inner_b, strict=True)
    return True


def comments(text: str) -> list[str]:
    """All comments of *text*, in order, without the blanks at their ends."""
    return [found[1].rstrip() for found in _COMMENT.finditer(text) if found[1]]
