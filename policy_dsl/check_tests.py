"""`test` statements: who takes part, what is given, and typed expectations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from policy_dsl import decisions, ir, nodes
from policy_dsl.agree import said
from policy_dsl.catalogue import DECLARED, SIGNALS, signal_of
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label, Span
from policy_dsl.given import constant, field
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.rows import reads
from policy_dsl.scope import Env
from policy_dsl.types import BOOL, Kind, quantity
from policy_dsl.units import SECOND

if TYPE_CHECKING:
    from policy_dsl.elaborate import Elaborator

Subjects = Mapping[str, str]
TOLERANCE = 1e-9  # relative, for `==` between numbers
_GROUPS = {*(name.split(".")[0] for name in SIGNALS), *DECLARED}
_WORDS = ("given", "request", "session", "at", "expect")


def check_test(el: Elaborator, s: nodes.TestStatement, env: Env) -> nodes.Test | None:
    """The checked test; None after a report."""
    before = len(el.found)
    subjects = _subjects(el, s, env)
    _check_times(el, s, env)
    inside = replace(env, rows=frozenset(subjects))
    steps = [_step(el, step, subjects, inside) for step in s.steps]
    if all(isinstance(step, nodes.GivenSyntax | nodes.AtSyntax) for step in s.steps):
        el.error(codes.SYNTAX, "this test expects nothing", s.span, env, help="add `expect ...`")
    if len(el.found) > before:
        return None
    return nodes.Test(s.title, tuple(step for step in steps if step is not None), s.span)


def _subjects(el: Elaborator, s: nodes.TestStatement, env: Env) -> dict[str, str]:
    """The names of requests and sessions, each with the word that declares it."""
    found: dict[str, str] = {}
    first: dict[str, nodes.Ident] = {}
    for step in s.steps:
        if not isinstance(step, nodes.GivenSyntax):
            continue
        match step.subject.name, step.name:
            case ("given", None):
                pass
            case ("given", nodes.Ident(span=span)):
                help = "write `given { ... }` or `request NAME { ... }`"
                el.error(codes.SYNTAX, "`given` has no name", span, env, help=help)
            case ("request" | "session" as word, None):
                help = f"write `{word} a {{ ... }}`"
                el.error(codes.SYNTAX, f"a {word} needs a name", step.subject.span, env, help=help)
            case ("request" | "session" as word, nodes.Ident() as name):
                _add_subject(el, first, name, env)
                found.setdefault(name.name, word)
            case (subject, _) if not subject.startswith(POISON):
                help = did_you_mean(subject, _WORDS) or "a test has `given`, `request`, `session`, `at` and `expect`"
                el.error(codes.UNKNOWN_NAME, f"a test has no `{subject}`", step.subject.span, env, help=help)
    return found


def _add_subject(el: Elaborator, first: dict[str, nodes.Ident], name: nodes.Ident, env: Env) -> None:
    if name.name in _GROUPS:
        message = f"`{name.name}.` begins signals; choose another name for this request"
        el.error(codes.REPEATED, message, name.span, env)
    elif name.name in first:
        label = (Label(first[name.name].span, "the first one"),)
        el.error(codes.REPEATED, f"two requests are called `{name.name}`", name.span, env, "", label)
    first.setdefault(name.name, name)


def _check_times(el: Elaborator, s: nodes.TestStatement, env: Env) -> None:
    """`at` goes forward, and after it only the engine changes."""
    last: nodes.AtSyntax | None = None
    for step in s.steps:
        match step:
            case nodes.AtSyntax(time=time) if time.unit == POISON:
                pass
            case nodes.AtSyntax(time=time) if time.dim != SECOND:
                found = said(quantity(time.dim))
                el.error(codes.UNITS, f"`at` takes a time, not {found}", time.span, env, help="write `at 5s`")
            case nodes.AtSyntax(time=time):
                if last is not None and not time.value > last.time.value:
                    label = (Label(last.time.span, "this is later already"),)
                    el.error(codes.RANGE, "time goes forward", time.span, env, "", label)
                last = step
            case nodes.GivenSyntax(subject=subject) if last is not None:
                label = (Label(last.span, "time begins to pass here"),)
                help = "move it up; to let a request arrive later, give its `request.arrival`"
                if subject.name in ("request", "session"):
                    message = f"a {subject.name} is described before the first `at`"
                    el.error(codes.SYNTAX, message, subject.span, env, "", label, help)
                for f in step.fields if subject.name == "given" else ():
                    if "." not in f.path.name and not f.path.name.startswith(POISON):
                        message, help = "params are given before the first `at`", "move it up"
                        el.error(codes.SYNTAX, message, f.path.span, env, "", label, help)
                    elif f.path.name == "engine.now":
                        message, help = "from here on `at` says what time it is", "give it before the first `at`"
                        el.error(codes.SYNTAX, message, f.path.span, env, "", label, help)


def _step(el: Elaborator, step: nodes.Step, subjects: Subjects, env: Env) -> nodes.CheckedStep | None:
    match step:
        case nodes.GivenSyntax():
            fields = [field(el, f, step.name is not None, env) for f in step.fields]
            _repeated(el, step, env)
            name = None if step.name is None else step.name.name
            paused = step.subject.name == "session"
            return nodes.Given(name, tuple(f for f in fields if f is not None), step.span, paused)
        case nodes.AtSyntax():
            return nodes.At(step.time.value, step.span)
        case nodes.ExpectRankSyntax():
            return _expect_order(el, step, subjects, env)
        case nodes.ExpectCallSyntax() | nodes.ExpectPausedSyntax():
            return _expect_action(el, step, subjects, env)
        case nodes.ExpectTrueSyntax():
            return _expect_true(el, step, env)


def _row(el: Elaborator, name: nodes.Ident, subjects: Subjects, env: Env) -> str:
    if name.name not in subjects and not name.name.startswith(POISON):
        help = did_you_mean(name.name, sorted(subjects))
        el.error(codes.UNKNOWN_NAME, f"no request of this test is called `{name.name}`", name.span, env, help=help)
    return name.name


def _repeated(el: Elaborator, step: nodes.GivenSyntax, env: Env) -> None:
    first: dict[str, nodes.FieldSyntax] = {}
    for f in step.fields:
        if f.path.name in first:
            label = (Label(first[f.path.name].span, "the first one"),)
            el.error(codes.REPEATED, f"`{f.path.name}` is given twice", f.path.span, env, "", label)
        first.setdefault(f.path.name, f)


# --- expectations


def _expect_order(el: Elaborator, step: nodes.ExpectRankSyntax, subjects: Subjects, env: Env) -> nodes.ExpectRank:
    wanted = "session" if step.rule == "yield" else "request"
    names = []
    for ident in step.names:
        name = _row(el, ident, subjects, env)
        if name in names:
            el.error(codes.REPEATED, f"`{name}` stands twice in this order", ident.span, env)
        elif subjects.get(name, wanted) != wanted:
            who = "paused sessions" if wanted == "session" else "requests"
            message = f"`{step.rule}` orders {who}, `{name}` is a {subjects[name]}"
            el.error(codes.WRONG_TYPE, message, ident.span, env, help=f"write `{wanted} {name} {{ ... }}`")
        names.append(name)
    return nodes.ExpectRank(tuple(names), step.span, step.rule)


def _expect_action(
    el: Elaborator, step: nodes.ExpectCallSyntax | nodes.ExpectPausedSyntax, subjects: Subjects, env: Env
) -> nodes.ExpectCall | nodes.ExpectPaused | None:
    name = _row(el, step.name, subjects, env)
    if isinstance(step, nodes.ExpectPausedSyntax) and subjects.get(name) == "request":
        help = f"write `session {name} {{ ... }}`"
        el.error(codes.WRONG_TYPE, f"`{name}` is a request: its call has not begun", step.name.span, env, help=help)
    act = decisions.action(el, step.action, replace(env, rows=frozenset()))
    if act is None:
        return None
    holds = []
    for hold, link in zip(act.holds, step.action.links, strict=True):
        lasts = None if hold.lasts is None else constant(hold.lasts)
        if link.lasts is not None and lasts is None:
            el.error(codes.NOT_CONSTANT, "an expected duration is a constant", link.lasts.span, env)
        holds.append((hold.handling, lasts))
    made = nodes.ExpectCall if isinstance(step, nodes.ExpectCallSyntax) else nodes.ExpectPaused
    return made(name, tuple(holds), step.span)


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
