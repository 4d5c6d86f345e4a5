"""One unit on all sides: `+`, `-`, comparison, `min`, `max`, `clamp`, `if`, `match` and `least` need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label
from policy_dsl.scope import Env
from policy_dsl.types import Kind, Type
from policy_dsl.units import NUMBER

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

Side = tuple[nodes.Expr, "ir.Node | None"]


def is_zero(e: nodes.Syntax) -> bool:
    """The literal `0`, which fits every unit."""
    return isinstance(e, nodes.Number) and e.value == 0 and e.unit == ""


def agree(el: Elaborator, verb: str, sides: Sequence[Side], env: Env) -> list[ir.Node] | None:
    """The nodes of *sides*, all of one type, literal zeros in the unit of the others.

    Reports the first side that differs, labelled together with the one it differs from; *verb* is what
    is done with them: "add", "compare".
    """
    if any(node is None for _, node in sides):
        return None
    known = [(e, node) for e, node in sides if node is not None]
    model, first = next(((e, n) for e, n in known if not is_zero(e)), known[0])
    same = []
    for e, node in known:
        if is_zero(e) and first.type.kind is Kind.QUANTITY:
            same.append(el.retyped(node, first.type))
        elif node.type == first.type:
            same.append(node)
        else:
            a, b = said(first.type), said(node.type)
            labels = (Label(model.span, f"this is {a}"), *el.declared(env, model, e))
            help = _hint(first.type, node.type)
            el.error(codes.UNITS, f"cannot {verb} {a} and {b}", e.span, env, f"this is {b}", labels, help)
            return None
    return same


def said(type_: Type) -> str:
    """A type in a sentence: `this is ...`."""
    words = {Kind.INSTANT: "an instant", Kind.BOOL: "a condition", Kind.TEXT: "a text", Kind.HANDLING: "a handling"}
    return words.get(type_.kind, "a plain number" if type_.dim == NUMBER else str(type_))


def _hint(a: Type, b: Type) -> str:
    kinds = {a.kind, b.kind}
    if kinds == {Kind.INSTANT, Kind.QUANTITY}:
        return "an instant is a point in time; `engine.now - X` is a duration"
    names = {str(a), str(b)}
    if names == {"tokens", "blocks"}:
        return "`engine.block_size` is tokens per block"
    if names == {"tokens", "bytes"}:
        return "`engine.token_bytes` is bytes per token"
    if names == {"seconds", "steps"}:
        return "`engine.step_time` is seconds per step"
    if "number" in names and kinds == {Kind.QUANTITY}:
        other = (names - {"number"}).pop()
        return f"give the number a unit, or divide the {other} by a reference"
    return ""
