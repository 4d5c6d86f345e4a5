"""Operators: which types they take, and the type they give."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import agree, is_zero, said
from policy_dsl.diagnostics import codes
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, INSTANT, TEXT, Kind, Type, quantity
from policy_dsl.units import NUMBER, SECOND

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

_DURATION = quantity(SECOND)
_VERBS = {"+": "add", "-": "subtract"}


def prefix(el: Elaborator, e: nodes.Prefix, env: Env) -> ir.Node | None:
    if e.op == "not":
        node = el.condition(e.operand, env)
        return None if node is None else el.make(ir.Unary, BOOL, e.span, "not", node)
    node = el.expr(e.operand, env)
    if node is None:
        return None
    if node.type.kind is not Kind.QUANTITY:
        return el.wrong(e.operand, node, "a quantity", env)
    if isinstance(node, ir.Const):
        return el.make(ir.Const, node.type, e.span, -float(node.value))
    return el.make(ir.Unary, node.type, e.span, "-", node)


def infix(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    match e.op:
        case "and" | "or":
            left, right = el.condition(e.left, env), el.condition(e.right, env)
            return None if left is None or right is None else el.make(ir.Binary, BOOL, e.span, e.op, left, right)
        case "+" | "-":
            return _sum(el, e, env)
        case "*" | "/":
            return _product(el, e, env)
        case "^":
            return _power(el, e, env)
        case _:
            return _comparison(el, e, env)


def _sum(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    left, right = el.expr(e.left, env), el.expr(e.right, env)
    if left is None or right is None:
        return None
    type_ = _with_instants(e, left.type, right.type)
    if type_ is None:
        for side, node in ((e.left, left), (e.right, right)):
            if node.type.kind not in (Kind.QUANTITY, Kind.INSTANT):
                return el.wrong(side, node, "a quantity", env)
        sides = agree(el, _VERBS[e.op], [(e.left, left), (e.right, right)], env)
        if sides is None:
            return None
        if sides[0].type == INSTANT:
            help = "the difference of two instants is a duration; nothing else can be done with two of them"
            return el.error(codes.UNITS, "cannot add two instants", e.span, env, help=help)
        return el.make(ir.Binary, sides[0].type, e.span, e.op, *sides)
    left = el.retyped(left, _DURATION) if is_zero(e.left) else left
    right = el.retyped(right, _DURATION) if is_zero(e.right) else right
    return el.make(ir.Binary, type_, e.span, e.op, left, right)


def _with_instants(e: nodes.Infix, left: Type, right: Type) -> Type | None:
    """instant - instant is a duration, instant +- duration an instant; None where no instant takes part."""
    if left == INSTANT and right == INSTANT and e.op == "-":
        return _DURATION
    if left == INSTANT and (right == _DURATION or is_zero(e.right)):
        return INSTANT
    if right == INSTANT and e.op == "+" and (left == _DURATION or is_zero(e.left)):
        return INSTANT
    return None


def _quantities(el: Elaborator, e: nodes.Infix, env: Env) -> tuple[ir.Node, ir.Node] | None:
    left, right = el.expr(e.left, env), el.expr(e.right, env)
    good = True
    for side, node in ((e.left, left), (e.right, right)):
        if node is not None and node.type.kind is not Kind.QUANTITY:
            el.wrong(side, node, "a quantity", env)
            good = False
    return (left, right) if good and left is not None and right is not None else None


def _product(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    sides = _quantities(el, e, env)
    if sides is None:
        return None
    left, right = sides
    dim = left.type.dim * right.type.dim if e.op == "*" else left.type.dim / right.type.dim
    return el.make(ir.Binary, quantity(dim), e.span, e.op, left, right)


def _power(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    sides = _quantities(el, e, env)
    if sides is None:
        return None
    base, exponent = sides
    literal = _literal(e.right)
    if literal is not None and abs(literal) <= 1000:
        exponent = el.make(ir.Const, quantity(), e.right.span, float(literal))
        return el.make(ir.Binary, quantity(base.type.dim**literal), e.span, "^", base, exponent)
    for side, node in ((e.left, base), (e.right, exponent)):
        if node.type.dim != NUMBER:
            message = f"a power with a computed exponent takes plain numbers, not {said(node.type)}"
            help = "divide by a reference, such as `request.age / 1s`, or write the exponent as a number"
            return el.error(codes.EXPONENT, message, side.span, env, f"this is {said(node.type)}", help=help)
    return el.make(ir.Binary, quantity(), e.span, "^", base, exponent)


def _literal(e: nodes.Expr) -> Fraction | None:
    """The value of `3`, `-2`, `0.5`, `(1/2)`; None where the exponent is computed."""
    match e:
        case nodes.Number(unit=""):
            return Fraction(str(e.value))
        case nodes.Prefix(op="-"):
            inner = _literal(e.operand)
            return None if inner is None else -inner
        case nodes.Infix(op="/"):
            over, under = _literal(e.left), _literal(e.right)
            return over / under if over is not None and under else None
        case _:
            return None


def _comparison(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    if isinstance(e.left, nodes.Text) or isinstance(e.right, nodes.Text):
        return _text_comparison(el, e, env)
    left, right = el.expr(e.left, env), el.expr(e.right, env)
    if left is None or right is None:
        return None
    sides = agree(el, "compare", [(e.left, left), (e.right, right)], env)
    if sides is None:
        return None
    kind = sides[0].type.kind
    if kind is Kind.TEXT or (e.op not in ("==", "!=") and kind not in (Kind.QUANTITY, Kind.INSTANT)):
        help = 'compare a text with one in quotes: `call.tool == "bash"`' if kind is Kind.TEXT else "use `==` or `!=`"
        message = f"`{e.op}` does not compare two values of type {kind.value}"
        return el.error(codes.WRONG_TYPE, message, e.span, env, help=help)
    return el.make(ir.Binary, BOOL, e.span, e.op, *sides)


def _text_comparison(el: Elaborator, e: nodes.Infix, env: Env) -> ir.Node | None:
    text, other = (e.left, e.right) if isinstance(e.left, nodes.Text) else (e.right, e.left)
    assert isinstance(text, nodes.Text)
    if e.op not in ("==", "!=") or isinstance(other, nodes.Text):
        return el.error(codes.WRONG_TYPE, "a text is compared with a signal, by `==`, `!=` or `in`", e.span, env)
    if "*" in text.value:
        help = f'for a pattern write `in ["{text.value}"]`'
        return el.error(codes.MATCH, f"`{e.op}` compares whole texts", text.span, env, help=help)
    subject = _subject(el, other, env)
    if subject is None:
        return None
    same = el.make(ir.TextIs, BOOL, e.span, subject, (text.value,))
    return same if e.op == "==" else el.make(ir.Unary, BOOL, e.span, "not", same)


def _subject(el: Elaborator, e: nodes.Expr, env: Env) -> ir.Node | None:
    node = el.expr(e, env)
    if node is not None and node.type != TEXT:
        return el.wrong(e, node, "a text such as `call.tool`", env)
    return node


def member(el: Elaborator, e: nodes.Member, env: Env) -> ir.Node | None:
    """`call.tool in ["bash", "web_*"]`."""
    subject = _subject(el, e.subject, env)
    good = [pattern_is_good(el, p, env) for p in e.patterns]
    if subject is None or not all(good):
        return None
    return el.make(ir.TextIs, BOOL, e.span, subject, tuple(p.value for p in e.patterns))


def pattern_is_good(el: Elaborator, pattern: nodes.Text, env: Env) -> bool:
    """A `*` stands only at the end; reports if not."""
    if "*" in pattern.value[:-1]:
        el.error(codes.MATCH, "a pattern has its `*` at the end", pattern.span, env)
        return False
    return True
