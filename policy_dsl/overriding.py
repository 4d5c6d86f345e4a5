"""`override let`: what others read or call keeps its type and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.arguments import argument_type, stand_in
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label
from policy_dsl.scope import Definition, Env
from policy_dsl.types import Kind

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

_NOWHERE = Env(0)


def same_arguments(el: Elaborator, new: nodes.LetStatement, earlier: Definition) -> bool:
    """Whether *new* can be called as what it replaces is; reports if not."""
    old = earlier.syntax
    if not isinstance(old, nodes.LetStatement):
        return True
    if [argument_type(a) for a in new.args] == [argument_type(a) for a in old.args]:
        return True
    head = f"{old.name.name}({', '.join(map(_written, old.args))})" if old.args else old.name.name
    label = (Label(earlier.span, "what it replaces"),)
    message, help = f"`{old.name.name}` must keep its arguments: others call it", f"write `override let {head} = ...`"
    el.error(codes.OVERRIDE, message, new.name.span, _NOWHERE, "", label, help)
    return False


def _written(arg: nodes.Argument) -> str:
    return arg.name if arg.type is None else f"{arg.name}: {arg.type.name}"


def same_type(el: Elaborator, known: Definition, made: ir.Node | None) -> ir.Node | None:
    """*made*, the value of *known*, if it has the type of what *known* replaces; None after a report."""
    new, replaced = known.syntax, known.replaced
    if made is None or replaced is None or not isinstance(new, nodes.LetStatement):
        return made
    before = _before(el, replaced)
    if before is None or before.type == made.type:
        return made
    if is_zero(new.value) and before.type.kind is Kind.QUANTITY:
        return el.retyped(made, before.type)
    label = (Label(replaced.span, "what it replaces"),)
    message = f"`{known.name}` must stay {said(before.type)}: others read it"
    return el.error(codes.OVERRIDE, message, new.value.span, _NOWHERE, f"this is {said(made.type)}", label)


def _before(el: Elaborator, replaced: Definition) -> ir.Node | None:
    """What is replaced. Nobody reads it, so what is wrong with it is of no interest."""
    if not isinstance(replaced.syntax, nodes.LetStatement):
        return None
    found = len(el.found)
    local = {a.name: stand_in(el, a) for a in replaced.syntax.args}
    node = el.expr(replaced.syntax.value, Env(replaced.sees, local))
    del el.found[found:]
    return node
