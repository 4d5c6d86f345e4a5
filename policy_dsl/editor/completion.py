"""What could be typed at a place: statements, signals with their units, functions, names of this policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from lark import Token

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS, STATISTICS
from policy_dsl.diagnostics.model import Span
from policy_dsl.editor import describe
from policy_dsl.editor.document import Document
from policy_dsl.editor.words import OTHERS, STATEMENTS
from policy_dsl.functions import BUILTINS
from policy_dsl.limits import LIMITS
from policy_dsl.recovery import split

_PREFIX = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]*)*$")
_VALUES = ("if", "match", "handling", "preserve", "discard", "swap", "none", "not", "and", "or", "highest", "lowest")
_STEPS = {
    "request": "request ${1:name} { $0 }",
    "given": "given { $0 }",
    "at": "at ${1:5s}",
    "expect": "expect $0",
}


class ItemKind(Enum):
    STATEMENT = "statement"
    WORD = "word"
    SIGNAL = "signal"
    FUNCTION = "function"
    PARAM = "param"
    VALUE = "let"


@dataclass(frozen=True, slots=True)
class Item:
    """One offer. *insert* is a snippet (`$0`, `${1:x}`) that goes in the place of the word typed so far."""

    label: str
    kind: ItemKind
    detail: str
    doc: str
    insert: str


@dataclass(frozen=True, slots=True)
class Completions:
    """*typed*: what has been typed of the word, and is replaced."""

    typed: Span
    items: tuple[Item, ...]


def complete(doc: Document, line: int, column: int) -> Completions:
    """What could stand at this place. Editors filter it by what has been typed."""
    before = doc.source.line(line)[: column - 1]
    if "#" in re.sub(r'"[^"]*"', "", before) or before.count('"') % 2:
        return Completions(Span(doc.source, line, column, line, column), ())
    found = _PREFIX.search(before)
    start = column if found is None else found.start() + 1
    typed = Span(doc.source, line, start, line, column)
    begins_line = not before[: start - 1].strip()
    return Completions(typed, tuple(_items(doc, typed, "" if found is None else found[0], begins_line)))


def _items(doc: Document, typed: Span, prefix: str, begins_line: bool) -> Iterator[Item]:
    tokens = [t for t in doc.tokens if (t.end_line or 1, t.end_column or 1) <= (typed.line, typed.column)]
    *_, piece = split(tokens) if tokens else [[]]
    depth = sum((t.type == "LBRACE") - (t.type == "RBRACE") for t in piece)
    in_test = bool(piece) and piece[0] == "test"
    if not tokens:
        yield Item("lamps 1", ItemKind.STATEMENT, "", "The header of a policy.", "lamps 1\n\n")
    elif depth <= 0 and begins_line:
        yield from _statements()
    elif piece[-1] == "limit":
        yield from (Item(name, ItemKind.WORD, "", info.doc, name) for name, info in LIMITS.items())
    elif in_test and depth == 1 and begins_line:
        yield from (Item(word, ItemKind.STATEMENT, "", OTHERS.get(word, ""), s) for word, s in _STEPS.items())
    elif in_test and depth == 2 and _begins_entry(piece, begins_line):
        yield from _fields(doc, prefix)
    else:
        yield from _values(doc, typed, prefix)


def _begins_entry(piece: list[Token], begins_line: bool) -> bool:
    return begins_line or piece[-1].type in ("LBRACE", "COMMA")


def _statements() -> Iterator[Item]:
    for name, word in STATEMENTS.items():
        yield Item(name, ItemKind.STATEMENT, "", word.doc, word.snippet)


def _values(doc: Document, typed: Span, prefix: str) -> Iterator[Item]:
    row, dot, rest = prefix.partition(".")
    if dot and row in doc.rows(typed.line, typed.column):
        for item in (*_signals(doc, rest), *_names(doc, typed), _word("handling")):
            if item.kind is not ItemKind.FUNCTION:
                yield Item(f"{row}.{item.label}", item.kind, item.detail, item.doc, f"{row}.{item.insert}")
        return
    yield from _signals(doc, prefix)
    if dot:
        return
    yield from _names(doc, typed)
    for name, known in BUILTINS.items():
        yield Item(name, ItemKind.FUNCTION, known.signature, known.doc, f"{name}($0)")
    yield from map(_word, _VALUES)


def _word(name: str) -> Item:
    return Item(name, ItemKind.WORD, "", OTHERS.get(name, ""), name)


def _signals(doc: Document, prefix: str) -> Iterator[Item]:
    """All signals; the statistics of a prediction once its name has been typed."""
    for signal in SIGNALS.values():
        if signal.hidden:
            continue
        statistics = STATISTICS if signal.distribution and prefix.startswith(signal.name) else ()
        for name, statistic in ((signal.name, ""), *((f"{signal.name}.{s}", s) for s in statistics)):
            detail = str(describe.type_of_signal(signal, statistic))
            yield Item(name, ItemKind.SIGNAL, detail, describe.signal_doc(signal, statistic), name)
    for name, declared in (*doc.hints.items(), *doc.attributes.items()):
        yield Item(name, ItemKind.SIGNAL, _said(doc, name), describe.comments_of(declared), name)


def _fields(doc: Document, prefix: str) -> Iterator[Item]:
    """What a test can give: signals, params."""
    for item in _signals(doc, prefix):
        yield Item(item.label, item.kind, item.detail, item.doc, f"{item.label}: ")
    for name, known in doc.loaded.definitions.items():
        if isinstance(known.syntax, nodes.ParamStatement):
            yield Item(name, ItemKind.PARAM, _said(doc, name), describe.comments_of(known.syntax), f"{name}: ")


def _names(doc: Document, typed: Span) -> Iterator[Item]:
    """The arguments, params, lets and functions that can be seen from here."""
    inside = doc.statement_at(typed.line, typed.column)
    for argument in inside.args if isinstance(inside, nodes.LetStatement) else ():
        type_ = "" if argument.type is None else argument.type.name
        yield Item(argument.name, ItemKind.VALUE, type_, "An argument of this function.", argument.name)
    for name, known in doc.loaded.definitions.items():
        syntax = known.syntax
        here = inside is not None and syntax.span.source.path == doc.source.path
        if isinstance(syntax, nodes.Broken) or (here and inside is not None and syntax.span.line >= inside.span.line):
            continue
        doc_text = describe.comments_of(syntax)
        if isinstance(syntax, nodes.LetStatement) and syntax.args:
            yield Item(name, ItemKind.FUNCTION, describe.signature(syntax), doc_text, f"{name}($0)")
        else:
            kind = ItemKind.PARAM if isinstance(syntax, nodes.ParamStatement) else ItemKind.VALUE
            yield Item(name, kind, _said(doc, name), doc_text, name)


def _said(doc: Document, name: str) -> str:
    type_ = doc.loaded.types.get(name)
    return "" if type_ is None else str(type_)
