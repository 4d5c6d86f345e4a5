"""Random well-typed policies and random rows, for the test that all readings agree.

A program grows as a list: each new node takes operands among those before it, so that sharing,
choices below choices and mixtures of engine, row and step values are common.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st

from policy_dsl import catalogue, ir
from policy_dsl.codegen.lower import postorder
from policy_dsl.codegen.scalar import decision_roots
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.types import BOOL, HANDLING, INSTANT, TEXT, Handling, Type, quantity
from policy_dsl.units import NUMBER, SECOND

SOURCE = Source("random.lamps", "rank\n")
SPAN = Span(SOURCE, 1, 1, 1, 5)
NUM = quantity(NUMBER)

QUANTITIES = (
    "call.duration", "call.duration.p90", "call.context", "request.priority", "request.cached", "request.waited",
    "call.remaining", "engine.running_tokens", "engine.running", "engine.kv_total", "cost.prefill",
)  # fmt: skip
FLAGS = ("call.duration.known", "engine.can_swap", "allow.preserve", "allow.swap")
INSTANTS = ("request.arrival", "session.arrival", "engine.now")
TOOLS = ("", "user", "bash", "web_search", "web_fetch", "pythön")
PATTERNS = ("bash", "web_*", "*", "", "user", "web_fetch", "p*")
SPECIAL = (
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 3.0, 1e308, -1e308, 5e-324, 1e-300, 709.9,
    -745.2, 7.0711, 100.0,
)  # fmt: skip
ORDINARY = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 10.0, 300.0)
PARAMS = {"alpha": 0.25, "beta": 3.0}
numbers = st.sampled_from(SPECIAL) | st.floats(-1e3, 1e3) | st.floats()

_RUNNING = QUANTITIES.index("engine.running")
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_UNARY_CALLS = ("abs", "floor", "ceil", "sqrt", "exp", "log", "log2", "normal_cdf")


@dataclass(repr=False)
class Pool:
    """The nodes so far, by type."""

    builder: ir.Builder
    numbers: list[ir.Node] = field(default_factory=list)
    flags: list[ir.Node] = field(default_factory=list)
    texts: list[ir.Node] = field(default_factory=list)
    handlings: list[ir.Node] = field(default_factory=list)

    def make(self, cls: type[ir.Node], type_: Type, *operands: object) -> ir.Node:
        return self.builder.node(cls, type_, SPAN, *operands)


def _seeded() -> Pool:
    pool = Pool(ir.Builder())
    for key in QUANTITIES:
        signal = catalogue.signal_of(key)
        read = pool.builder.read(key, signal.type, SPAN)
        one = pool.make(ir.Const, signal.type, 1.0)
        pool.numbers.append(read if signal.type == NUM else pool.make(ir.Binary, NUM, "/", read, one))
    now, arrival = (pool.builder.read(k, INSTANT, SPAN) for k in ("engine.now", "request.arrival"))
    age = pool.make(ir.Binary, quantity(SECOND), "-", now, arrival)
    pool.numbers.append(pool.make(ir.Binary, NUM, "/", age, pool.make(ir.Const, quantity(SECOND), 2.0)))
    pool.numbers += [pool.make(ir.Param, NUM, name) for name in PARAMS]
    pool.flags += [pool.builder.read(key, BOOL, SPAN) for key in FLAGS]
    pool.texts += [pool.builder.read("call.tool", TEXT, SPAN), pool.make(ir.Const, TEXT, "bash")]
    pool.handlings += [pool.make(ir.Const, HANDLING, float(h)) for h in Handling]
    return pool


@st.composite
def pools(draw: st.DrawFn, most: int = 30) -> Pool:
    pool = _seeded()
    for _ in range(draw(st.integers(4, most))):
        draw(st.sampled_from(_STEPS))(draw, pool)
    return pool


def _one(draw: st.DrawFn, nodes: list[ir.Node]) -> ir.Node:
    newest = draw(st.integers(0, min(5, len(nodes) - 1)))
    return nodes[-1 - (newest if draw(st.booleans()) else draw(st.integers(0, len(nodes) - 1)))]


def _any(draw: st.DrawFn, kinds: list[list[ir.Node]]) -> list[ir.Node]:
    """One of *kinds*; by number, since Hypothesis prints what it samples from, and graphs are long in print."""
    return kinds[draw(st.integers(0, len(kinds) - 1))]


def _constant(draw: st.DrawFn, pool: Pool) -> None:
    pool.numbers.append(pool.make(ir.Const, NUM, draw(numbers)))


def _arithmetic(draw: st.DrawFn, pool: Pool) -> None:
    op = draw(st.sampled_from("+-*/^"))
    pool.numbers.append(pool.make(ir.Binary, NUM, op, _one(draw, pool.numbers), _one(draw, pool.numbers)))


def _function(draw: st.DrawFn, pool: Pool) -> None:
    name = draw(st.sampled_from(_UNARY_CALLS))
    pool.numbers.append(pool.make(ir.Call, NUM, name, (_one(draw, pool.numbers),)))


def _several(draw: st.DrawFn, pool: Pool) -> None:
    name = draw(st.sampled_from(["min", "max", "clamp"]))
    count = 3 if name == "clamp" else draw(st.integers(2, 4))
    pool.numbers.append(pool.make(ir.Call, NUM, name, tuple(_one(draw, pool.numbers) for _ in range(count))))


def _negative(draw: st.DrawFn, pool: Pool) -> None:
    pool.numbers.append(pool.make(ir.Unary, NUM, "-", _one(draw, pool.numbers)))


def _compare(draw: st.DrawFn, pool: Pool) -> None:
    op = draw(st.sampled_from(_COMPARISONS))
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(draw, pool.numbers), _one(draw, pool.numbers)))


def _equal(draw: st.DrawFn, pool: Pool) -> None:
    kind = _any(draw, [pool.handlings, pool.texts, pool.flags])
    op = draw(st.sampled_from(["==", "!="]))
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(draw, kind), _one(draw, kind)))


def _logic(draw: st.DrawFn, pool: Pool) -> None:
    op = draw(st.sampled_from(["and", "or"]))
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(draw, pool.flags), _one(draw, pool.flags)))


def _not(draw: st.DrawFn, pool: Pool) -> None:
    pool.flags.append(pool.make(ir.Unary, BOOL, "not", _one(draw, pool.flags)))


def _text_is(draw: st.DrawFn, pool: Pool) -> None:
    patterns = tuple(draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)))
    pool.flags.append(pool.make(ir.TextIs, BOOL, _one(draw, pool.texts), patterns))


def _if(draw: st.DrawFn, pool: Pool) -> None:
    test = _one(draw, pool.flags)
    # Half of them of numbers: the others are rarer in policies.
    kinds = [pool.numbers, pool.numbers, pool.numbers, pool.flags, pool.texts, pool.handlings]
    kind = _any(draw, kinds)
    then, other = _one(draw, kind), _one(draw, kind)
    kind.append(pool.make(ir.If, then.type, test, then, other))


def _cost(draw: st.DrawFn, pool: Pool) -> ir.Node:
    """Often one that a row and the state of the engine decide together, as in policies."""
    cost = _one(draw, pool.numbers)
    if draw(st.booleans()):
        return cost
    row = pool.numbers[draw(st.sampled_from([0, 1, 2, 3, 4]))]
    return pool.make(ir.Binary, NUM, draw(st.sampled_from("+*")), row, pool.numbers[_RUNNING])


def _least(draw: st.DrawFn, pool: Pool) -> None:
    arms = []
    for _ in range(draw(st.integers(1, 3))):
        allowed = _one(draw, pool.flags) if draw(st.booleans()) else None
        handling = draw(st.sampled_from([Handling.PRESERVE, Handling.DISCARD, Handling.SWAP]))
        arms.append(ir.LeastArm(handling, _cost(draw, pool), allowed))
    pool.handlings.append(pool.builder.least(tuple(arms), SPAN))


def _by_handling(draw: st.DrawFn, pool: Pool) -> None:
    """What `match handling { ... }` becomes, newest decision first."""
    handling = _one(draw, [h for h in pool.handlings if not isinstance(h, ir.Const)] or pool.handlings)
    value = _one(draw, pool.numbers)
    for code in draw(st.sampled_from([(0.0,), (0.0, 2.0), (1.0, 3.0)])):
        test = pool.make(ir.Binary, BOOL, "==", handling, pool.make(ir.Const, HANDLING, code))
        value = pool.make(ir.If, NUM, test, _one(draw, pool.numbers), value)
    pool.numbers.append(value)


_STEPS = [
    _constant, _arithmetic, _arithmetic, _arithmetic, _function, _several, _negative, _compare, _compare, _equal,
    _equal, _logic, _not, _text_is, _if, _if, _least, _least, _by_handling, _by_handling,
]  # fmt: skip


class Program:
    """A random policy that prints as a list of numbered nodes (as a tree a shared graph would explode)."""

    def __init__(self, policy: ir.Policy) -> None:
        self.policy = policy

    def __repr__(self) -> str:
        policy = self.policy
        promote = () if policy.promote is None else (policy.promote.when, *(k.expr for k in policy.promote.by))
        roots = (*(k.expr for k in policy.rank), *promote, policy.handling, *decision_roots(policy.on_call))
        order = postorder(roots)
        number = {id(n): f"n{i}" for i, n in enumerate(order)}
        lines = [f"{number[id(n)]} = {_written(n, number)}" for n in order]
        keys = ", ".join(("highest " if k.highest else "") + number[id(k.expr)] for k in policy.rank)
        return "\n".join([*lines, f"rank {keys}", f"others {' '.join(number[id(r)] for r in roots)}"])


def _written(node: ir.Node, number: dict[int, str]) -> str:
    match node:
        case ir.Const(value=value):
            return repr(value)
        case ir.Read(key=name) | ir.Param(name=name):
            return name
        case ir.Least(arms=arms):
            parts = (f"{a.handling.word}: {number[id(a.cost)]} if {number.get(id(a.allowed))}" for a in arms)
            return f"least {{ {', '.join(parts)} }}"
        case ir.TextIs(patterns=patterns):
            return f"{number[id(node.subject)]} in {patterns}"
    name = getattr(node, "op", "") or getattr(node, "name", "") or "if"
    return " ".join([name, *(number[id(c)] for c in ir.children(node))])


@st.composite
def policies(draw: st.DrawFn) -> Program:
    """A policy of all statements, over one random graph."""
    pool = draw(pools())
    for step in draw(st.sampled_from([(), (_least, _by_handling), (_least, _by_handling, _arithmetic, _by_handling)])):
        step(draw, pool)
    instants = [pool.builder.read(k, INSTANT, SPAN) for k in INSTANTS]

    def keys(least: int) -> tuple[ir.Key, ...]:
        kinds = [pool.numbers, pool.numbers, pool.flags, instants]
        count = draw(st.integers(least, 3))
        made = [ir.Key(_one(draw, _any(draw, kinds)), draw(st.booleans())) for _ in range(count)]
        return (ir.Key(pool.numbers[-1], draw(st.booleans())), *made)[:3] if least else tuple(made)

    promote = ir.Promote(_one(draw, pool.flags), keys(0)) if draw(st.booleans()) else None
    params = tuple(ir.ParamInfo(n, NUM, v, 0.0, 10.0, "", SPAN) for n, v in PARAMS.items())
    bound = draw(st.sampled_from([NUM, catalogue.signal_of("engine.kv_total").type]))
    limits = (ir.Limit("pinned", pool.make(ir.Const, bound, draw(numbers)), SPAN),)
    on_call = draw(decisions(pool))
    return Program(ir.Policy("p", "t", params, keys(1), on_call, promote, limits, _one(draw, pool.handlings)))


@st.composite
def acts(draw: st.DrawFn, pool: Pool) -> ir.Act:
    second = pool.make(ir.Const, quantity(SECOND), 1.0)
    links = []
    for _ in range(draw(st.integers(1, 3))):
        handling = draw(st.sampled_from([Handling.PRESERVE, Handling.DISCARD, Handling.SWAP]))
        lasts = pool.make(ir.Binary, quantity(SECOND), "*", _one(draw, pool.numbers), second)
        links.append(ir.Hold(handling, lasts if draw(st.booleans()) else None))
    return ir.Act(tuple(links), SPAN)


@st.composite
def decisions(draw: st.DrawFn, pool: Pool, depth: int = 2) -> ir.Decision:
    shape = draw(st.sampled_from(["act", "pick", "choose"] if depth else ["act", "pick"]))
    if shape == "act":
        return draw(acts(pool))
    if shape == "choose":
        then, other = (draw(decisions(pool, depth - 1)) for _ in range(2))
        return ir.Choose(_one(draw, pool.flags), then, other, SPAN)
    arms = []
    for _ in range(draw(st.integers(1, 3))):
        when = _one(draw, pool.flags) if draw(st.booleans()) else None
        arms.append(ir.Arm(draw(acts(pool)), _one(draw, pool.numbers), when))
    return ir.Pick(tuple(arms), SPAN)


def value_of(key: str, random: Random) -> float | bool | str:
    """A value for the signal behind *key*: often one of few, so that costs tie and rows differ in one value only."""
    if key in FLAGS:
        return random.random() < 0.5
    if key == "call.tool":
        return random.choice(TOOLS)
    return random.choice([random.choice(SPECIAL), random.choice(ORDINARY), random.gauss(0.0, 3.0)])


def rows_of(keys: Sequence[str], count: int, seed: int) -> list[dict[str, float | bool | str]]:
    """*count* rows, drawn cheaply: what is worth shrinking is the program."""
    random = Random(seed)
    return [{k: value_of(k, random) for k in keys} for _ in range(count)]
