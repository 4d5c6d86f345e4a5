"""What a policy defines: params, lets and hints, and what `override` may put in their place."""

from __future__ import annotations

import math

from policy_dsl import ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label, Source, Span
from policy_dsl.elaborate import Elaborator
from policy_dsl.functions import BUILTINS
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.overriding import same_arguments
from policy_dsl.scope import Definition, Env
from policy_dsl.types import TEXT, quantity
from policy_dsl.units import SUFFIXES

_NOWHERE = Env(0)


def define(el: Elaborator, s: nodes.Statement, prelude: bool) -> None:
    """Adds the param or let *s*, if it is one, to what the policy defines."""
    match s:
        case nodes.ParamStatement() | nodes.LetStatement():
            name, span, override = s.name.name, s.name.span, s.override
        case nodes.Broken(name=str() as name) if name and s.keyword in ("param", "let"):
            span, override = s.span, False
        case _:
            return
    if name.startswith(POISON):
        return
    earlier = el.definitions.get(name)
    place = len(el.definitions)
    if name in BUILTINS:
        el.error(codes.REPEATED, f"`{name}` is a built-in function; choose another name", span, _NOWHERE)
    elif override:
        _override(el, s, name, span, earlier)
    elif earlier is None:
        el.definitions[name] = Definition(name, place, s, prelude, place)
    elif isinstance(s, nodes.Broken) and earlier.span.source != span.source:
        el.definitions[name] = Definition(name, earlier.index, s, prelude, place)
    else:
        _repeated(el, name, span, earlier)


def _repeated(el: Elaborator, name: str, span: Span, earlier: Definition) -> None:
    word = "param" if isinstance(earlier.syntax, nodes.ParamStatement) else "let"
    if earlier.prelude:
        label = (Label(earlier.span, "defined in the prelude"),)
        help = f"choose another name; to replace it in all that uses it, write `override let {name}`"
        el.error(codes.PRELUDE, f"`{name}` is a name of the prelude", span, _NOWHERE, "", label, help)
    elif earlier.span.source != span.source:
        label = (Label(earlier.span, "taken over from here"),)
        help = f"choose another name; to replace it in all that uses it, write `override {word} {name}`"
        el.error(codes.REPEATED, f"`{name}` is already defined", span, _NOWHERE, "", label, help)
    else:
        label = (Label(earlier.span, "first defined here"),)
        el.error(codes.REPEATED, f"`{name}` is defined twice", span, _NOWHERE, "", label)


def _override(el: Elaborator, s: nodes.Statement, name: str, span: Span, earlier: Definition | None) -> None:
    place = len(el.definitions)
    if earlier is None:
        others = [d.name for d in el.definitions.values() if d.span.source != span.source]
        help = did_you_mean(name, others) or "without `override` it is a new name"
        el.error(codes.OVERRIDE, f"there is no `{name}` to override", span, _NOWHERE, help=help)
        el.definitions[name] = Definition(name, place, s, False, place)  # type: ignore[arg-type]
        return
    if earlier.span.source == span.source:
        label = (Label(earlier.span, "defined here"),)
        message = f"`{name}` is defined in this file"
        el.error(codes.OVERRIDE, message, span, _NOWHERE, "", label, "change it there")
        return
    if type(earlier.syntax) is not type(s) and not isinstance(earlier.syntax, nodes.Broken):
        word = "param" if isinstance(earlier.syntax, nodes.ParamStatement) else "let"
        label = (Label(earlier.span, "defined here"),)
        el.error(codes.OVERRIDE, f"`{name}` is a {word}", span, _NOWHERE, "", label, f"write `override {word} {name}`")
        return
    if isinstance(s, nodes.LetStatement) and not same_arguments(el, s, earlier):
        return
    el.definitions[name] = Definition(name, earlier.index, s, earlier.prelude, place, earlier)  # type: ignore[arg-type]


# --- params


def param(el: Elaborator, definition: Definition) -> ir.ParamInfo | None:
    """The tunable that a `param` statement describes; None after a report, and for what is no param."""
    if not isinstance(definition.syntax, nodes.ParamStatement):
        return None
    info = _info(el, definition.syntax)
    if info is None:
        return None
    el.params[definition.name] = info
    replaced = definition.replaced
    if replaced is not None and isinstance(replaced.syntax, nodes.ParamStatement):
        found = len(el.found)
        before = _info(el, replaced.syntax)
        if before is not None and len(el.found) == found:
            return _inside(el, definition.syntax, info, before)
    return info


