"""Functions of a policy: `let` with arguments, written out at each call, its arguments checked there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy_dsl import ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.arguments import TYPES, argument_type, stand_in
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label
from policy_dsl.names import did_you_mean
from policy_dsl.overriding import same_type
from policy_dsl.scope import Definition, Env, Use
from policy_dsl.types import Kind

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator


def inline(el: Elaborator, e: nodes.Apply, known: Definition, env: Env) -> ir.Node | None:
    """The body of *known* with the arguments of the call *e*."""
    if isinstance(known.syntax, nodes.Broken):
        return None
    let = known.syntax
    if not isinstance(let, nodes.LetStatement) or not let.args:
        label = (Label(known.span, "declared here"),)
        return el.error(codes.NOT_A_FUNCTION, f"`{known.name}` is not a function", e.span, env, "", label)
    if not el.in_order(known, e.function.span, env) or el.in_circle(known, e.function.span, env):
        return None
    if len(e.args) != len(let.args):
        message = f"`{known.name}` takes {len(let.args)} arguments, not {len(e.args)}"
        help = f"write `{known.name}({', '.join(a.name for a in let.args)})`"
        return el.error(codes.ARGUMENTS, message, e.span, env, "", (Label(known.span, "defined here"),), help)
    define(el, known)
    if known.name in el.broken:
        return None
    args = [_argument(el, known, a, given, env) for a, given in zip(let.args, e.args, strict=True)]
    if None in args:
        return None
    key = (known.name, *args)
    if key not in el.inlined:
        local = {a.name: node for a, node in zip(let.args, args, strict=True)}
        with el.through(known.name):
            el.inlined[key] = el.expr(let.value, Env(known.sees, local, (*env.trail, Use(e.span, known.name))))
    return el.inlined[key]


def _argument(el: Elaborator, known: Definition, arg: nodes.Argument, given: nodes.Expr, env: Env) -> ir.Node | None:
    node = el.expr(given, env)
    wanted = argument_type(arg)
    if node is None or wanted is None:
        return node
    if is_zero(given) and wanted.kind is Kind.QUANTITY:
        return el.retyped(node, wanted)
    if node.type != wanted:
        label = Label(arg.span, f"`{arg.name}` is {said(wanted)}")
        message = f"`{arg.name}` of `{known.name}` takes {said(wanted)}, not {said(node.type)}"
        labels = (label, *el.declared(env, given))
        return el.error(codes.UNITS, message, given.span, env, f"this is {said(node.type)}", labels)
    return node


def define(el: Elaborator, known: Definition) -> None:
    """Checks a let by itself, once: nobody may use it, and its own mistakes are not those of its uses."""
    if not known.is_function:
        if isinstance(known.syntax, nodes.LetStatement):
            el.value(known)
        return
    if known.name in el.defined:
        return
    el.defined.add(known.name)
    before = len(el.found)
    with el.through(known.name):
        _function(el, known)
    if len(el.found) > before:
        el.broken.add(known.name)


def _function(el: Elaborator, known: Definition) -> None:
    assert isinstance(known.syntax, nodes.LetStatement)
    local: dict[str, ir.Node | None] = {}
    for arg in known.syntax.args:
        if arg.name in local:
            el.error(codes.REPEATED, f"two arguments are called `{arg.name}`", arg.span, Env(0))
        wanted = argument_type(arg)
        if arg.type is not None and wanted is None:
            help = did_you_mean(arg.type.name, TYPES) or "types: " + ", ".join(TYPES)
            el.error(codes.UNKNOWN_NAME, f"unknown type `{arg.type.name}`", arg.type.span, Env(0), help=help)
        local[arg.name] = stand_in(el, arg)
    node = same_type(el, known, el.expr(known.syntax.value, Env(known.sees, local)))
    if node is not None:
        el.results[known.name] = node.type
