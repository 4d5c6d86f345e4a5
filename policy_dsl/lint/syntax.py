"""Walks over syntax trees, and the pieces of text that findings and fixes speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Edit, Source, Span


def below(node: nodes.Syntax) -> Iterator[nodes.Syntax]:
    """*node* and all syntax inside it, in the order written."""
    stack: list[nodes.Syntax] = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(list(parts(here))))


def parts(node: nodes.Syntax) -> Iterator[nodes.Syntax]:
    """The syntax directly inside *node*."""
    for f in fields(node):
        match getattr(node, f.name):
            case nodes.Syntax() as one:
                yield one
            case tuple() as several:
                yield from (one for one in several if isinstance(one, nodes.Syntax))


def where(span: Span) -> tuple[int, int, int, int]:
    """A span without its source: to find what stands at the same place."""
    return span.line, span.column, span.end_line, span.end_column


def text(span: Span) -> str:
    """What is written at *span*, on one line."""
    return " ".join(span.text.split())


def between(source: Source, after: Span, before: Span) -> Span:
    """From the end of one span to the start of another."""
    return Span(source, after.end_line, after.end_column, before.line, before.column)


def whole_lines(span: Span) -> Edit:
    """The edit that removes a statement with its lines: the comment behind it goes too, others stay."""
    source = span.source
    lines = source.text.split("\n")
    rest = lines[span.end_line - 1][span.end_column - 1 :].strip()
    alone = not lines[span.line - 1][: span.column - 1].strip() and (not rest or rest.startswith("#"))
    if not alone:
        return Edit(span, "")
    if span.end_line < len(lines):
        return Edit(Span(source, span.line, 1, span.end_line + 1, 1), "")
    return Edit(Span(source, span.line, 1, span.end_line, len(lines[span.end_line - 1]) + 1), "")
