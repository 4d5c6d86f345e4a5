"""`test` statements: given values become constants in base units, expectations typed conditions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from policy_dsl import decisions, ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.catalogue import SIGNALS, STATISTICS, Changes, Signal, signal_of
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label, Span
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.rows import reads
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, INSTANT, TEXT, Kind, Type, quantity
from policy_dsl.units import SECOND

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

TOLERANCE = 1e-9  # relative, for `==` between numbers
_GROUPS = {name.split(".")[0] for name in SIGNALS}


def check_test(el: Elaborator, s: nodes.TestStatement, env: Env) -> nodes.Test | None:
    """The checked test; None after a report."""
    before = len(el.found)
    rows = _rows(el, s, env)
    steps = [_step(el, step, replace(env, rows=frozenset(rows))) for step in s.steps]
    if not any(not isinstance(step, nodes.GivenSyntax) for step in s.steps):
        el.error(codes.SYNTAX, "this test expects nothing", s.span, env, help="add `expect ...`")
    if len(el.found) > before:
        return None
    return nodes.Test(s.title, tuple(step for step in steps if step is not None), s.span)


def _rows(el: Elaborator, s: nodes.TestStatement, env: Env) -> dict[str, nodes.Ident]:
    rows: dict[str, nodes.Ident] = {}
    for step in s.steps:
        if not isinstance(step, nodes.GivenSyntax):
            continue
        match step.subject.name, step.name:
            case ("given", None):
                pass
            case ("given", nodes.Ident(span=span)):
                help = "write `given { ... }` or `request NAME { ... }`"
                el.error(codes.SYNTAX, "`given` has no name", span, env, help=help)
            case ("request", None):
                help = "write `request a { ... }`"
                el.error(codes.SYNTAX, "a request needs a name", step.subject.span, env, help=help)
            case ("request", nodes.Ident() as name):
                _add_row(el, rows, name, env)
            case (subject, _) if not subject.startswith(POISON):
                help = did_you_mean(subject, ("given", "request")) or "a test has `given`, `request` and `expect`"
                el.error(codes.UNKNOWN_NAME, f"a test has no `{subject}`", step.subject.span, env, help=help)
    return rows


def _add_row(el: Elaborator, rows: dict[str, nodes.Ident], name: nodes.Ident, env: Env) -> None:
    if name.name in _GROUPS:
        message = f"`{name.name}.` begins signals; choose another name for this request"
        el.error(codes.REPEATED, message, name.span, env)
    elif name.name in rows:
        label = (Label(rows[name.name].span, "the first one"),)
        el.error(codes.REPEATED, f"two requests are called `{name.name}`", name.span, env, "", label)
    rows.setdefault(name.name, name)


def _step(el: Elaborator, step: nodes.Step, env: Env) -> nodes.CheckedStep | None:
    match step:
        case nodes.GivenSyntax():
            fields = [_field(el, f, step.name is not None, env) for f in step.fields]
            _repeated(el, step, env)
            name = None if step.name is None else step.name.name
            return nodes.Given(name, tuple(f for f in fields if f is not None), step.span)
        case nodes.ExpectRankSyntax():
            names = [_row(el, n, env) for n in step.names]
            for i, ident in enumerate(step.names):
                if ident.name in names[:i]:
                    el.error(codes.REPEATED, f"`{ident.name}` stands twice in this order", ident.span, env)
            return nodes.ExpectRank(tuple(names), step.span, step.rule)
        case nodes.ExpectCallSyntax():
            return _expect_call(el, step, env)
        case nodes.ExpectTrueSyntax():
            return _expect_true(el, step, env)
        case _:
            return None


def _row(el: Elaborator, name: nodes.Ident, env: Env) -> str:
    if name.name not in env.rows and not name.name.startswith(POISON):
        help = did_you_mean(name.name, sorted(env.rows))
        el.error(codes.UNKNOWN_NAME, f"no request of this test is called `{name.name}`", name.span, env, help=help)
    return name.name


def _repeated(el: Elaborator, step: nodes.GivenSyntax, env: Env) -> None:
    first: dict[str, nodes.FieldSyntax] = {}
    for f in step.fields:
        if f.path.name in first:
            label = (Label(first[f.path.name].span, "the first one"),)
            el.error(codes.REPEATED, f"`{f.path.name}` is given twice", f.path.span, env, "", label)
        first.setdefault(f.path.name, f)


# --- given values


def _field(el: Elaborator, f: nodes.FieldSyntax, of_row: bool, env: Env) -> nodes.Field | None:
    path = f.path.name
    if path.startswith(POISON):
        return None
    if "." not in path:
        return _given_param(el, f, of_row, env)
    base, _, last = path.rpartition(".")
    if last == "known" and base in SIGNALS and SIGNALS[base].distribution:
        signal = replace(SIGNALS[base], name=path, type=BOOL, distribution=False)
    elif path in SIGNALS and not SIGNALS[path].hidden:
        signal = SIGNALS[path]
    else:
        help = did_you_mean(path, [s.name for s in SIGNALS.values() if not s.hidden])
        if last in STATISTICS and base in SIGNALS:
            help = f"write `{base}: lognormal(p50, p90)`"
        el.error(codes.UNKNOWN_NAME, f"unknown signal `{path}`", f.path.span, env, help=help)
        return None
    if signal.per_row != of_row:
        where = "a request: write `request NAME { ... }`" if signal.per_row else "the engine: write `given { ... }`"
        el.error(codes.NOT_READABLE, f"`{path}` belongs to {where}", f.path.span, env)
        return None
    value = _value(el, f.value, signal, env)
    return None if value is None else nodes.Field(path, value, f.span)


def _given_param(el: Elaborator, f: nodes.FieldSyntax, of_row: bool, env: Env) -> nodes.Field | None:
    name = f.path.name
    known = el.definitions.get(name)
    if known is not None and isinstance(known.syntax, nodes.Broken):
        return None
    if of_row or known is None or not isinstance(known.syntax, nodes.ParamStatement):
        params = [d.name for d in el.definitions.values() if isinstance(d.syntax, nodes.ParamStatement)]
        help = "write it in `given { ... }`" if name in params else did_you_mean(name, (*params, *SIGNALS))
        what = "a request has no param" if of_row else "there is no param"
        el.error(codes.UNKNOWN_NAME, f"{what} `{name}`", f.path.span, env, help=help)
        return None
    info = el.params.get(name)
    if info is None:
        return None
    value = _value(el, f.value, Signal(name, info.type, info.doc, Changes.EPOCH, info.low, info.high), env)
    return None if value is None else nodes.Field(name, value, f.span)


def _value(el: Elaborator, e: nodes.Expr, signal: Signal, env: Env) -> float | bool | str | nodes.Lognormal | None:
    if isinstance(e, nodes.Apply) and e.function.name == "lognormal":
        return _lognormal(el, e, signal, env)
    if isinstance(e, nodes.Text):
        if signal.type != TEXT:
            el.error(codes.WRONG_TYPE, f"`{signal.name}` is {signal.type}, not a text", e.span, env)
            return None
        return e.value
    if isinstance(e, nodes.Truth) and signal.type == BOOL:
        return e.value
    return _number(el, e, signal, env)


def _number(el: Elaborator, e: nodes.Expr, signal: Signal, env: Env) -> float | None:
    """A constant of the unit of *signal*, inside its range."""
    node = el.expr(e, replace(env, rows=frozenset()))
    if node is None:
        return None
    wanted = quantity(SECOND) if signal.type == INSTANT else signal.type
    if wanted.kind is not Kind.QUANTITY or (node.type != wanted and not is_zero(e)):
        found = said(node.type)
        el.error(codes.UNITS, f"`{signal.name}` is {_named(signal.type)}, not {found}", e.span, env, f"this is {found}")
        return None
    value = constant(node)
    if value is None or math.isnan(value):
        el.error(codes.NOT_CONSTANT, "a given value is a constant", e.span, env)
        return None
    if not signal.low <= value <= signal.high:
        message = f"`{signal.name}` lies between {signal.low:g} and {signal.high:g}"
        el.error(codes.RANGE, message, e.span, env, f"this is {value:g}")
        return None
    return value


def _named(type_: Type) -> str:
    return {TEXT: 'a text: "..."', BOOL: "true or false", INSTANT: "an instant, in seconds"}.get(type_, said(type_))


def _lognormal(el: Elaborator, e: nodes.Apply, signal: Signal, env: Env) -> nodes.Lognormal | None:
    if not signal.distribution:
        el.error(codes.DISTRIBUTION, f"`{signal.name}` is no prediction: give a value", e.span, env)
        return None
    if len(e.args) != 2:
        el.error(codes.ARGUMENTS, "`lognormal` takes two quantiles", e.span, env, help="write `lognormal(p50, p90)`")
        return None
    p50, p90 = (_number(el, a, signal, env) for a in e.args)
    if p50 is None or p90 is None:
        return None
    if not 0 < p50 <= p90 < math.inf:
        el.error(codes.RANGE, "`lognormal(p50, p90)` needs 0 < p50 <= p90", e.span, env)
        return None
    return nodes.Lognormal(p50, p90)


def constant(node: ir.Node) -> float | None:
    """The value of literals and plain arithmetic; None where anything is read, or on a division by 0."""
    match node:
        case ir.Const(value=float() as value):
            return value
        case ir.Unary(op="-"):
            inner = constant(node.operand)
            return None if inner is None else -inner
        case ir.Binary(op="+" | "-" | "*" | "/"):
            a, b = constant(node.left), constant(node.right)
            if a is None or b is None or (node.op == "/" and b == 0):
                return None
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[node.op]
        case _:
            return None


# --- expectations


def _expect_call(el: Elaborator, step: nodes.ExpectCallSyntax, env: Env) -> nodes.ExpectCall | None:
    name = _row(el, step.name, env)
    act = decisions.action(el, step.action, replace(env, rows=frozenset()))
    if act is None:
        return None
    holds = []
    for hold, link in zip(act.holds, step.action.links, strict=True):
        lasts = None if hold.lasts is None else constant(hold.lasts)
        if link.lasts is not None and lasts is None:
            el.error(codes.NOT_CONSTANT, "an expected duration is a constant", link.lasts.span, env)
        holds.append((hold.handling, lasts))
    return nodes.ExpectCall(name, tuple(holds), step.span)


def _expect_true(el: Elaborator, step: nodes.ExpectTrueSyntax, env: Env) -> nodes.ExpectTrue | None:
    e = step.expr
    node = el.condition(e, env)
    if node is None:
        return None
    row = next((r for r in reads(node) if "/" not in r.key and signal_of(r.key).per_row), None)
    if row is not None:
        names = sorted(env.rows)
        help = f"write `{names[0]}.{row.key}`" if names else "add a `request`"
        el.error(codes.NOT_READABLE, f"which request's `{row.key}`?", e.span, env, help=help)
        return None
    match e, node:
        case nodes.Infix(), ir.Binary(op="==" | "!=" | "<" | "<=" | ">" | ">="):
            operands = ((_written(e.left.span), node.left), (_written(e.right.span), node.right))
            if node.op in ("==", "!=") and node.left.type.kind is Kind.QUANTITY:
                node = _nearly(el, node)
            return nodes.ExpectTrue(node, operands, step.span)
        case _:
            return nodes.ExpectTrue(node, (), step.span)


def _nearly(el: Elaborator, node: ir.Binary) -> ir.Node:
    """`a == b or |a - b| <= 1e-9 max(|a|, |b|)`: equal infinities are equal too."""
    type_, span = node.left.type, node.span
    sizes = tuple(el.make(ir.Call, type_, span, "abs", (side,)) for side in (node.left, node.right))
    largest = el.make(ir.Call, type_, span, "max", sizes)
    room = el.make(ir.Binary, type_, span, "*", el.make(ir.Const, quantity(), span, TOLERANCE), largest)
    difference = el.make(ir.Binary, type_, span, "-", node.left, node.right)
    apart = el.make(ir.Call, type_, span, "abs", (difference,))
    near = el.make(ir.Binary, BOOL, span, "<=", apart, room)
    same = el.make(ir.Binary, BOOL, span, "==", node.left, node.right)
    equal = el.make(ir.Binary, BOOL, span, "or", same, near)
    return equal if node.op == "==" else el.make(ir.Unary, BOOL, span, "not", equal)


def _written(span: Span) -> str:
    """The text of an expression on one line."""
    lines = span.source.text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return " ".join(" ".join(lines).split())
