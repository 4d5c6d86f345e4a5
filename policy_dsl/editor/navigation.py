"""Where a name is defined, and what a file defines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Span
from policy_dsl.editor import describe
from policy_dsl.editor.document import Document


class SymbolKind(Enum):
    POLICY = "policy"
    PARAM = "param"
    VALUE = "let"
    FUNCTION = "function"
    HINT = "hint"
    CLASS = "class"
    RULE = "rule"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Symbol:
    """One line of an outline. *span* is the statement, *name_span* the name in it."""

    name: str
    kind: SymbolKind
    detail: str
    span: Span
    name_span: Span


def definition(doc: Document, line: int, column: int) -> Span | None:
    """Where the name at this place is defined: in this file, one it is built on, or the prelude."""
    i = doc.index_at(line, column)
    if i is None:
        return None
    name = str(doc.tokens[i])
    row, _, rest = name.partition(".")
    if row in doc.rows(line, column):
        return _row(doc, row, line, column) if "." in rest else _defined(doc, rest)
    if name in doc.hints:
        return doc.hints[name].name.span
    if name in doc.attributes:
        return doc.attributes[name].name.span
    argument = doc.argument(name, line, column)
    if argument is not None:
        return argument.span
    return _row(doc, name, line, column) or _defined(doc, name)


def _defined(doc: Document, name: str) -> Span | None:
    known = doc.loaded.definitions.get(name)
    return None if known is None else known.span


def _row(doc: Document, name: str, line: int, column: int) -> Span | None:
    """Where a test gives the request *name*."""
    test = doc.statement_at(line, column)
    steps = test.steps if isinstance(test, nodes.TestStatement) else ()
    given = [s.name for s in steps if isinstance(s, nodes.GivenSyntax) and s.name is not None]
    return next((ident.span for ident in given if ident.name == name), None)


def symbols(doc: Document) -> list[Symbol]:
    """The statements of the file, in order, those that could not be read left out."""
    found = (_symbol(doc, s) for s in doc.loaded.statements)
    return [symbol for symbol in found if symbol is not None]


def _symbol(doc: Document, s: nodes.Statement) -> Symbol | None:
    types = doc.loaded.types
    match s:
        case nodes.PolicyStatement():
            return Symbol(s.name.name, SymbolKind.POLICY, s.title, s.span, s.name.span)
        case nodes.ParamStatement():
            return Symbol(s.name.name, SymbolKind.PARAM, _said(types.get(s.name.name)), s.span, s.name.span)
        case nodes.LetStatement():
            kind = SymbolKind.FUNCTION if s.args else SymbolKind.VALUE
            return Symbol(describe.signature(s), kind, _said(types.get(s.name.name)), s.span, s.name.span)
        case nodes.HintStatement():
            return Symbol(s.name.name, SymbolKind.HINT, _said(types.get(f"hint.{s.name.name}")), s.span, s.name.span)
        case nodes.ClassStatement():
            return Symbol(s.name.name, SymbolKind.CLASS, "class", s.span, s.name.span)
        case nodes.TestStatement():
            return Symbol(s.title, SymbolKind.TEST, "test", s.span, s.span)
        case nodes.LimitStatement():
            return Symbol(f"limit {s.name.name}", SymbolKind.RULE, "", s.span, s.name.span)
        case nodes.Broken():
            return None
        case _:
            return Symbol(_rule(s), SymbolKind.RULE, "", s.span, s.span)


_RULES = {
    nodes.RankStatement: "rank", nodes.OnCallStatement: "on call", nodes.PausedStatement: "while paused",
    nodes.YieldStatement: "yield", nodes.VictimStatement: "victim", nodes.AdmitStatement: "admit",
    nodes.PromoteStatement: "promote", nodes.BudgetStatement: "budget", nodes.ExtendsStatement: "extends",
    nodes.IncludeStatement: "include", nodes.DropStatement: "drop",
}  # fmt: skip


def _rule(s: nodes.Statement) -> str:
    return _RULES[type(s)]


def _said(type_: object) -> str:
    return "" if type_ is None else str(type_)
