"""Statements to `ir.Policy`: what is defined, what may be there once, and what each rule may read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from policy_dsl import decisions, ir, nodes
from policy_dsl.agree import is_zero
from policy_dsl.catalogue import signal_of
from policy_dsl.check_tests import check_test
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Label, Source, Span
from policy_dsl.elaborate import Elaborator, TooLarge
from policy_dsl.functions import BUILTINS
from policy_dsl.inlining import define
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.rows import reads
from policy_dsl.scope import Definition, Env
from policy_dsl.types import INSTANT, Kind, quantity
from policy_dsl.units import NUMBER, SUFFIXES, TOKEN

Statements = Sequence[nodes.Statement]
S = TypeVar("S", bound=nodes.Statement)

LIMITS = ("pinned",)


@dataclass(frozen=True, slots=True)
class Checked:
    policy: ir.Policy | None
    tests: tuple[nodes.Test, ...]
    diagnostics: tuple[Diagnostic, ...]


def check(source: Source, prelude: Statements, statements: Statements) -> Checked:
    """The policy that *statements* write, None if anything is wrong with them."""
    checker = _Checker(source, prelude, statements)
    policy = checker.policy()
    tests = tuple(checker.tests())
    return Checked(None if checker.el.found else policy, tests, tuple(checker.el.found))


class _Checker:
    def __init__(self, source: Source, prelude: Statements, statements: Statements) -> None:
        self.source = source
        self.statements = statements
        self.definitions: dict[str, Definition] = {}
        self.el = Elaborator(self.definitions)
        self._place: dict[int, int] = {}  # id of a statement -> definitions it can see
        for statement in prelude:
            self._define(statement, prelude=True)
        for statement in statements:
            self._place[id(statement)] = len(self.definitions)
            self._define(statement, prelude=False)
        self.whole = Span(source, 1, 1, 1, 1 + len(source.line(1)))

    def _define(self, s: nodes.Statement, prelude: bool) -> None:
        match s:
            case nodes.ParamStatement() | nodes.LetStatement():
                name, span = s.name.name, s.name.span
            case nodes.Broken(name=str() as name) if name and s.keyword in ("param", "let"):
                span = s.span
            case _:
                return
        earlier = self.definitions.get(name)
        if name.startswith(POISON):
            return
        if name in BUILTINS:
            self.el.error(codes.REPEATED, f"`{name}` is a built-in function; choose another name", span, Env(0))
        elif earlier is not None and earlier.prelude:
            label = (Label(earlier.span, "defined in the prelude"),)
            help = "choose another name; `override`, which replaces it, comes in a later version"
            self.el.error(codes.PRELUDE, f"`{name}` is a name of the prelude", span, Env(0), "", label, help)
        elif earlier is not None:
            label = (Label(earlier.span, "first defined here"),)
            self.el.error(codes.REPEATED, f"`{name}` is defined twice", span, Env(0), "", label)
        else:
            self.definitions[name] = Definition(name, len(self.definitions), s, prelude)

    # --- the policy

    def policy(self) -> ir.Policy | None:
        title = self._one(nodes.PolicyStatement, "policy")
        if title is None and not any(isinstance(s, nodes.Broken) and s.keyword == "policy" for s in self.statements):
            help = 'write `policy name "what it does"` after the header'
            self.el.error(codes.NO_POLICY, "this file names no policy", self.whole, Env(0), help=help)
        params = [p for p in map(self._param, self.definitions.values()) if p is not None]
        decision = self._decide()
        for definition in self.definitions.values():
            with suppress(TooLarge):
                define(self.el, definition)
        rank, promote, limits = self._rank(), self._promote(), self._limits()
        handling = self.el.handling
        if self.el.found or title is None or decision is None or rank is None or handling is None:
            return None
        return ir.Policy(title.name.name, title.title, tuple(params), rank, decision, promote, limits, handling)

    def _all(self, kind: type[S]) -> list[S]:
        return [s for s in self.statements if isinstance(s, kind)]

    def _one(self, kind: type[S], word: str) -> S | None:
        """The only statement of its kind; reports the others."""
        found = self._all(kind)
        for other in found[1:]:
            label = (Label(found[0].span, "the first one"),)
            self.el.error(codes.REPEATED, f"a policy has one `{word}`", other.span, Env(0), "", label)
        return found[0] if found else None

    def _env(self, statement: nodes.Statement) -> Env:
        return Env(self._place[id(statement)])

    def _param(self, definition: Definition) -> ir.ParamInfo | None:
        s = definition.syntax
        if not isinstance(s, nodes.ParamStatement):
            return None
        model = s.low if is_zero(s.default) and s.low.unit else s.default
        default, low, high = (self._bound(s, model, n) for n in (s.default, s.low, s.high))
        if default is None or low is None or high is None:
            return None
        if not low <= high:
            self.el.error(codes.RANGE, "this range is empty: it ends before it begins", s.high.span, Env(0))
        elif not low <= default <= high:
            a, b = s.low.span, s.high.span
            label = Label(Span(self.source, a.line, a.column, b.end_line, b.end_column), "the range")
            self.el.error(codes.RANGE, "the default lies outside the range", s.default.span, Env(0), "", (label,))
        doc = _comment(self.source, s.span)
        info = ir.ParamInfo(definition.name, quantity(model.dim), default, low, high, doc, s.name.span)
        self.el.params[definition.name] = info
        return info

    def _bound(self, s: nodes.ParamStatement, model: nodes.Number, n: nodes.Number) -> float | None:
        """*n* in base units; without a unit it has that of *model*."""
        if POISON in (n.unit, model.unit):
            return None
        if not n.unit and model.unit:
            return n.value * SUFFIXES[model.unit][1]
        if n.dim == model.dim:
            return n.value
        label = (Label(model.span, f"this is {model.dim}"),)
        message = f"a range of {model.dim} cannot have a bound in {n.dim}"
        self.el.error(codes.UNITS, message, n.span, Env(0), f"this is {n.dim}", label)
        return None

    def _decide(self) -> ir.Decision | None:
        """`on call`, before anything that may read its answer."""
        s = self._one(nodes.OnCallStatement, "on call")
        if s is None and any(isinstance(b, nodes.Broken) and b.keyword == "on" for b in self.statements):
            return None
        decision: ir.Decision | None = decisions.default(self.whole)
        with suppress(TooLarge):
            if s is not None:
                self.el.deciding = []
                decision = None
                decision = decisions.decision(self.el, s.decision, self._env(s))
            if decision is not None:
                self.el.handling = decisions.foreseen(self.el, decision, self.whole if s is None else s.span)
        self.el.deciding = None
        return decision

    def _keys(self, keys: Sequence[nodes.Key], env: Env) -> tuple[ir.Key, ...] | None:
        made = []
        for key in keys:
            node = self.el.expr(key.expr, env)
            if node is not None and node.type.kind not in (Kind.QUANTITY, Kind.INSTANT, Kind.BOOL):
                self.el.wrong(key.expr, node, "something with an order", env)
            if node is not None:
                made.append(ir.Key(node, key.highest))
        return tuple(made) if len(made) == len(keys) else None

    def _rank(self) -> tuple[ir.Key, ...] | None:
        s = self._one(nodes.RankStatement, "rank")
        with suppress(TooLarge):
            if s is None:
                return (ir.Key(self.el.make(ir.Read, INSTANT, self.whole, "request.arrival"), False),)
            return self._keys(s.keys, self._env(s))
        return None

    def _promote(self) -> ir.Promote | None:
        s = self._one(nodes.PromoteStatement, "promote")
        with suppress(TooLarge):
            if s is not None:
                when, by = self.el.condition(s.when, self._env(s)), self._keys(s.by, self._env(s))
                return None if when is None or by is None else ir.Promote(when, by)
        return None

    def _limits(self) -> tuple[ir.Limit, ...]:
        first: dict[str, nodes.LimitStatement] = {}
        made = []
        for s in self._all(nodes.LimitStatement):
            name, env = s.name.name, self._env(s)
            if name not in LIMITS:
                help = did_you_mean(name, LIMITS) or "what can be limited: " + ", ".join(LIMITS)
                self.el.error(codes.UNKNOWN_NAME, f"there is no limit `{name}`", s.name.span, env, help=help)
            elif name in first:
                label = (Label(first[name].span, "the first one"),)
                self.el.error(codes.REPEATED, f"`{name}` is limited twice", s.span, env, "", label)
            first.setdefault(name, s)
            with suppress(TooLarge):
                bound = self.el.expr(s.bound, env)
                if bound is not None and self._is_bound(s, bound, env):
                    made.append(ir.Limit(name, bound, s.span))
        return tuple(made)

    def _is_bound(self, s: nodes.LimitStatement, bound: ir.Node, env: Env) -> bool:
        if bound.type.kind is not Kind.QUANTITY or bound.type.dim not in (NUMBER, TOKEN):
            help = "write a share such as `50%`, or tokens"
            self.el.wrong(s.bound, bound, "a share or tokens", env, help)
            return False
        row = next((r for r in reads(bound) if signal_of(r.key).per_row), None)
        if row is not None:
            label = () if isinstance(s.bound, nodes.Path) else (Label(row.span, "read here"),)
            message = f"a limit holds for the whole engine, `{row.key}` belongs to one request"
            self.el.error(codes.NOT_READABLE, message, s.bound.span, env, "", label, "read `engine.*` only")
        return row is None

    def tests(self) -> Iterator[nodes.Test]:
        titles: dict[str, Span] = {}
        env = Env(len(self.definitions))
        for s in self._all(nodes.TestStatement):
            if s.title in titles:
                label = (Label(titles[s.title], "the first one"),)
                self.el.error(codes.REPEATED, "two tests have this title", s.span, env, "", label)
            titles[s.title] = s.span
            with suppress(TooLarge):
                test = check_test(self.el, s, env)
                if test is not None:
                    yield test


def _comment(source: Source, span: Span) -> str:
    """The comment behind a statement, on its last line."""
    rest = source.line(span.end_line)[span.end_column - 1 :].strip()
    return rest[1:].strip() if rest.startswith("#") else ""
