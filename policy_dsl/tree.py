"""Lark's tree to the classes of `nodes`, bottom up and without recursion, so that no depth can overflow."""

from __future__ import annotations

import math
from typing import Any

from lark import Token, v_args
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.lexer import POISON, literal, span_of
from policy_dsl.types import Handling
from policy_dsl.units import NUMBER, SUFFIXES

Children = list[Any]


@v_args(meta=True)
class ToNodes(Transformer_NonRecursive[Token, Any]):
    """One method per rule or alias of grammar.lark, in its order."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._grouped: dict[int, tuple[nodes.Expr, Span]] = {}  # by id: an operand and where its parentheses stand

    def _span(self, meta: Meta) -> Span:
        return Span(self._source, meta.line, meta.column, meta.end_line, meta.end_column)

    def _ident(self, token: Token) -> nodes.Ident:
        return nodes.Ident(span_of(self._source, token), str(token))

    # statements

    def policy(self, meta: Meta, c: Children) -> nodes.PolicyStatement:
        return nodes.PolicyStatement(self._span(meta), self._ident(c[0]), str(c[1])[1:-1])

    def extends(self, meta: Meta, c: Children) -> nodes.ExtendsStatement:
        return nodes.ExtendsStatement(self._span(meta), self._ident(c[0]) if isinstance(c[0], Token) else c[0])

    def include(self, meta: Meta, c: Children) -> nodes.IncludeStatement:
        return nodes.IncludeStatement(self._span(meta), c[0])

    def drop(self, meta: Meta, c: Children) -> nodes.DropStatement:
        words, reason = c
        limit = self._ident(words[1]) if words[0] == "limit" else None
        what = str(words[0]) if limit is not None else " ".join(words)
        return nodes.DropStatement(self._span(meta), what, limit, self._text(reason))

    def dropped(self, meta: Meta, c: Children) -> Children:
        return c

    def param(self, meta: Meta, c: Children) -> nodes.ParamStatement:
        *override, name, default, low, _, high = c
        return nodes.ParamStatement(self._span(meta), self._ident(name), default, low, high, bool(override))

    def hint(self, meta: Meta, c: Children) -> nodes.HintStatement:
        low, high = (c[2], c[4]) if len(c) > 2 else (None, None)
        return nodes.HintStatement(self._span(meta), self._ident(c[0]), c[1], low, high)

    def let(self, meta: Meta, c: Children) -> nodes.LetStatement:
        override = c[0].type == "OVERRIDE"
        name, *args, value = c[1:] if override else c
        arguments = tuple(a for a in args if a is not None)
        return nodes.LetStatement(self._span(meta), self._ident(name), arguments, value, override)

    def argument(self, meta: Meta, c: Children) -> nodes.Argument:
        return nodes.Argument(self._span(meta), str(c[0]), None if c[1] is None else self._ident(c[1]))

    def rank(self, meta: Meta, c: Children) -> nodes.RankStatement:
        return nodes.RankStatement(self._span(meta), c[0])

    def yield_(self, meta: Meta, c: Children) -> nodes.YieldStatement:
        return nodes.YieldStatement(self._span(meta), c[0])

    def victim(self, meta: Meta, c: Children) -> nodes.VictimStatement:
        return nodes.VictimStatement(self._span(meta), c[0])

    def order(self, meta: Meta, c: Children) -> tuple[nodes.Key, ...]:
        return tuple(c)

    def key(self, meta: Meta, c: Children) -> nodes.Key:
        return nodes.Key(self._span(meta), c[-1], len(c) == 2 and c[0] == "highest")

    def admit(self, meta: Meta, c: Children) -> nodes.AdmitStatement:
        return nodes.AdmitStatement(self._span(meta), c[0])

    def promote(self, meta: Meta, c: Children) -> nodes.PromoteStatement:
        return nodes.PromoteStatement(self._span(meta), c[0], c[1] or ())

    def class_(self, meta: Meta, c: Children) -> nodes.ClassStatement:
        return nodes.ClassStatement(self._span(meta), self._ident(c[0]), c[1], tuple(c[2:]))

    def attribute(self, meta: Meta, c: Children) -> nodes.Attribute:
        return nodes.Attribute(self._span(meta), self._ident(c[0]), c[1])

    def limit(self, meta: Meta, c: Children) -> nodes.LimitStatement:
        return nodes.LimitStatement(self._span(meta), self._ident(c[0]), c[2], c[3] or ())

    def budget(self, meta: Meta, c: Children) -> nodes.BudgetStatement:
        cost, requests, unit = c
        return nodes.BudgetStatement(self._span(meta), self._number(cost), self._number(requests), self._ident(unit))

    # decisions

    def on_call(self, meta: Meta, c: Children) -> nodes.OnCallStatement:
        return nodes.OnCallStatement(self._span(meta), c[-1], len(c) == 2)

    def while_paused(self, meta: Meta, c: Children) -> nodes.PausedStatement:
        return nodes.PausedStatement(self._span(meta), *c)

    def again(self, meta: Meta, c: Children) -> nodes.Again:
        return nodes.Again(self._span(meta))

    def action(self, meta: Meta, c: Children) -> nodes.Action:
        return nodes.Action(self._span(meta), tuple(c))

    def link(self, meta: Meta, c: Children) -> nodes.Link:
        return nodes.Link(self._span(meta), Handling[c[0].upper()], c[1])

    def least(self, meta: Meta, c: Children) -> nodes.LeastOf:
        return nodes.LeastOf(self._span(meta), tuple(c))

    def arm(self, meta: Meta, c: Children) -> nodes.Arm:
        return nodes.Arm(self._span(meta), *c)

    def decide_if(self, meta: Meta, c: Children) -> nodes.DecideIf:
        return nodes.DecideIf(self._span(meta), *c)

    def decide_match(self, meta: Meta, c: Children) -> nodes.DecideMatch:
        return nodes.DecideMatch(self._span(meta), c[0], tuple(c[1:]))

    # tests

    def test(self, meta: Meta, c: Children) -> nodes.TestStatement:
        return nodes.TestStatement(self._span(meta), str(c[0])[1:-1], tuple(c[1:]))

    def given(self, meta: Meta, c: Children) -> nodes.GivenSyntax:
        names = [self._ident(t) for t in c if isinstance(t, Token)]
        name = names[1] if len(names) == 2 else None
        return nodes.GivenSyntax(self._span(meta), names[0], name, tuple(c[len(names) :]))

    def field(self, meta: Meta, c: Children) -> nodes.FieldSyntax:
        return nodes.FieldSyntax(self._span(meta), self._ident(c[0]), c[1])

    def expect_true(self, meta: Meta, c: Children) -> nodes.ExpectTrueSyntax:
        return nodes.ExpectTrueSyntax(self._span(meta), c[0])

    def at(self, meta: Meta, c: Children) -> nodes.AtSyntax:
        return nodes.AtSyntax(self._span(meta), self._number(c[0]))

    def expect_order(self, meta: Meta, c: Children) -> nodes.ExpectRankSyntax:
        (rule,), *names = c
        return nodes.ExpectRankSyntax(self._span(meta), tuple(self._ident(t) for t in names), str(rule))

    def ordered(self, meta: Meta, c: Children) -> Children:
        return c

    def expect_call(self, meta: Meta, c: Children) -> nodes.ExpectCallSyntax:
        return nodes.ExpectCallSyntax(self._span(meta), self._ident(c[0]), c[1])

    def expect_paused(self, meta: Meta, c: Children) -> nodes.ExpectPausedSyntax:
        return nodes.ExpectPausedSyntax(self._span(meta), self._ident(c[0]), c[1])

    # expressions

    def expr(self, meta: Meta, c: Children) -> nodes.Expr:
        return self._fold("or", c)

    def conjunction(self, meta: Meta, c: Children) -> nodes.Expr:
        return self._fold("and", c)

    def _fold(self, op: str, operands: Children) -> nodes.Expr:
        return self._chain([x for operand in operands for x in (op, operand)][1:])

    def _chain(self, parts: Children) -> nodes.Expr:
        """`a - b + c` is `(a - b) + c`."""
        left = parts[0]
        for op, right in zip(parts[1::2], parts[2::2], strict=True):
            a, b = self._extent(left), self._extent(right)
            left = nodes.Infix(Span(self._source, a.line, a.column, b.end_line, b.end_column), str(op), left, right)
        return left  # type: ignore[no-any-return]

    def _extent(self, operand: nodes.Expr) -> Span:
        """The span with the parentheses around it."""
        _, span = self._grouped.get(id(operand), (operand, operand.span))
        return span

    def grouped(self, meta: Meta, c: Children) -> nodes.Expr:
        self._grouped[id(c[0])] = (c[0], self._span(meta))
        return c[0]  # type: ignore[no-any-return]

    def comparison(self, meta: Meta, c: Children) -> nodes.Expr:
        return self._chain(c)

    sum = term = comparison

    def power(self, meta: Meta, c: Children) -> nodes.Infix:
        return nodes.Infix(self._span(meta), "^", *c)

    def not_(self, meta: Meta, c: Children) -> nodes.Prefix:
        return nodes.Prefix(self._span(meta), "not", c[0])

    def minus(self, meta: Meta, c: Children) -> nodes.Prefix:
        return nodes.Prefix(self._span(meta), "-", c[1])

    def member(self, meta: Meta, c: Children) -> nodes.Member:
        return nodes.Member(self._span(meta), c[0], tuple(c[1:]))

    def path(self, meta: Meta, c: Children) -> nodes.Path:
        return nodes.Path(self._span(meta), str(c[0]))

    def name(self, meta: Meta, c: Children) -> nodes.Name:
        return nodes.Name(self._span(meta), str(c[0]))

    def handling(self, meta: Meta, c: Children) -> nodes.HandlingWord:
        return nodes.HandlingWord(self._span(meta), Handling[c[0].upper()])

    def foreseen(self, meta: Meta, c: Children) -> nodes.Foreseen:
        return nodes.Foreseen(self._span(meta))

    def true(self, meta: Meta, c: Children) -> nodes.Truth:
        return nodes.Truth(self._span(meta), True)

    def false(self, meta: Meta, c: Children) -> nodes.Truth:
        return nodes.Truth(self._span(meta), False)

    def apply(self, meta: Meta, c: Children) -> nodes.Apply:
        return nodes.Apply(self._span(meta), self._ident(c[0]), tuple(c[1:]))

    def cond(self, meta: Meta, c: Children) -> nodes.Cond:
        return nodes.Cond(self._span(meta), *c)

    def match(self, meta: Meta, c: Children) -> nodes.Match:
        return nodes.Match(self._span(meta), c[0], tuple(c[1:]))

    def case(self, meta: Meta, c: Children) -> nodes.Case:
        return nodes.Case(self._span(meta), tuple(c[0]), c[1])

    def patterns(self, meta: Meta, c: Children) -> Children:
        return c

    def anything(self, meta: Meta, c: Children) -> nodes.Anything:
        return nodes.Anything(self._span(meta))

    def text(self, meta: Meta, c: Children) -> nodes.Text:
        return self._text(c[0])

    def _text(self, token: Token) -> nodes.Text:
        return nodes.Text(span_of(self._source, token), str(token)[1:-1])

    def literal(self, meta: Meta, c: Children) -> nodes.Number:
        return self._number(c[0])

    def signed(self, meta: Meta, c: Children) -> nodes.Number:
        number = self._number(c[-1])
        if len(c) == 1 or number.unit == POISON:
            return number
        return nodes.Number(self._span(meta), -number.value, number.dim, number.unit)

    def _number(self, token: Token) -> nodes.Number:
        span = span_of(self._source, token)
        if token.startswith(POISON):
            return nodes.Number(span, math.nan, NUMBER, POISON)
        mantissa, unit = literal(token)
        dim, size = SUFFIXES[unit] if unit else (NUMBER, 1.0)
        return nodes.Number(span, mantissa * size, dim, unit)
