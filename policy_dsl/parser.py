"""Text to syntax tree. Any text gives statements and findings, never an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.lark import PostLex
from lark.parsers.lalr_interactive_parser import InteractiveParser

from policy_dsl import nodes, tables
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span
from policy_dsl.lexer import POISON, lex, span_of
from policy_dsl.recovery import STATEMENTS, explain, not_a_statement, split
from policy_dsl.tree import ToNodes

VERSION = 1
MOST_ERRORS = 100  # a file with more is not a policy


class _KeepAll(PostLex):
    """Keeps the terminals that no rule uses: they are how the lexer reports what it doesn't know."""

    always_accept = ("BAD_NUMBER", "BAD_WORD", "BAD_STRING", "BAD_CHARACTER")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def grammar() -> str:
    return Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")


def build(**options: Any) -> Lark:
    """The parser, made anew from grammar.lark."""
    return Lark(
        grammar(), parser="lalr", lexer="basic", start=["start", "item"], propagate_positions=True,
        maybe_placeholders=True, postlex=_KeepAll(), **options,
    )  # fmt: skip


@cache
def parser() -> Lark:
    """The parser of this process: from the shipped tables, built where they are of another version of lark."""
    return tables.read(grammar()) or build()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement that could not be read is there as `nodes.Broken`."""

    statements: tuple[nodes.Statement, ...]
    diagnostics: tuple[Diagnostic, ...]


def parse(source: Source) -> Parsed:
    """All statements of *source* that can be read, and what is wrong with the others."""
    lark = parser()
    tokens, found = lex(lark, source)
    bad_header = header(source)
    found += bad_header
    statements: list[nodes.Statement] = []
    for piece in split(tokens[1:] if tokens and tokens[0].type == "HEADER" else tokens):
        if len(found) >= MOST_ERRORS:
            break
        if piece and not (bad_header and piece[0].line == bad_header[0].span.line):
            statements.append(_statement(lark, source, piece, found))
    return Parsed(tuple(statements), tuple(found))


_HEADER_LINE = re.compile(r"\s*lamps[ \t]+([0-9]+)[ \t]*(#.*)?$")


def header(source: Source) -> list[Diagnostic]:
    """What is wrong with the first line that says anything: it must be `lamps 1`."""
    for number, line in enumerate(source.text.split("\n"), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        indent = len(line) - len(line.lstrip())
        span = Span(source, number, indent + 1, number, indent + 1 + len(text))
        good = _HEADER_LINE.match(line)
        if not good:
            return [_error(codes.HEADER, "a policy begins with the line `lamps 1`", span)]
        if good[1] != str(VERSION):
            return [_error(codes.HEADER, f"this is lamps {VERSION}; it does not know version {good[1][:20]}", span)]
        return []
    message = "the file is empty; a policy begins with the line `lamps 1`"
    return [_error(codes.HEADER, message, Span(source, 1, 1, 1, 2))]


def _error(code: str, message: str, span: Span) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, message, span)


def _statement(lark: Lark, source: Source, piece: list[Token], found: list[Diagnostic]) -> nodes.Statement:
    """One statement. After a finding of the lexer in it, what that does to the grammar is no news."""
    readable = [t for t in piece if t.type != "BAD_CHARACTER"]
    torn = any(t.type == "STRING" and t.startswith(POISON) for t in piece)
    whole = len(readable) == len(piece) and not torn
    if readable and readable[0] not in STATEMENTS:
        if whole:
            found.append(not_a_statement(source, piece))
    elif readable:
        interactive = lark.parse_interactive(start="item")
        at = _feed(interactive, readable)
        if at is None and not torn:
            return ToNodes(source).transform(interactive.feed_eof(readable[-1]))  # type: ignore[no-any-return]
        if whole and at is not None:
            found.extend(_explained(lark, source, readable, at))
    words = readable[1:] if readable and readable[0].type == "OVERRIDE" else readable
    name = words[1] if len(words) > 1 and words[1].type == "NAME" else ""
    return nodes.Broken(span_of(source, piece[0], piece[-1]), str(words[0] if words else piece[0]), str(name))


def _feed(interactive: InteractiveParser, tokens: list[Token]) -> int | None:
    """Index of the first token that does not fit, `len(tokens)` when more are needed, else None."""
    for i, token in enumerate(tokens):
        try:
            interactive.feed_token(token)
        except UnexpectedToken:
            return i
    return None if _may_end(interactive) else len(tokens)


def _may_end(interactive: InteractiveParser) -> bool:
    """Whether nothing is missing. `accepts()` would say so too, but tries every terminal: half the time of a parse."""
    trial = interactive.copy(deepcopy_values=False)
    trial.parser_state.parse_conf = copy(trial.parser_state.parse_conf)
    trial.parser_state.parse_conf.callbacks = {}  # builds no tree, so that nothing of the original changes
    try:
        trial.feed_token(Token("$END", ""))
    except UnexpectedToken:
        return False
    return True


def _explained(lark: Lark, source: Source, piece: list[Token], at: int) -> Iterator[Diagnostic]:
    """The error at token *at*; in a test, also the errors of the steps after it."""
    before = lark.parse_interactive(start="item")
    _feed(before, piece[:at])
    yield explain(source, piece, at, before.accepts())
    if piece[0] != "test":
        return
    between = lark.parse_interactive(start="item")
    if _feed(between, piece[:3]) != 3:
        return
    starts = [i for i in range(3, len(piece)) if _begins_step(piece, i)]
    for start, end in pairwise([*starts, len(piece)]):
        if start <= at:
            continue
        step = between.copy()
        wrong = _feed(step, piece[start:end])
        if wrong is not None and start + wrong < end and not _closes(piece, start + wrong):
            rest = between.copy()
            _feed(rest, piece[start : start + wrong])
            yield explain(source, piece, start + wrong, rest.accepts())


def _begins_step(piece: list[Token], i: int) -> bool:
    """Whether a step of a test begins here: `expect ...`, or a word, perhaps a name, and `{`."""
    if piece[i] == "expect":
        return True
    if piece[i] == "at":
        return True
    return piece[i] in ("given", "request", "session") and any(t.type == "LBRACE" for t in piece[i + 1 : i + 3])


def _closes(piece: list[Token], i: int) -> bool:
    return i == len(piece) - 1 and piece[i].type == "RBRACE"
