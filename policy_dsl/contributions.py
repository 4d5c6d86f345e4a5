"""What an expression is made of, with the value of every part: a tree that follows the policy's own words.

A let is shown by its name with what it stands for below it. Terms of a sum have their share of it, a product has its
factors, of `if` and `match` only the branch that counts is followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from policy_dsl import ir, nodes
from policy_dsl.elaborate import Elaborator
from policy_dsl.interpret import evaluate
from policy_dsl.scope import Definition, Env
from policy_dsl.types import Kind, Type

Value = float | bool | str
Values = Mapping[str, Value]
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


@dataclass(frozen=True, slots=True)
class Part:
    """One expression. *how* its value comes about: sum, product, if, match, and, or, condition, function, signal,
    param, value.

    *unit*: of the value, "" for plain numbers and what is none. *share*: of the sum that it is a term of, signs left
    out. *note*: what else there is to say ("subtracted", the case that was taken).
    """

    text: str
    value: Value
    unit: str
    how: str
    parts: tuple[Part, ...] = ()
    share: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contributions:
    """Trees of the expressions of one policy, for one row."""

    el: Elaborator
    row: Values
    engine: Values
    params: Mapping[str, float]

    @property
    def env(self) -> Env:
        """What an expression of a statement can read: every definition."""
        return Env(len(self.el.definitions))

    def of(self, e: nodes.Expr, env: Env | None = None) -> Part:
        """The tree of *e*."""
        env = env or self.env
        match e:
            case nodes.Name(name=name) if name not in env.local and name in self.el.definitions:
                return self._name(e, self.el.definitions[name], env)
            case nodes.Apply(function=function) if function.name in self.el.definitions:
                return self._function(e, self.el.definitions[function.name], env)
            case nodes.Apply(args=args):
                return self._part(e, env, "function", tuple(self.of(a, env) for a in args))
            case nodes.Infix(op="+" | "-"):
                return self._part(e, env, "sum", tuple(self._shares(e, env)))
            case nodes.Infix(op="*" | "/" | "^"):
                return self._part(e, env, "product", tuple(self._factors(e, env)))
            case nodes.Infix(op=op, left=left, right=right) if op in _COMPARISONS:
                return self._part(e, env, "condition", (self.of(left, env), self.of(right, env)))
            case nodes.Infix(op=op, left=left, right=right):
                return self._part(e, env, op, (self.of(left, env), self.of(right, env)))
            case nodes.Prefix(operand=operand):
                return self._part(e, env, "condition" if e.op == "not" else "negation", (self.of(operand, env),))
            case nodes.Member(subject=subject):
                return self._part(e, env, "condition", (self.of(subject, env),))
            case nodes.Cond(test=test, then=then, other=other):
                asked = self.of(test, env)
                taken = self.of(then if asked.value else other, env)
                return self._part(e, env, "if", (asked, taken), "holds" if asked.value else "does not hold")
            case nodes.Match():
                return self._match(e, env)
            case nodes.Text(value=text):  # beside `==` only: no expression by itself
                return Part(written(e), text, "", "value")
            case _:
                how = {nodes.Path: "signal", nodes.Foreseen: "foreseen"}.get(type(e), "value")
                return self._part(e, env, how)

    def _part(self, e: nodes.Expr, env: Env, how: str, parts: tuple[Part, ...] = (), note: str = "") -> Part:
        node = self.el.expr(e, env)
        assert node is not None, e  # the policy was checked
        return Part(written(e), self.value(node), unit_of(node), how, parts, None, note)

    def value(self, node: ir.Node) -> Value:
        return evaluate(node, self.row, self.engine, self.params)

    def _name(self, e: nodes.Expr, known: Definition, env: Env) -> Part:
        if not isinstance(known.syntax, nodes.LetStatement):
            return self._part(e, env, "param")
        return replace(self.of(known.syntax.value, Env(known.sees)), text=known.name)

    def _function(self, e: nodes.Apply, known: Definition, env: Env) -> Part:
        assert isinstance(known.syntax, nodes.LetStatement), known
        if known.prelude:
            return self._part(e, env, "function", tuple(self.of(a, env) for a in e.args))
        args = [(a.name, self.el.expr(given, env)) for a, given in zip(known.syntax.args, e.args, strict=True)]
        inside = self.of(known.syntax.value, Env(known.sees, dict(args)))
        return replace(inside, text=written(e))

    def _shares(self, e: nodes.Expr, env: Env) -> Iterator[Part]:
        terms = list(self._terms(e, env, False))
        sizes = [abs(float(t.value)) for t in terms]
        total = math.fsum(sizes) if all(map(math.isfinite, sizes)) else math.nan
        for term, size in zip(terms, sizes, strict=True):
            # instants have no shares: where a clock begins says nothing
            known = total > 0 and not any(t.unit == "instant" for t in terms)
            yield replace(term, share=size / total if known else None)

    def _terms(self, e: nodes.Expr, env: Env, negative: bool) -> Iterator[Part]:
        match e:
            case nodes.Infix(op="+" | "-" as op, left=left, right=right):
                yield from self._terms(left, env, negative)
                yield from self._terms(right, env, negative != (op == "-"))
            case _:
                part = self.of(e, env)
                yield replace(part, note="subtracted") if negative else part

    def _factors(self, e: nodes.Expr, env: Env) -> Iterator[Part]:
        match e:
            case nodes.Infix(op="*", left=left, right=right):
                yield from self._factors(left, env)
                yield from self._factors(right, env)
            case nodes.Infix(op="/" | "^" as op, left=left, right=right):
                yield from self._factors(left, env)
                yield replace(self.of(right, env), note="divided by" if op == "/" else "to the power of")
            case _:
                yield self.of(e, env)

    def _match(self, e: nodes.Match, env: Env) -> Part:
        subject = self.of(e.subject, env)
        node = self.el.expr(e, env)
        case = self.taken(e, subject.value)
        assert node is not None and not isinstance(case.value, nodes.Action | nodes.LeastOf | nodes.DecideIf)
        assert not isinstance(case.value, nodes.DecideMatch | nodes.Again)
        note = "case " + ", ".join(written(p) for p in case.patterns)
        taken = self.of(case.value, env)
        return Part(written(e), self.value(node), unit_of(node), "match", (subject, taken), None, note)

    def taken(self, e: nodes.Match | nodes.DecideMatch, value: Value) -> nodes.Case:
        """The case of *e* that fits *value*."""
        return next((c for c in e.cases if self._fits(c, value)), e.cases[-1])

    def _fits(self, case: nodes.Case, value: Value) -> bool:
        for pattern in case.patterns:
            match pattern:
                case nodes.Anything():
                    return True
                case nodes.HandlingWord(handling=handling) if not isinstance(value, str) and handling == value:
                    return True
                case nodes.Text(value=text) if isinstance(value, str):
                    if value == text or (text.endswith("*") and value.startswith(text[:-1])):
                        return True
        return False


def failing(condition: Part) -> tuple[Part, ...]:
    """The parts that keep *condition* from holding: of `and` those that don't hold, of `or` all. Empty: it holds."""
    if condition.value:
        return ()
    if condition.how in ("and", "or"):
        return tuple(inner for part in condition.parts for inner in failing(part))
    return (condition,)


def written(syntax: nodes.Syntax) -> str:
    """*syntax* as it stands in the file, on one line and without comments."""
    return written_out(syntax.span.text)


def written_out(text: str) -> str:
    """*text* of a policy on one line and without comments."""
    lines = (line.partition("#")[0] if '"' not in line else line for line in text.splitlines())
    return " ".join(" ".join(lines).split())


def unit_of(node: ir.Node) -> str:
    return unit_of_type(node.type)


def unit_of_type(given: Type) -> str:
    """As people read it; "" for plain numbers and what is none."""
    match given.kind:
        case Kind.QUANTITY:
            return "" if str(given) == "number" else str(given)
        case Kind.INSTANT | Kind.HANDLING:
            return str(given.kind.value)
        case _:
            return ""
