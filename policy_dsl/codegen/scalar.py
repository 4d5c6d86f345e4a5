"""Generates Python functions that answer a policy's questions for one request.

Built as syntax trees, never as text: nothing a policy says is ever executed as Python, and every
part keeps its place in the policy. A node used twice becomes a local variable.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_dsl import catalogue
from policy_dsl.codegen import arithmetic
from policy_dsl.codegen.lower import postorder
from policy_dsl.codegen.places import Places
from policy_dsl.interpret import label
from policy_dsl.ir import (
    Act,
    Again,
    Arm,
    Binary,
    Call,
    Choose,
    Const,
    Decision,
    If,
    Least,
    Node,
    Pick,
    Read,
    TextIs,
    Unary,
    children,
)
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict, cheapest, holds

_DEEPEST = 30  # operations in one Python expression; the compiler's recursion is limited
_ARITHMETIC: dict[str, type[ast.operator]] = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult}
_COMPARISONS: dict[str, type[ast.cmpop]] = {
    "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE, "==": ast.Eq, "!=": ast.NotEq,
}  # fmt: skip
_HELPERS = {"/": "divide", "^": "power", "min": "minimum", "max": "maximum"}
_LOGIC: dict[str, type[ast.boolop]] = {"and": ast.And, "or": ast.Or}
GLOBALS: dict[str, Any] = {
    name: getattr(arithmetic, name)
    for name in (
        "divide", "power", "minimum", "maximum", "clamp", "floor", "ceil", "sqrt", "exp", "log", "log2",
        "normal_cdf", "matches", "least",
    )
} | {"abs": abs}  # fmt: skip


def name(identifier: str) -> ast.Name:
    return ast.Name(identifier, ast.Load())


def call(function: str, *args: ast.expr) -> ast.Call:
    return ast.Call(name(function), list(args), [])


def pack(items: Sequence[ast.expr]) -> ast.Tuple:
    return ast.Tuple(list(items), ast.Load())


def assign(target: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(target, ast.Store())], value)


class Expressions:
    """Lowers graphs to Python expressions over the mappings `row` and `engine`, collecting local variables."""

    def __init__(self, places: Places, roots: Sequence[Node]) -> None:
        self.statements: list[ast.stmt] = []
        self._places = places
        order = postorder(roots)
        self._homes = places.homes(order)
        self._uses = Counter(id(c) for n in order for c in children(n))
        self._uses.update(id(r) for r in roots)
        self._depth: dict[int, int] = {}
        self._made: dict[int, ast.expr] = {}
        for node in order:
            self._lower(node)

    def __getitem__(self, node: Node) -> ast.expr:
        """The expression for *node*; use it once for each time it counts in *roots*."""
        made = self._made[id(node)]
        return ast.copy_location(ast.Name(made.id, ast.Load()), made) if isinstance(made, ast.Name) else made

    def constant(self, value: float | bool | str) -> ast.expr:
        return ast.Constant(value)

    def text_is(self, node: TextIs) -> ast.expr:
        return call("matches", self[node.subject], pack([ast.Constant(p) for p in node.patterns]))

    def _lower(self, node: Node) -> None:
        home = self._homes[id(node)]
        made = self._places.mark(self._expression(node), home)
        depth = 1 + max((self._depth[id(c)] for c in children(node)), default=0)
        if not isinstance(node, Const) and (self._uses[id(node)] > 1 or depth > _DEEPEST):
            local = f"v{len(self.statements)}"
            self.statements.append(self._places.mark(assign(local, made), home))
            made, depth = self._places.mark(name(local), home), 0
        self._made[id(node)], self._depth[id(node)] = made, depth

    def _expression(self, node: Node) -> ast.expr:
        match node:
            case Const(value=value):
                return self.constant(value)
            case Read(key=key):
                table = "row" if catalogue.signal_of(key).per_row else "engine"
                return ast.Subscript(name(table), ast.Constant(key), ast.Load())
            case Unary(op=op, operand=operand):
                return ast.UnaryOp(ast.Not() if op == "not" else ast.USub(), self[operand])
            case Binary(op=op, left=left, right=right):
                return self._binary(op, self[left], self[right])
            case Call(name=function, args=args):
                return self._call(_HELPERS.get(function, function), [self[a] for a in args])
            case If(test=test, then=then, other=other):
                return ast.IfExp(self[test], self[then], self[other])
            case TextIs():
                return self.text_is(node)
            case Least(arms=arms):
                return call("least", pack([
                    pack([
                        ast.Constant(float(a.handling)),
                        self[a.cost],
                        ast.Constant(True) if a.allowed is None else self[a.allowed],
                    ])
                    for a in arms
                ]))  # fmt: skip
        raise TypeError(f"no code for {type(node).__name__}")

    def _binary(self, op: str, left: ast.expr, right: ast.expr) -> ast.expr:
        if op in _ARITHMETIC:
            return ast.BinOp(left, _ARITHMETIC[op](), right)
        if op in _COMPARISONS:
            return ast.Compare(left, [_COMPARISONS[op]()], [right])
        if op in _LOGIC:
            return ast.BoolOp(_LOGIC[op](), [left, right])
        return call(_HELPERS[op], left, right)

    def _call(self, function: str, args: list[ast.expr]) -> ast.expr:
        if function in ("minimum", "maximum"):
            result = args[0]
            for other in args[1:]:
                result = call(function, result, other)
            return result
        return call(function, *args)


class Module:
    """Functions of one policy, compiled together. Each is of the file that states its rule."""

    def __init__(self, scope: Mapping[str, Any] = GLOBALS) -> None:
        self._scope = dict(scope)
        self._functions: dict[str, list[ast.stmt]] = {}  # by path

    def add(self, places: Places, function: str, parameters: Sequence[str], body: list[ast.stmt]) -> None:
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        made = ast.FunctionDef(function, arguments, body, [], None)
        made.lineno = made.end_lineno = min((s.lineno for s in body if hasattr(s, "lineno")), default=places.line)
        made.col_offset = made.end_col_offset = 0
        self._functions.setdefault(places.path, []).append(made)

    def constant(self, prefix: str, value: object) -> str:
        """The name under which functions see *value*."""
        made = f"{prefix}_{len(self._scope)}"
        self._scope[made] = value
        return made

    def compile(self) -> Mapping[str, Callable[..., Any]]:
        scope = dict(self._scope)
        for path, functions in self._functions.items():
            tree = ast.fix_missing_locations(ast.Module(functions, []))
            exec(compile(tree, path, "exec"), scope)
        return scope


def add_values(module: Module, places: Places, function: str, roots: Sequence[Node]) -> None:
    """Adds `function(row, engine)`: the values of *roots* as a tuple."""
    made = Expressions(places, roots)
    module.add(places, function, ("row", "engine"), [*made.statements, ast.Return(pack([made[r] for r in roots]))])


def add_decision(module: Module, places: Places, function: str, decision: Decision) -> None:
    """Adds `function(row, engine)`: the `Verdict` of *decision*. `again` in it calls the function `on_call`."""
    made = Expressions(places, decision_roots(decision))
    result = places.mark(ast.Return(_Decisions(module, places, made).code(decision)), decision.span)
    module.add(places, function, ("row", "engine"), [*made.statements, result])


def decision_roots(decision: Decision) -> tuple[Node, ...]:
    """The expressions of a decision, once for each place where they stand."""
    match decision:
        case Act(holds=links):
            return tuple(h.lasts for h in links if h.lasts is not None)
        case Again():
            return ()
        case Choose(test=test, then=then, other=other):
            return (test, *decision_roots(then), *decision_roots(other))
        case Pick(arms=arms):
            return tuple(
                n for a in arms for n in (*decision_roots(a.act), a.cost, *(() if a.when is None else (a.when,)))
            )


@dataclass(frozen=True, slots=True)
class _Decisions:
    """Writes decisions over the expressions *made* of their parts."""

    module: Module
    places: Places
    made: Expressions

    def code(self, decision: Decision) -> ast.expr:
        made, mark = self.made, self.places.mark
        match decision:
            case Act():
                return mark(self._act(decision), decision.span)
            case Again(span=span):
                return mark(call("on_call", name("row"), name("engine")), span)
            case Choose(test=test, then=then, other=other, span=span):
                return mark(ast.IfExp(made[test], self.code(then), self.code(other)), span)
            case Pick(arms=arms, span=span):
                site = self.module.constant("pick", PickSite(tuple(label(a.act) for a in arms), span.line))
                return mark(call(site, *map(self._arm, arms)), span)

    def _arm(self, arm: Arm) -> ast.expr:
        """Its cost, whether it may be taken, and its verdict."""
        may = [_allowed(arm.act.holds[0].handling), *([] if arm.when is None else [self.made[arm.when]])]
        act = self.places.mark(self._act(arm.act), arm.act.span)
        return pack([self.made[arm.cost], may[0] if len(may) == 1 else ast.BoolOp(ast.And(), may), act])

    def _act(self, act: Act) -> ast.expr:
        site = self.module.constant("act", ActSite(tuple(h.handling for h in act.holds), act.span.line))
        links = (
            pack([ast.Constant(None) if h.lasts is None else self.made[h.lasts], _allowed(h.handling)])
            for h in act.holds
        )
        return call(site, *links)


def _allowed(handling: Handling) -> ast.expr:
    if handling not in (Handling.PRESERVE, Handling.SWAP):
        return ast.Constant(True)
    return ast.Subscript(name("engine"), ast.Constant(f"allow.{handling.word}"), ast.Load())


class ActSite:
    """Makes the verdict of one action written in a policy."""

    def __init__(self, handlings: tuple[Handling, ...], line: int) -> None:
        self._handlings, self._line = handlings, line

    def __call__(self, *links: tuple[float | None, bool]) -> Verdict:
        given = [(h, lasts, allowed) for h, (lasts, allowed) in zip(self._handlings, links, strict=True)]
        return Verdict(holds(given), (), self._line)


class PickSite:
    """Makes the verdict of one `least` written in a policy."""

    def __init__(self, labels: tuple[str, ...], line: int) -> None:
        self._labels, self._line = labels, line

    def __call__(self, *arms: tuple[float, bool, Verdict]) -> Verdict:
        costs = tuple((text, cost, may) for text, (cost, may, _) in zip(self._labels, arms, strict=True))
        chosen = cheapest([(cost, may) for cost, may, _ in arms])
        if chosen is None:
            return Verdict(holds(()), costs, self._line)
        verdict = arms[chosen][2]
        return Verdict(verdict.holds, costs, verdict.line)