def _info(el: Elaborator, s: nodes.ParamStatement) -> ir.ParamInfo | None:
    model = s.low if is_zero(s.default) and s.low.unit else s.default
    default, low, high = (_bound(el, model, n) for n in (s.default, s.low, s.high))
    if default is None or low is None or high is None:
        return None
    _check_range(el, s.default, s.low, s.high, (low, default, high))
    return ir.ParamInfo(s.name.name, quantity(model.dim), default, low, high, comment(s.span), s.name.span)


def _bound(el: Elaborator, model: nodes.Number, n: nodes.Number) -> float | None:
    """*n* in base units; without a unit it has that of *model*."""
    if POISON in (n.unit, model.unit):
        return None
    if not n.unit and model.unit:
        return n.value * SUFFIXES[model.unit][1]
    if n.dim == model.dim:
        return n.value
    label = (Label(model.span, f"this is {model.dim}"),)
    message = f"a range of {model.dim} cannot have a bound in {n.dim}"
    el.error(codes.UNITS, message, n.span, _NOWHERE, f"this is {n.dim}", label)
    return None


def _check_range(
    el: Elaborator, default: nodes.Number, low: nodes.Number, high: nodes.Number, values: tuple[float, float, float]
) -> None:
    least, value, most = values
    if not least <= most:
        el.error(codes.RANGE, "this range is empty: it ends before it begins", high.span, _NOWHERE)
    elif not least <= value <= most:
        whole = Span(low.span.source, low.span.line, low.span.column, high.span.end_line, high.span.end_column)
        label = Label(whole, "the range")
        el.error(codes.RANGE, "the default lies outside the range", default.span, _NOWHERE, "", (label,))


def _inside(el: Elaborator, s: nodes.ParamStatement, info: ir.ParamInfo, before: ir.ParamInfo) -> ir.ParamInfo | None:
    """*info*, if what the parent's rules were written for still holds."""
    label = (Label(before.span, "what it replaces"),)
    if info.type != before.type:
        message = f"`{info.name}` must stay {said(before.type)}: others read it"
        el.error(codes.OVERRIDE, message, s.default.span, _NOWHERE, f"this is {said(info.type)}", label)
        del el.params[info.name]
        return None
    for n, outside in ((s.low, info.low < before.low), (s.high, info.high > before.high)):
        if outside:
            message = f"the range of `{info.name}` must lie inside the one it replaces"
            el.error(codes.OVERRIDE, message, n.span, _NOWHERE, "", label)
    return info


# --- hints


def hint(el: Elaborator, s: nodes.HintStatement, earlier: dict[str, nodes.HintStatement]) -> ir.HintInfo | None:
    """What a `hint` statement lets clients say; None after a report."""
    name = s.name.name
    if name in earlier:
        label = (Label(earlier[name].name.span, "the first one"),)
        el.error(codes.REPEATED, f"there are two hints `{name}`", s.name.span, _NOWHERE, "", label)
        return None
    earlier[name] = s
    el.declared_signals[f"hint.{name}"] = None
    if isinstance(s.default, nodes.Text):
        el.declared_signals[f"hint.{name}"] = TEXT
        return ir.HintInfo(name, TEXT, s.default.value, -math.inf, math.inf, comment(s.span), s.name.span)
    assert s.low is not None and s.high is not None
    model = s.low if is_zero(s.default) and s.low.unit else s.default
    default, low, high = (_bound(el, model, n) for n in (s.default, s.low, s.high))
    if default is None or low is None or high is None:
        return None
    _check_range(el, s.default, s.low, s.high, (low, default, high))
    el.declared_signals[f"hint.{name}"] = quantity(model.dim)
    return ir.HintInfo(name, quantity(model.dim), default, low, high, comment(s.span), s.name.span)


def comment(span: Span) -> str:
    """The comment behind a statement, on its last line."""
    source: Source = span.source
    rest = source.line(span.end_line)[span.end_column - 1 :].strip()
    return rest[1:].strip() if rest.startswith("#") else ""
