"""Arguments of functions that a policy defines: their declared types, and what stands for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.types import BOOL, INSTANT, Type, quantity
from policy_dsl.units import NAMED

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

TYPES = (*NAMED, "instant", "bool")


def argument_type(arg: nodes.Argument) -> Type | None:
    """The declared type; None where there is none (or none of that name)."""
    if arg.type is None:
        return None
    if arg.type.name in NAMED:
        return quantity(NAMED[arg.type.name])
    return {"instant": INSTANT, "bool": BOOL}.get(arg.type.name)


def stand_in(el: Elaborator, arg: nodes.Argument) -> ir.Node | None:
    """A value of the right type, in no policy; None for an untyped argument: what it is, its uses say."""
    wanted = argument_type(arg)
    return None if wanted is None else el.make(ir.Param, wanted, arg.span, f"{arg.name}()")
