"""Statements to `ir.Policy`: what is defined, what may be there once, and in which order all this is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from policy_dsl import classes, decisions, definitions, ir, nodes, rules
from policy_dsl.check_tests import check_test
from policy_dsl.composition import slot
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Label, Source, Span
from policy_dsl.elaborate import Elaborator, TooLarge
from policy_dsl.flat import FlatStatement, flatten
from policy_dsl.inlining import define
from policy_dsl.parser import MOST_ERRORS
from policy_dsl.scope import Definition, Env
from policy_dsl.types import INSTANT, Type

Statements = Sequence[nodes.Statement]
S = TypeVar("S", bound=nodes.Statement)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """*flat*: what the policy is made of, in an order in which it could stand in one file.

    *definitions* are all names that can be seen at its end, *types* what is known of them, right or wrong.
    """

    policy: ir.Policy | None
    tests: tuple[nodes.Test, ...]
    diagnostics: tuple[Diagnostic, ...]
    flat: tuple[FlatStatement, ...]
    definitions: Mapping[str, Definition]
    types: Mapping[str, Type]


def check(source: Source, prelude: Statements, statements: Statements) -> Checked:
    """The policy that *statements* write, None if anything is wrong with them.

    *statements*: those of *source*, before them the ones it takes over from other files.
    """
    checker = _Checker(source, prelude, statements)
    policy = checker.policy()
    tests = tuple(checker.tests())
    return Checked(
        None if checker.el.found else policy,
        tests,
        tuple(checker.el.found),
        checker.flat,
        checker.definitions,
        checker.el.types(),
    )


class _Checker:
    def __init__(self, source: Source, prelude: Statements, statements: Statements) -> None:
        self.source = source
        self.statements = statements
        self.definitions: dict[str, Definition] = {}
        self.el = Elaborator(self.definitions)
        self._places: dict[int, int] = {}  # id of a statement -> definitions it can see
        for statement in prelude:
            definitions.define(self.el, statement, prelude=True)
        for statement in statements:
            self._places[id(statement)] = len(self.definitions)
            definitions.define(self.el, statement, prelude=False)
        self.whole = Span(source, 1, 1, 1, 1 + len(source.line(1)))
        self.flat = flatten(statements, self.definitions)

    # --- the policy

    def policy(self) -> ir.Policy | None:
        title = self._one(nodes.PolicyStatement, "policy")
        if title is None and not self._broken("policy"):
            help = 'write `policy name "what it does"` after the header'
            self.el.error(codes.NO_POLICY, "this file names no policy", self.whole, Env(0), help=help)
        params = tuple(p for d in self.definitions.values() if (p := definitions.param(self.el, d)) is not None)
        hints = self._hints()
        groups = self._all(nodes.ClassStatement)
        classes.declare(self.el, groups, self._broken("class"))
        decision = self._decide()
        self._define()
        rank = self._rule(nodes.RankStatement, "rank", lambda s, env: rules.keys(self.el, s.keys, env))
        yields = self._rule(nodes.YieldStatement, "yield", lambda s, env: rules.keys_of_paused(self.el, s.keys, env))
        victim = self._rule(nodes.VictimStatement, "victim", lambda s, env: rules.keys(self.el, s.keys, env))
        admit = self._rule(nodes.AdmitStatement, "admit", lambda s, env: rules.admit(self.el, s, env))
        promote = self._rule(nodes.PromoteStatement, "promote", lambda s, env: rules.promote(self.el, s, env))
        paused = self._rule(nodes.PausedStatement, "while paused", lambda s, env: rules.paused(self.el, s, env))
        budget = self._rule(nodes.BudgetStatement, "budget", lambda s, env: rules.budget(self.el, s, env))
        made = self._classes(groups)
        limits = self._limits([c.name.name for c in groups])
        handling = self.el.handling
        if self.el.found or title is None or decision is None or handling is None:
            return None
        on_call = next((s for s in self.statements if isinstance(s, nodes.OnCallStatement)), None)
        by_arrival = ir.Key(self.el.make(ir.Read, INSTANT, self.whole, "request.arrival"), False)
        return ir.Policy(
            title.name.name, title.title, params, rank or (by_arrival,), decision, promote, limits, handling,
            at_arrival=on_call is not None and on_call.at_arrival, paused=paused, yields=yields or (),
            victim=victim or (), admit=admit, classes=made, hints=hints, budget=budget,
            flat="\n".join(s.text for s in self.flat), stated=_stated(self.statements),
        )  # fmt: skip

    def _all(self, kind: type[S]) -> list[S]:
        return [s for s in self.statements if isinstance(s, kind)]

    def _broken(self, keyword: str) -> bool:
        return any(isinstance(s, nodes.Broken) and s.keyword == keyword for s in self.statements)

    def _one(self, kind: type[S], word: str) -> S | None:
        """The only statement of its kind; reports the others."""
        found = self._all(kind)
        for other in found[1:]:
            label = (Label(found[0].span, "the first one"),)
            self.el.error(codes.REPEATED, f"a policy has one `{word}`", other.span, Env(0), "", label)
        return found[0] if found else None

    def _env(self, statement: nodes.Statement) -> Env:
        return Env(self._places[id(statement)])

    def _rule(self, kind: type[S], word: str, read: Callable[[S, Env], T | None]) -> T | None:
        """What *read* makes of the statement of this kind; None where there is none, and after a report."""
        s = self._one(kind, word)
        with suppress(TooLarge):
            return None if s is None else read(s, self._env(s))
        return None

    def _hints(self) -> tuple[ir.HintInfo, ...]:
        for s in self.statements:
            if isinstance(s, nodes.Broken) and s.keyword == "hint":
                self.el.declared_signals[f"hint.{s.name}"] = None
        seen: dict[str, nodes.HintStatement] = {}
        made = [definitions.hint(self.el, s, seen) for s in self._all(nodes.HintStatement)]
        return tuple(h for h in made if h is not None)

    def _decide(self) -> ir.Decision | None:
        """`on call`, before anything that may read its answer."""
        s = self._one(nodes.OnCallStatement, "on call")
        if s is None and self._broken("on"):
            return None
        decision: ir.Decision | None = decisions.default(self.whole)
        with suppress(TooLarge):
            if s is not None:
                self.el.deciding = []
                decision = None
                decision = decisions.decision(self.el, s.decision, self._env(s))
            if decision is not None:
                self.el.handling = self._handling(decision, s)
        self.el.deciding = None
        return decision

    def _handling(self, decision: ir.Decision, s: nodes.OnCallStatement | None) -> ir.Node:
        """What `handling` is to those that wait and run: what *decision* would answer now, or answered at arrival."""
        if s is not None and s.at_arrival:
            return decisions.decided(self.el, s.span)
        return decisions.foreseen(self.el, decision, self.whole if s is None else s.span)

    def _define(self) -> None:
        """Reads what is defined, used or not."""
        for definition in self.definitions.values():
            if len(self.el.found) >= MOST_ERRORS:  # what nobody is shown need not be found
                return
            with suppress(TooLarge):
                define(self.el, definition)

    def _classes(self, groups: list[nodes.ClassStatement]) -> tuple[ir.Class, ...]:
        with suppress(TooLarge):
            return tuple(classes.check_classes(self.el, groups, self._places)) if groups else ()
        return ()

    def _limits(self, groups: list[str]) -> tuple[ir.Limit, ...]:
        first: dict[str, nodes.LimitStatement] = {}
        made = []
        for s in self._all(nodes.LimitStatement):
            if s.name.name in first:
                label = (Label(first[s.name.name].span, "the first one"),)
                self.el.error(codes.REPEATED, f"`{s.name.name}` is limited twice", s.span, Env(0), "", label)
            first.setdefault(s.name.name, s)
            with suppress(TooLarge):
                limit = rules.limit(self.el, s, self._env(s), groups)
                if limit is not None:
                    made.append(limit)
        return tuple(made)

    def tests(self) -> Iterator[nodes.Test]:
        titles: dict[str, Span] = {}
        env = Env(len(self.definitions))
        for s in self._all(nodes.TestStatement):
            if len(self.el.found) >= MOST_ERRORS:
                return
            if s.title in titles:
                label = (Label(titles[s.title], "the first one"),)
                self.el.error(codes.REPEATED, "two tests have this title", s.span, env, "", label)
            titles[s.title] = s.span
            with suppress(TooLarge):
                test = check_test(self.el, s, env)
                if test is not None:
                    yield test


def _stated(statements: Statements) -> dict[str, Span]:
    """Where each rule stands, by its words."""
    found = {slot(s): s.span for s in statements if slot(s)}
    return found | {f"class {s.name.name}": s.span for s in statements if isinstance(s, nodes.ClassStatement)}
