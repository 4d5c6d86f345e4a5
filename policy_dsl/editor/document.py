"""A policy in an editor: its text, what the checker says of it, and what stands where."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Source, Span
from policy_dsl.lexer import lex, span_of
from policy_dsl.lint.run import lint
from policy_dsl.loading import Loaded, load_text
from policy_dsl.parser import parser


@dataclass(frozen=True)
class Document:
    """*loaded* is the text checked as far as that is possible; everything else is made from it when asked for."""

    loaded: Loaded

    @property
    def source(self) -> Source:
        return self.loaded.source

    @cached_property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Errors, or where there are none the lint rules' findings, that belong to this file."""
        return tuple(f for f in lint(self.loaded).findings if f.span.source.path == self.source.path)

    # --- tokens

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        tokens, _ = lex(parser(), self.source)
        return tuple(tokens)

    @cached_property
    def _starts(self) -> list[tuple[int, int]]:
        return [(t.line or 1, t.column or 1) for t in self.tokens]

    def index_at(self, line: int, column: int) -> int | None:
        """The token at this place, or that ends there: of two that meet here a word rather than a sign."""
        i = bisect_right(self._starts, (line, column)) - 1
        here = [j for j in (i, i - 1) if j >= 0 and _touches(self.tokens[j], line, column)]
        return next((j for j in here if self.tokens[j][-1].isalnum()), here[0] if here else None)

    def span(self, token: Token) -> Span:
        return span_of(self.source, token)

    # --- syntax

    def statement_at(self, line: int, column: int) -> nodes.Statement | None:
        """The statement that this place is in, or behind."""
        found = None
        for s in self.loaded.statements:
            if (s.span.line, s.span.column) <= (line, column):
                found = s
        return found

    @cached_property
    def hints(self) -> dict[str, nodes.HintStatement]:
        """The `hint` statements of this file by the signal they declare."""
        return {f"hint.{s.name.name}": s for s in self.loaded.statements if isinstance(s, nodes.HintStatement)}

    @cached_property
    def attributes(self) -> dict[str, nodes.Attribute]:
        """The attributes of classes by the signal they declare; of each the first."""
        found: dict[str, nodes.Attribute] = {}
        for s in self.loaded.statements:
            for attribute in s.attributes if isinstance(s, nodes.ClassStatement) else ():
                found.setdefault(f"class.{attribute.name.name}", attribute)
        return found

    def argument(self, name: str, line: int, column: int) -> nodes.Argument | None:
        """The argument *name* of the function that this place is in."""
        s = self.statement_at(line, column)
        if not isinstance(s, nodes.LetStatement):
            return None
        return next((a for a in s.args if a.name == name), None)

    def rows(self, line: int, column: int) -> tuple[str, ...]:
        """The names of the requests and sessions of the test that this place is in."""
        s = self.statement_at(line, column)
        steps = s.steps if isinstance(s, nodes.TestStatement) else ()
        return tuple(g.name.name for g in steps if isinstance(g, nodes.GivenSyntax) and g.name is not None)


def _touches(token: Token, line: int, column: int) -> bool:
    return token.line == line and (token.column or 1) <= column <= (token.end_column or 1)


def read(text: str, path: str = "<text>") -> Document:
    """*text* as an editor has it; files that it is built on are looked for from *path*."""
    return Document(load_text(text, path))
