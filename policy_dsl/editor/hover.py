"""What stands at a place, in words."""

from __future__ import annotations

from dataclasses import dataclass

from lark import Token

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Span
from policy_dsl.editor import describe
from policy_dsl.editor.document import Document
from policy_dsl.editor.words import OTHERS, STATEMENTS
from policy_dsl.functions import BUILTINS
from policy_dsl.lexer import literal
from policy_dsl.units import SUFFIXES

_SECOND_WORDS = {"call": "on call", "paused": "while paused"}


@dataclass(frozen=True, slots=True)
class Hover:
    """*text* is Markdown."""

    text: str
    span: Span


def hover(doc: Document, line: int, column: int) -> Hover | None:
    """What is known of the word at this place."""
    i = doc.index_at(line, column)
    if i is None:
        return None
    token = doc.tokens[i]
    text = _page(doc, i, token)
    return Hover(text, doc.span(token)) if text else None


def _page(doc: Document, i: int, token: Token) -> str:
    match token.type:
        case "PATH":
            return _path(doc, str(token), token)
        case "QUANTITY":
            return _quantity(token)
        case "NAME":
            return _name(doc, token)
        case _:
            return _word(doc, i, str(token))


def _path(doc: Document, path: str, token: Token) -> str:
    line, column = token.line or 1, token.column or 1
    row, _, rest = path.partition(".")
    if row in doc.rows(line, column):
        return _path(doc, rest, token) if "." in rest else _defined(doc, rest)
    if path in doc.hints:
        return describe.code(f"{path}{describe.colon(doc.loaded.types.get(path))}") + _also(doc.hints[path])
    if path in doc.attributes:
        page = describe.code(f"{path}{describe.colon(doc.loaded.types.get(path))}")
        return f"{page}\n\nAn attribute of the request's class."
    known = describe.signal_named(path)
    return "" if known is None else describe.signal_page(*known)


def _also(syntax: nodes.Syntax) -> str:
    comment = describe.comments_of(syntax)
    return f"\n\n{comment}" if comment else ""


def _quantity(token: Token) -> str:
    """`100ms` is 0.1 of the base unit."""
    try:
        mantissa, unit = literal(token)
    except AssertionError:  # a guess in place of a malformed number
        return ""
    dim, size = SUFFIXES[unit]
    return describe.code(f"{token}: {dim}") + ("" if size == 1 else f"\n\n= {mantissa * size:.6g} ({dim})")


def _name(doc: Document, token: Token) -> str:
    argument = doc.argument(str(token), token.line or 1, token.column or 1)
    if argument is not None:
        kind = "any type" if argument.type is None else argument.type.name
        return describe.code(f"{argument.name}: {kind}") + "\n\nAn argument of this function."
    return _defined(doc, str(token))


def _defined(doc: Document, name: str) -> str:
    known = doc.loaded.definitions.get(name)
    if known is not None:
        return describe.definition_page(known, doc.loaded.types.get(name))
    return describe.builtin_page(name) if name in BUILTINS else ""


def _word(doc: Document, i: int, word: str) -> str:
    before = str(doc.tokens[i - 1]) if i else ""
    after = str(doc.tokens[i + 1]) if i + 1 < len(doc.tokens) else ""
    whole = f"{word} {after}" if f"{word} {after}" in STATEMENTS else f"{before} {word}"
    for name in (whole, word):
        if name in STATEMENTS:
            return f"**{name}** · {STATEMENTS[name].doc}"
    return f"**{word}** · {OTHERS[word]}" if word in OTHERS else ""
