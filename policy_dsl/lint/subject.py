"""What rules look at: one checked policy, its syntax and IR side by side, and what is derived from them once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import TypeVar

from policy_dsl import ir, nodes
from policy_dsl.analysis.ranges import Ranges, ranges_of
from policy_dsl.analysis.starvation import Overtaking, overtaking
from policy_dsl.codegen.lower import postorder
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.lint.syntax import below, where

S = TypeVar("S", bound=nodes.Syntax)
I = TypeVar("I", bound=ir.Node)  # noqa: E741 (the letter of IR)


@dataclass(frozen=True)
class Subject:
    """*statements* is the file as written; *policy* what it means, inherited parts included."""

    source: Source
    statements: tuple[nodes.Statement, ...]
    policy: ir.Policy

    # --- syntax

    @cached_property
    def rules(self) -> tuple[nodes.Statement, ...]:
        """The statements without tests."""
        return tuple(s for s in self.statements if not isinstance(s, nodes.TestStatement))

    def every(self, kind: type[S]) -> Iterator[S]:
        """All syntax of *kind*, tests left out."""
        return (n for n in self._syntax if isinstance(n, kind))

    @cached_property
    def _syntax(self) -> tuple[nodes.Syntax, ...]:
        return tuple(n for s in self.rules for n in below(s))

    def first(self, kind: type[S]) -> S | None:
        """The first statement of *kind*."""
        return next((s for s in self.statements if isinstance(s, kind)), None)

    @cached_property
    def names_used(self) -> frozenset[str]:
        """Every name that the rules mention, functions included; not where it is defined."""
        used = {n.name for n in self.every(nodes.Name)} | {a.function.name for a in self.every(nodes.Apply)}
        return frozenset(used)

    @property
    def title(self) -> Span:
        """The `policy` statement."""
        statement = self.first(nodes.PolicyStatement)
        return statement.span if statement is not None else Span(self.source, 1, 1, 1, 2)

    def place(self, span: Span) -> Span:
        """*span* where it is of this file, else the `policy` statement: what is inherited has no place here."""
        return span if self.owns(span) else self.title

    def owns(self, span: Span) -> bool:
        return span.source.path == self.source.path and span.source.text == self.source.text

    # --- meaning

    @cached_property
    def roots(self) -> tuple[ir.Node, ...]:
        """Every expression of the policy, whatever rule it belongs to."""
        return tuple(dict.fromkeys(_roots(self.policy)))

    @cached_property
    def graph(self) -> tuple[ir.Node, ...]:
        """Every node, operands first."""
        return tuple(postorder(self.roots))

    @cached_property
    def _by_place(self) -> dict[tuple[int, int, int, int], list[ir.Node]]:
        found: dict[tuple[int, int, int, int], list[ir.Node]] = defaultdict(list)
        for node in self.graph:
            if self.owns(node.span):
                found[where(node.span)].append(node)
        return found

    def at(self, syntax: nodes.Syntax) -> list[ir.Node]:
        """The nodes made of *syntax*. A repeated expression is one node, at the first place it was written."""
        return self._by_place.get(where(syntax.span), [])

    def made(self, syntax: nodes.Syntax, kind: type[I]) -> list[I]:
        return [n for n in self.at(syntax) if isinstance(n, kind)]

    @property
    def decisions(self) -> tuple[ir.Decision, ...]:
        """`on call` and `while paused`."""
        paused = self.policy.paused
        return (self.policy.on_call,) if paused is None else (self.policy.on_call, paused.decision)

    @cached_property
    def ranges(self) -> Ranges:
        """Ranges of all expressions, params over their range."""
        ranges = ranges_of(self.policy)
        inside = set()
        for decision in self.decisions:
            ranges.decide(decision)
            inside |= {id(n) for n in _roots(decision)}
        for root in self.roots:
            if id(root) not in inside:
                ranges.of(root)
        return ranges

    @cached_property
    def overtaking(self) -> Overtaking:
        return overtaking(self.policy)


def _roots(value: object) -> Iterator[ir.Node]:
    """The expressions in a policy, a rule, or anything made of such parts."""
    match value:
        case ir.Node():
            yield value
        case tuple():
            for item in value:
                yield from _roots(item)
        case Span() | str() | float() | bool() | None:
            return
        case _ if is_dataclass(value):
            for f in fields(value):
                yield from _roots(getattr(value, f.name))
