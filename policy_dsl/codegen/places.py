"""Places in a policy as positions in Python's syntax trees: so tracebacks and profiles point into the policy."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TypeVar

from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.ir import Node, children

_Tree = TypeVar("_Tree", bound=ast.expr | ast.stmt)


class Places:
    """Positions in one source. What was inlined from another (the prelude) stands where it is used.

    *stated*: where rules stand that may be of other files, by their words (`ir.Policy.stated`).
    """

    def __init__(self, source: Source, stated: Mapping[str, Span] | None = None) -> None:
        self.path = source.path
        self._lines = source.text.split("\n")
        self._start = Span(source, 1, 1, 1, 1)
        self._stated = stated or {}

    def of(self, rule: str) -> Places:
        """Positions in the file that states *rule*; what has none there stands at the statement itself."""
        span = self._stated.get(rule)
        if span is None:
            return self
        found = Places(span.source, self._stated)
        found._start = span
        return found

    @property
    def line(self) -> int:
        """Where what has no place of its own stands."""
        return self._start.line

    def homes(self, order: Sequence[Node]) -> dict[int, Span]:
        """The span of this source that stands for each node of *order* (operands first), by id."""
        found: dict[int, Span] = {}
        for node in reversed(order):
            home = found.setdefault(id(node), node.span if self.holds(node.span) else self._start)
            for child in children(node):
                if id(child) not in found and not self.holds(child.span):
                    found[id(child)] = home
        return found

    def holds(self, span: Span) -> bool:
        return span.source.path == self.path

    def mark(self, tree: _Tree, span: Span) -> _Tree:
        """*tree* and what is below it without a place of its own, placed at *span*."""
        line, column = span.line, self._offset(span.line, span.column)
        end_line, end_column = span.end_line, self._offset(span.end_line, span.end_column)
        stack: list[ast.AST] = [tree]
        while stack:
            part = stack.pop()
            if isinstance(part, ast.expr | ast.stmt):
                if hasattr(part, "lineno"):
                    continue
                part.lineno, part.col_offset, part.end_lineno, part.end_col_offset = line, column, end_line, end_column
            stack.extend(ast.iter_child_nodes(part))
        return tree

    def _offset(self, line: int, column: int) -> int:
        """Python counts columns in bytes from 0, spans count characters from 1."""
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return column - 1 if text.isascii() else len(text[: column - 1].encode())
