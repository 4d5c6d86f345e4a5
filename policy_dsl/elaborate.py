"""Expressions: from syntax to the typed IR. Names are resolved, functions written out, units checked.

`None` stands for an expression with an error that has been reported: whatever is made of it is None
too, in silence, so that one mistake is one finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

from policy_dsl import branches, functions, ir, nodes, operators
from policy_dsl.agree import said
from policy_dsl.catalogue import DECLARED, SHAPE, SIGNALS, STATISTICS, signal_of
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Label, Severity, Span
from policy_dsl.functions import BUILTINS
from policy_dsl.inlining import inline
from policy_dsl.lexer import POISON
from policy_dsl.names import did_you_mean
from policy_dsl.overriding import same_type
from policy_dsl.rows import of_row
from policy_dsl.scope import Definition, Env
from policy_dsl.types import BOOL, HANDLING, Type, quantity

DEEPEST = 100  # levels of an expression as written
DEEPEST_NODE = 150  # levels of a graph, lets and functions written out: every later pass recurses over it
MOST_NODES = 20_000

READABLE = tuple(
    name for s in SIGNALS.values() if not s.hidden
    for name in (s.name, *(f"{s.name}.{stat}" for stat in STATISTICS if s.distribution))
)  # fmt: skip


class TooLarge(Exception):
    """The statement in hand is given up; it has been reported."""


class Elaborator:
    """Makes IR of the expressions of one policy and keeps what it finds wrong."""

    def __init__(self, definitions: dict[str, Definition]) -> None:
        self.builder = ir.Builder()
        self.found: list[Diagnostic] = []
        self.definitions = definitions
        self.params: dict[str, ir.ParamInfo] = {}
        self.declared_signals: dict[str, Type | None] = {}  # `hint.*` and `class.*`; None: reported already
        self.handling: ir.Node | None = None
        self.deciding: list[str] | None = None  # while `on call` is read: the lets on the way
        self._values: dict[str, ir.Node | None] = {}
        self.results: dict[str, Type] = {}  # of functions, where the types of their arguments are known
        self.inlined: dict[tuple[object, ...], ir.Node | None] = {}
        self._depths: dict[ir.Node, int] = {}
        self._depth = 0
        self._within: list[str] = []  # lets and functions that are being read: only `override` can make a circle
        self.defined: set[str] = set()
        self.broken: set[str] = set()  # functions with a mistake of their own

    # --- findings and nodes

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        env: Env,
        text: str = "",
        labels: tuple[Label, ...] = (),
        help: str = "",
    ) -> ir.Node | None:
        """Reports, and is the None that stands for the error. Inside a function the outermost call is shown."""
        if env.trail:
            first, *others = env.trail
            labels = (Label(span, text or "here"), *labels, *(Label(u.span, f"in `{u.function}`") for u in others))
            message, span, text = f"in `{first.function}`: {message}", first.span, ""
        finding = Diagnostic(code, Severity.ERROR, message, span, text, labels, help)
        if finding not in self.found:
            self.found.append(finding)
        return None

    def make(self, cls: type[ir.Node], type_: Type, span: Span, *operands: object) -> ir.Node:
        """A node, once. Raises TooLarge where the graph gets too deep or too big."""
        node = self.builder.node(cls, type_, span, *operands)
        if node not in self._depths:
            self._depths[node] = 1 + max((self._depths.get(c, 1) for c in ir.children(node)), default=0)
            if self._depths[node] > DEEPEST_NODE:
                self.too_large(span, f"this nests more than {DEEPEST_NODE} operations, lets and functions written out")
            if len(self._depths) > MOST_NODES:
                self.too_large(span, f"the policy has more than {MOST_NODES} operations, functions written out")
        return node

    def too_large(self, span: Span, message: str) -> NoReturn:
        if not any(d.code == codes.TOO_LARGE for d in self.found):
            self.error(codes.TOO_LARGE, message, span, Env(0), help="split it up, or say less")
        raise TooLarge

    def read(self, key: str, span: Span) -> ir.Node:
        """A signal or one of its statistics, hidden ones included."""
        of_shape = key.rpartition(".")[2] in SHAPE
        type_ = BOOL if key.endswith(".known") else quantity() if of_shape else signal_of(key).type
        return self.make(ir.Read, type_, span, key)

    def retyped(self, node: ir.Node, type_: Type) -> ir.Node:
        """The literal 0 as a quantity of another unit."""
        assert isinstance(node, ir.Const)
        return self.make(ir.Const, type_, node.span, node.value)

    # --- expressions

    def expr(self, e: nodes.Expr, env: Env) -> ir.Node | None:
        with self.deeper(e.span):
            return self._expr(e, env)

    @contextmanager
    def deeper(self, span: Span) -> Iterator[None]:
        """One level of nesting more. Raises TooLarge past the limit."""
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                self.too_large(span, f"this nests deeper than {DEEPEST} levels")
            yield
        finally:
            self._depth -= 1

    def _expr(self, e: nodes.Expr, env: Env) -> ir.Node | None:
        match e:
            case nodes.Number():
                return None if e.unit == POISON else self.make(ir.Const, quantity(e.dim), e.span, e.value)
            case nodes.Truth():
                return self.make(ir.Const, BOOL, e.span, e.value)
            case nodes.HandlingWord():
                return self.make(ir.Const, HANDLING, e.span, float(e.handling))
            case nodes.Text():
                help = 'compare it: `call.tool == "bash"`, `call.tool in ["a*", "b"]`, or `match call.tool`'
                return self.error(codes.WRONG_TYPE, "a text is no value of its own", e.span, env, help=help)
            case nodes.Foreseen():
                return self._foreseen(e.span, env)
            case nodes.Name():
                return self._name(e, env)
            case nodes.Path():
                return self._path(e, env)
            case nodes.Prefix():
                return operators.prefix(self, e, env)
            case nodes.Infix():
                return operators.infix(self, e, env)
            case nodes.Member():
                return operators.member(self, e, env)
            case nodes.Cond():
                return branches.cond(self, e, env)
            case nodes.Match():
                return branches.match(self, e, env)
            case nodes.Apply():
                if e.function.name in self.definitions:
                    return inline(self, e, self.definitions[e.function.name], env)
                return functions.apply(self, e, env)

    def condition(self, e: nodes.Expr, env: Env) -> ir.Node | None:
        """An expression that must be true or false."""
        node = self.expr(e, env)
        if node is not None and node.type != BOOL:
            return self.wrong(e, node, "a condition", env)
        return node

    def wrong(self, e: nodes.Expr, node: ir.Node, wanted: str, env: Env, help: str = "") -> ir.Node | None:
        """Reports that *e* should have been *wanted*."""
        labels = self.declared(env, e)
        found = said(node.type)
        message, text = f"expected {wanted}, found {found}", f"this is {found}"
        return self.error(codes.WRONG_TYPE, message, e.span, env, text, labels, help)

    def declared(self, env: Env, *sides: nodes.Expr) -> tuple[Label, ...]:
        """A label at the declaration of each side that is a name."""
        names = [e.name for e in sides if isinstance(e, nodes.Name) and e.name not in env.local]
        return tuple(Label(self.definitions[n].span, f"`{n}` is declared here") for n in names if n in self.definitions)

    # --- names

    def _foreseen(self, span: Span, env: Env) -> ir.Node | None:
        if self.deciding is None:
            return self.handling
        path = " -> ".join(f"`{step}`" for step in ("on call", *self.deciding, "handling", "on call"))
        message = "`on call` would have to know its own answer" if self.deciding else "`on call` cannot read `handling`"
        return self.error(codes.CYCLE, message, span, env, help=f"the cycle: {path}")

    def _name(self, e: nodes.Name, env: Env) -> ir.Node | None:
        if e.name in env.local or e.name.startswith(POISON):
            return env.local.get(e.name)
        known = self.definitions.get(e.name)
        if known is None:
            return self._unknown_name(e, env)
        if known.is_function:
            help = f"write `{e.name}(...)`"
            return self.error(codes.NOT_A_FUNCTION, f"`{e.name}` is a function", e.span, env, help=help)
        if not self.in_order(known, e.span, env) or self.in_circle(known, e.span, env):
            return None
        return self.value(known)

    def _unknown_name(self, e: nodes.Name, env: Env) -> ir.Node | None:
        if e.name in BUILTINS:
            help = f"write `{BUILTINS[e.name].signature}`"
            return self.error(codes.NOT_A_FUNCTION, f"`{e.name}` is a function", e.span, env, help=help)
        values = [d.name for d in self.definitions.values() if not d.is_function and d.index < env.visible]
        help = did_you_mean(e.name, (*env.local, *values, *SIGNALS))
        return self.error(codes.UNKNOWN_NAME, f"unknown name `{e.name}`", e.span, env, help=help)

    def in_order(self, known: Definition, span: Span, env: Env) -> bool:
        """Whether *known* is defined before what stands at *span*; reports if not."""
        if known.index < env.visible:
            return True
        label = (Label(known.span, "defined here"),)
        if known.index == env.visible:
            help = "there is no recursion: a policy must be known to end"
            self.error(codes.ORDER, f"`{known.name}` is used in its own definition", span, env, "", label, help)
        else:
            help = "move the definition up"
            self.error(codes.ORDER, f"`{known.name}` is used before it is defined", span, env, "", label, help)
        return False

    def value(self, known: Definition) -> ir.Node | None:
        """The node of a param or let, made when it is first asked for."""
        match known.syntax:
            case nodes.Broken():
                return None
            case nodes.ParamStatement():
                info = self.params.get(known.name)
                return None if info is None else self.make(ir.Param, info.type, known.span, known.name)
            case nodes.LetStatement() as let if known.name not in self._values:
                self._values[known.name] = None
                with self.through(known.name):
                    self._values[known.name] = same_type(self, known, self.expr(let.value, Env(known.sees)))
        return self._values[known.name]

    def in_circle(self, known: Definition, span: Span, env: Env) -> bool:
        """Whether *known* is used in its own definition, through a name that is overridden; reports if so."""
        if known.name not in self._within:
            return False
        path = " -> ".join(f"`{n}`" for n in (*self._within[self._within.index(known.name) :], known.name))
        help = f"the circle: {path}; what is overridden is gone: write out what it said"
        self.error(codes.ORDER, f"`{known.name}` is used in its own definition", span, env, help=help)
        return True

    def types(self) -> dict[str, Type]:
        """What each param, let, function, hint and class attribute is, as far as that could be found out."""
        values = {name: node.type for name, node in self._values.items() if node is not None}
        params = {name: info.type for name, info in self.params.items()}
        declared = {name: type_ for name, type_ in self.declared_signals.items() if type_ is not None}
        return {**declared, **params, **self.results, **values}

    @contextmanager
    def through(self, name: str) -> Iterator[None]:
        """Remembers which lets and functions lead to what is read."""
        self._within.append(name)
        if self.deciding is not None:
            self.deciding.append(name)
        try:
            yield
        finally:
            self._within.pop()
            if self.deciding is not None:
                self.deciding.pop()

    def _path(self, e: nodes.Path, env: Env) -> ir.Node | None:
        if e.path.startswith(POISON):
            return None
        first, _, rest = e.path.partition(".")
        if first in env.rows:
            return self._of_row(e, first, rest, env)
        if e.path in READABLE:
            return self.read(e.path, e.span)
        if first in DECLARED:
            return self._declared_signal(e, first, rest, env)
        base, _, stat = e.path.rpartition(".")
        message, help = f"unknown signal `{e.path}`", did_you_mean(e.path, (*READABLE, *self.declared_signals))
        if base in READABLE and stat in STATISTICS:
            message, help = f"`{base}` is not a prediction and has no `.{stat}`", f"write `{base}`"
        elif e.path in SIGNALS:
            message, help = f"`{e.path}` cannot be read", "use prefill_time, decode_time, swap_time or engine.can_swap"
        return self.error(codes.UNKNOWN_NAME, message, e.span, env, help=help)

    def _declared_signal(self, e: nodes.Path, group: str, name: str, env: Env) -> ir.Node | None:
        """`hint.critical`, `class.weight`: what this policy says there is."""
        if e.path in self.declared_signals or f"{group}.{POISON}" in self.declared_signals:
            type_ = self.declared_signals.get(e.path)
            return None if type_ is None else self.make(ir.Read, type_, e.span, e.path)
        known = [k for k in self.declared_signals if k.startswith(group)]
        if group == "hint":
            message, add = f"there is no hint `{name}`", f"add `hint {name} = 0 in 0..1`"
        else:
            message = f"no class has an attribute `{name}`" if known else "this policy has no classes"
            add = f"add `{name}: ...` to every class" if known else f"add `class rest {{ {name}: 1 }}`"
        return self.error(codes.UNKNOWN_NAME, message, e.span, env, help=did_you_mean(e.path, known) or add)

    def _of_row(self, e: nodes.Path, row: str, rest: str, env: Env) -> ir.Node | None:
        """`slow.call.duration`, `slow.keep`, `slow.handling` in a test: what that request has."""
        inner: nodes.Expr = nodes.Path(e.span, rest) if "." in rest else nodes.Name(e.span, rest)
        if rest == "handling":
            inner = nodes.Foreseen(e.span)
        node = self.expr(inner, replace(env, rows=frozenset()))
        return None if node is None else of_row(node, row, self.make)
