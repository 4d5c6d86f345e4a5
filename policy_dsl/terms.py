"""The terms of a rank's keys, for people who watch a queue: `before + during + after` is three values, not one.

A key that is no sum is one term. The names are those of the policy file; what a let stands for isn't opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import ir
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import Module, add_values
from policy_dsl.contributions import unit_of, written_out
from policy_dsl.diagnostics.model import Span

Value = float | bool | str
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Term:
    """*key*: which key of the rank it belongs to, from 0. *highest*: of that key. *negative*: it is subtracted."""

    text: str
    unit: str
    key: int
    highest: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """*values*: of all *terms*, in their order, of a row and the engine; reads what the rank reads."""

    terms: tuple[Term, ...]
    values: Callable[[Mapping[str, Value], Mapping[str, float | bool]], tuple[float, ...]]


def terms_of(statement: Span | None, keys: Sequence[ir.Node], places: Places) -> Terms:
    """The terms of *keys*, ready to compile and not negated. *statement*: where the rank stands; None: no terms."""
    terms: list[Term] = []
    roots: list[ir.Node] = []
    texts = split(written_out(statement.text).removeprefix("rank "), ",") if statement is not None else []
    for number, (text, node) in enumerate(zip(texts, keys, strict=False)):
        highest = text.startswith("highest ")
        text = text.removeprefix("highest ")
        names, leaves = split(text, "+-"), _leaves(node, statement)
        if len(names) != len(leaves):  # folded, or the name of a let that is a sum itself
            names, leaves = [text], [(node, False)]
        for name, (leaf, negative) in zip(names, leaves, strict=True):
            terms.append(Term(name, unit_of(leaf), number, highest, negative))
            roots.append(leaf)
    module = Module()
    add_values(module, places, "terms", roots)
    return Terms(tuple(terms), module.compile()["terms"])


def _leaves(node: ir.Node, statement: Span | None) -> list[tuple[ir.Node, bool]]:
    """The operands of a sum that stands in *statement*, and whether they are subtracted."""
    match node:
        case ir.Binary(op="+" | "-" as op, left=left, right=right) if _within(node.span, statement):
            return [*_leaves(left, statement), (right, op == "-")]
        case _:
            return [(node, False)]


def _within(span: Span, statement: Span | None) -> bool:
    return (
        statement is not None
        and span.source.path == statement.source.path
        and statement.line <= span.line <= span.end_line <= statement.end_line
    )


def split(text: str, at: str) -> list[str]:
    """*text* at each of the characters *at* that stands outside brackets and has a space after it."""
    found, depth, begin = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and character in at and text[i + 1 : i + 2] == " ":
            found.append(text[begin:i].strip())
            begin = i + 1
    return [*found, text[begin:].strip()]
