"""Generates the function that computes columns from columns, one numpy operation a line, with buffers assigned.

Each line stands at the place of its operation in the policy, so that a profile shows what costs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_dsl.codegen.columns import DTYPES, SCOPE, TextTest
from policy_dsl.codegen.lower import Chosen, Hoisted, postorder, reaches
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import GLOBALS, Expressions, Module, call, name, pack
from policy_dsl.codegen.texts import TextTable
from policy_dsl.ir import Binary, Call, Const, If, Least, Node, Read, TextIs, Unary, children
from policy_dsl.types import Kind

# One call, operands read before the result is written: the result may take an operand's buffer.
_UFUNCS = {
    "+": "add", "-": "subtract", "*": "multiply", "<": "less", "<=": "less_equal", ">": "greater",
    ">=": "greater_equal", "==": "equal", "!=": "not_equal", "and": "logical_and", "or": "logical_or",
    "abs": "absolute", "floor": "floor", "ceil": "ceil", "sqrt": "sqrt",
}  # fmt: skip
_UNARY = {"-": "negative", "not": "logical_not"}
_CHAINS = {"min": "minimum", "max": "maximum"}
_HELPERS = {"/": "divide", "^": "power", "exp": "exp", "log": "log", "log2": "log2", "normal_cdf": "normal_cdf"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """*scalars*(engine) gives the engine's part; *body*(columns, scalars, buffers, results, masks) fills *results*.

    *inputs*: the columns to pass, each the key of a signal or the index of a hoisted one. *buffers*: how many of
    each of `DTYPES`. *outputs*: for each root, ("result", i), ("input", i) or ("scalar", i).
    """

    scalars: Callable[..., Any]
    body: Callable[..., Any]
    inputs: tuple[str | int, ...]
    input_dtypes: tuple[Any, ...]
    buffers: tuple[int, ...]
    results: tuple[Any, ...]
    outputs: tuple[tuple[str, int], ...]


def kind(node: Node) -> str:
    match node.type.kind:
        case Kind.BOOL:
            return "flags"
        case Kind.TEXT:
            return "codes"
        case _:
            return "arms" if isinstance(node, Least) else "floats"


class _Scalars(Expressions):
    """Plain Python over codes of texts, as columns have them."""

    def __init__(self, places: Places, roots: Sequence[Node], table: TextTable, module: Module) -> None:
        self._table, self._module = table, module
        super().__init__(places, roots)

    def constant(self, value: float | bool | str) -> ast.expr:
        return ast.Constant(self._table.code(value) if isinstance(value, str) else value)

    def text_is(self, node: TextIs) -> ast.expr:
        site = self._module.constant("text", TextTest(self._table, node.patterns).one)
        return call(site, self[node.subject])


class _Buffers:
    """Numbers for buffers of each kind, reused when free."""

    def __init__(self) -> None:
        self._free: dict[str, list[str]] = {k: [] for k in DTYPES}
        self.counts = dict.fromkeys(DTYPES, 0)

    def take(self, of: str) -> str:
        if self._free[of]:
            return self._free[of].pop()
        self.counts[of] += 1
        return f"{of}{self.counts[of] - 1}"

    def give(self, buffer: str) -> None:
        self._free[buffer.rstrip("0123456789")].append(buffer)


class _Emitter:
    def __init__(self, roots: Sequence[Node], places: Places, table: TextTable) -> None:
        self._places, self._table = places, table
        self._order = postorder(roots)
        self._homes = places.homes(self._order)
        self._reach = reaches(roots)
        self._rows = [n for n in self._order if self._reach[id(n)].per_row]
        self._left = Counter(id(c) for n in self._rows for c in children(n))
        self._module = Module(GLOBALS)
        self._body = Module(SCOPE)
        self._buffers = _Buffers()
        self._names: dict[int, str] = {}
        self._inputs: dict[str | int, Node] = {}
        self._results = list({id(r): r for r in roots if self._computed(r)}.values())
        self._names.update((id(r), f"result{i}") for i, r in enumerate(self._results))
        used = [c for n in self._rows for c in children(n)] + list(roots)
        self._scalars = list({id(s): s for s in used if not self._reach[id(s)].per_row}.values())
        self._names.update((id(s), f"scalar{i}") for i, s in enumerate(self._scalars))
        self._statements: list[ast.stmt] = []

    def kernel(self, roots: Sequence[Node]) -> Kernel:
        for node in self._rows:
            self._emit(node)
        made = _Scalars(self._places, self._scalars, self._table, self._module)
        given = ast.Return(pack([made[s] for s in self._scalars]))
        self._module.add(self._places, "scalars", ("engine",), [*made.statements, given])
        buffers = [f"{k}{i}" for k, count in self._buffers.counts.items() for i in range(count)]
        opening = [
            _unpack([self._names[id(n)] for n in self._inputs.values()], "columns"),
            _unpack([self._names[id(s)] for s in self._scalars], "scalars"),
            _unpack(buffers, "buffers"),
            _unpack([self._names[id(r)] for r in self._results], "results"),
        ]
        parameters = ("columns", "scalars", "buffers", "results", "masks")
        self._body.add(self._places, "body", parameters, [*opening, *self._statements])
        return Kernel(
            self._module.compile()["scalars"],
            self._body.compile()["body"],
            tuple(self._inputs),
            tuple(DTYPES[kind(n)] for n in self._inputs.values()),
            tuple(self._buffers.counts.values()),
            tuple(DTYPES[kind(r)] for r in self._results),
            tuple(self._output(r) for r in roots),
        )

    def _computed(self, node: Node) -> bool:
        return self._reach[id(node)].per_row and not isinstance(node, Read | Hoisted)

    def _output(self, root: Node) -> tuple[str, int]:
        for source, nodes in (("result", self._results), ("scalar", self._scalars)):
            if any(n is root for n in nodes):
                return source, next(i for i, n in enumerate(nodes) if n is root)
        return "input", next(i for i, n in enumerate(self._inputs.values()) if n is root)

    def _emit(self, node: Node) -> None:
        match node:
            case Read(key=key):
                self._input(node, key)
            case Hoisted(index=index):
                self._input(node, index)
            case Unary(op=op):
                self._ufunc(node, _UNARY[op])
            case Binary(op=op) if op in _UFUNCS:
                self._ufunc(node, _UFUNCS[op])
            case Binary(op="/", right=Const(value=value)) if value != 0.0:
                self._ufunc(node, "true_divide")
            case Call(name=function) if function in _UFUNCS:
                self._ufunc(node, _UFUNCS[function])
            case _:
                self._helper(node)

    def _input(self, node: Node, key: str | int) -> None:
        self._names[id(node)] = f"column{len(self._inputs)}"
        self._inputs[key] = node

    def _ufunc(self, node: Node, function: str) -> None:
        operands = [self._operand(c) for c in children(node)]
        self._release(node)
        out = self._out(node)
        self._line(node, call(function, *operands, name(out)))

    def _helper(self, node: Node) -> None:
        out = self._out(node)
        operands = [self._operand(c) for c in children(node)]
        for line in self._lines(node, operands, out):
            self._line(node, line)
        self._release(node)

    def _lines(self, node: Node, operands: list[ast.expr], out: str) -> list[ast.expr]:
        match node:
            case Binary(op=op):
                return [call(_HELPERS[op], *operands, name(out))]
            case Call(name="clamp"):
                x, low, high = operands
                return [call("maximum", x, low, name(out)), call("minimum", name(out), high, name(out))]
            case Call(name=function) if function in _CHAINS:
                return _chain(_CHAINS[function], operands, out)
            case Call(name=function):
                return [call(_HELPERS[function], *operands, name(out))]
            case If(test=test):
                if kind(node) == "floats" and self._reach[id(test)].per_row:
                    return [call("select", *operands, name(out), name("masks"))]
                return [call("select_any", *operands, name(out))]
            case TextIs(patterns=patterns):
                site = self._body.constant("text", TextTest(self._table, patterns))
                return [call(site, *operands, name(out))]
            case Least():
                return [self._least(node, out)]
            case Chosen():
                return [self._chosen(node, operands, out)]
        raise TypeError(f"no columns for {type(node).__name__}")

    def _least(self, node: Least, out: str) -> ast.expr:
        costs = pack([self._operand(a.cost) for a in node.arms])
        allowed = pack([ast.Constant(True) if a.allowed is None else self._operand(a.allowed) for a in node.arms])
        best, better = self._scratch("floats"), self._scratch("flags")
        return call("cheapest", costs, allowed, name(best), name(better), name(out))

    def _chosen(self, node: Chosen, operands: list[ast.expr], out: str) -> ast.expr:
        choice, *arms = operands
        if kind(node) != "floats":
            return call("pick_any", choice, pack(arms), name(out))
        return call("pick", choice, pack(arms), name(out), name(self._scratch("flags")), name("masks"))

    def _scratch(self, of: str) -> str:
        """A buffer that only one line uses."""
        buffer = self._buffers.take(of)
        self._buffers.give(buffer)
        return buffer

    def _out(self, node: Node) -> str:
        if id(node) not in self._names:
            self._names[id(node)] = self._buffers.take(kind(node))
        return self._names[id(node)]

    def _operand(self, node: Node) -> ast.expr:
        if isinstance(node, Const):
            return ast.Constant(self._table.code(node.value) if isinstance(node.value, str) else node.value)
        return name(self._names[id(node)])

    def _release(self, node: Node) -> None:
        for child in children(node):
            self._left[id(child)] -= 1
            buffer = self._names[id(child)]
            if self._left[id(child)] == 0 and buffer.startswith(tuple(DTYPES)):
                self._buffers.give(buffer)

    def _line(self, node: Node, tree: ast.expr) -> None:
        self._statements.append(self._places.mark(ast.Expr(tree), self._homes[id(node)]))


def emit(roots: Sequence[Node], places: Places, table: TextTable) -> Kernel:
    """The code that computes *roots* (over rows, hoisted columns and the engine)."""
    return _Emitter(roots, places, table).kernel(roots)


def of_one_row(
    roots: Sequence[Node], places: Places, table: TextTable
) -> Callable[[Mapping[str, float | bool], Mapping[str, float | bool]], tuple[float | bool, ...]]:
    """A function of a row and the engine: the values of *roots* in plain Python. Texts are codes, as in columns."""
    module = Module(GLOBALS)
    made = _Scalars(places, roots, table, module)
    module.add(places, "of_one", ("row", "engine"), [*made.statements, ast.Return(pack([made[r] for r in roots]))])
    return module.compile()["of_one"]


def _chain(function: str, operands: list[ast.expr], out: str) -> list[ast.expr]:
    first, *rest = operands
    lines = [call(function, first, rest[0], name(out))] if rest else [call("add", first, ast.Constant(0.0), name(out))]
    return [*lines, *(call(function, name(out), other, name(out)) for other in rest[1:])]


def _unpack(targets: Sequence[str], source: str) -> ast.stmt:
    if not targets:
        return ast.Pass()
    return ast.Assign([ast.Tuple([ast.Name(t, ast.Store()) for t in targets], ast.Store())], name(source))
