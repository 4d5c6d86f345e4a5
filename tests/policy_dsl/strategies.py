"""Random graphs of well-typed expressions as policies, and random rows, for the test that all readings agree.

A program grows as a list: each new node takes operands among those before it, so that sharing,
choices below choices and mixtures of engine, row and step values are common. All is drawn from one
`random.Random`: a seed is a program. (`programs.py` writes policies as text, with all the language has.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from policy_dsl import catalogue, ir
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.types import BOOL, HANDLING, INSTANT, TEXT, Handling, Kind, Type, quantity
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


def pools(random: Random, most: int = 30) -> Pool:
    pool = _seeded()
    for _ in range(random.randint(4, most)):
        random.choice(_STEPS)(random, pool)
    return pool


def number(random: Random) -> float:
    """Often a special one, sometimes any of all doubles."""
    match random.randrange(3):
        case 0:
            return random.choice(SPECIAL)
        case 1:
            return random.uniform(-1e3, 1e3)
        case _:
            return float(struct.unpack("<d", random.randbytes(8))[0])


def _heads(random: Random) -> bool:
    return random.random() < 0.5


def _one(random: Random, nodes: list[ir.Node]) -> ir.Node:
    """Often one of the newest, so that graphs get deep."""
    return random.choice(nodes[-6:] if _heads(random) else nodes)


def _constant(random: Random, pool: Pool) -> None:
    pool.numbers.append(pool.make(ir.Const, NUM, number(random)))


def _arithmetic(random: Random, pool: Pool) -> None:
    op = random.choice("+-*/^")
    pool.numbers.append(pool.make(ir.Binary, NUM, op, _one(random, pool.numbers), _one(random, pool.numbers)))


def _function(random: Random, pool: Pool) -> None:
    name = random.choice(_UNARY_CALLS)
    pool.numbers.append(pool.make(ir.Call, NUM, name, (_one(random, pool.numbers),)))


def _several(random: Random, pool: Pool) -> None:
    name = random.choice(["min", "max", "clamp"])
    count = 3 if name == "clamp" else random.randint(2, 4)
    pool.numbers.append(pool.make(ir.Call, NUM, name, tuple(_one(random, pool.numbers) for _ in range(count))))


def _negative(random: Random, pool: Pool) -> None:
    pool.numbers.append(pool.make(ir.Unary, NUM, "-", _one(random, pool.numbers)))


def _compare(random: Random, pool: Pool) -> None:
    op = random.choice(_COMPARISONS)
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(random, pool.numbers), _one(random, pool.numbers)))


def _equal(random: Random, pool: Pool) -> None:
    kind = random.choice([pool.handlings, pool.texts, pool.flags])
    op = random.choice(["==", "!="])
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(random, kind), _one(random, kind)))


def _logic(random: Random, pool: Pool) -> None:
    op = random.choice(["and", "or"])
    pool.flags.append(pool.make(ir.Binary, BOOL, op, _one(random, pool.flags), _one(random, pool.flags)))


def _not(random: Random, pool: Pool) -> None:
    pool.flags.append(pool.make(ir.Unary, BOOL, "not", _one(random, pool.flags)))


def _text_is(random: Random, pool: Pool) -> None:
    patterns = tuple(random.choices(PATTERNS, k=random.randint(1, 3)))
    pool.flags.append(pool.make(ir.TextIs, BOOL, _one(random, pool.texts), patterns))


def _if(random: Random, pool: Pool) -> None:
    test = _one(random, pool.flags)
    # Half of them of numbers: the others are rarer in policies.
    kinds = [pool.numbers, pool.numbers, pool.numbers, pool.flags, pool.texts, pool.handlings]
    kind = random.choice(kinds)
    then, other = _one(random, kind), _one(random, kind)
    kind.append(pool.make(ir.If, then.type, test, then, other))


def _cost(random: Random, pool: Pool) -> ir.Node:
    """Often one that a row and the state of the engine decide together, as in policies."""
    cost = _one(random, pool.numbers)
    if _heads(random):
        return cost
    row = pool.numbers[random.choice([0, 1, 2, 3, 4])]
    return pool.make(ir.Binary, NUM, random.choice("+*"), row, pool.numbers[_RUNNING])


def _least(random: Random, pool: Pool) -> None:
    arms = []
    for _ in range(random.randint(1, 3)):
        allowed = _one(random, pool.flags) if _heads(random) else None
        handling = random.choice([Handling.PRESERVE, Handling.DISCARD, Handling.SWAP])
        arms.append(ir.LeastArm(handling, _cost(random, pool), allowed))
    pool.handlings.append(pool.builder.least(tuple(arms), SPAN))


def _by_handling(random: Random, pool: Pool) -> None:
    """What `match handling { ... }` becomes, newest decision first."""
    handling = _one(random, [h for h in pool.handlings if not isinstance(h, ir.Const)] or pool.handlings)
    value = _one(random, pool.numbers)
    for code in random.choice([(0.0,), (0.0, 2.0), (1.0, 3.0)]):
        test = pool.make(ir.Binary, BOOL, "==", handling, pool.make(ir.Const, HANDLING, code))
        value = pool.make(ir.If, NUM, test, _one(random, pool.numbers), value)
    pool.numbers.append(value)


_STEPS = [
    _constant, _arithmetic, _arithmetic, _arithmetic, _function, _several, _negative, _compare, _compare, _equal,
    _equal, _logic, _not, _text_is, _if, _if, _least, _least, _by_handling, _by_handling,
]  # fmt: skip


def policies(random: Random) -> ir.Policy:
    """A policy of all statements, over one random graph."""
    pool = pools(random)
    for step in random.choice([(), (_least, _by_handling), (_least, _by_handling, _arithmetic, _by_handling)]):
        step(random, pool)

    def flag() -> ir.Node | None:
        return _one(random, pool.flags) if _heads(random) else None

    when = flag()
    params = tuple(ir.ParamInfo(n, NUM, v, 0.0, 10.0, "", SPAN) for n, v in PARAMS.items())
    on_call, paused = decisions(random, pool), decisions(random, pool, again=True)
    every = pool.make(ir.Const, quantity(SECOND), random.choice([0.5, 2.0]))
    made = ir.Policy(
        "p", "t", params, (ir.Key(pool.numbers[-1], _heads(random)), *_keys(random, pool, 2)), on_call,
        None if when is None else ir.Promote(when, _keys(random, pool, 3)), _limits(random, pool),
        _one(random, pool.handlings), at_arrival=_heads(random), paused=ir.Paused(every, paused, SPAN),
        yields=_keys(random, pool, 3), victim=_keys(random, pool, 3), admit=flag(),
    )  # fmt: skip
    return replace(made, limits=(*made.limits, _of_running(random, pool)))  # drawn last: seeds keep their graphs


def _keys(random: Random, pool: Pool, most: int) -> tuple[ir.Key, ...]:
    instants = [pool.builder.read(k, INSTANT, SPAN) for k in INSTANTS]
    kinds = [pool.numbers, pool.numbers, pool.flags, instants]
    return tuple(ir.Key(_one(random, random.choice(kinds)), _heads(random)) for _ in range(random.randint(0, most)))


def _limits(random: Random, pool: Pool) -> tuple[ir.Limit, ...]:
    tokens = catalogue.signal_of("engine.kv_total").type
    amount = pool.make(ir.Const, tokens, number(random))
    return (
        ir.Limit("pinned", amount, SPAN, share=False, by=_keys(random, pool, 2)),
        ir.Limit("a.running", pool.make(ir.Const, NUM, number(random)), SPAN),
    )


def _of_running(random: Random, pool: Pool) -> ir.Limit:
    return ir.Limit("running", pool.make(ir.Const, NUM, 3.0), SPAN, by=_keys(random, pool, 3))


def acts(random: Random, pool: Pool) -> ir.Act:
    second = pool.make(ir.Const, quantity(SECOND), 1.0)
    links = []
    for _ in range(random.randint(1, 3)):
        handling = random.choice([Handling.PRESERVE, Handling.DISCARD, Handling.SWAP])
        lasts = pool.make(ir.Binary, quantity(SECOND), "*", _one(random, pool.numbers), second)
        links.append(ir.Hold(handling, lasts if _heads(random) else None))
    return ir.Act(tuple(links), SPAN)


def decisions(random: Random, pool: Pool, depth: int = 2, again: bool = False) -> ir.Decision:
    """*again*: whether `again` may stand in it, as in `while paused`."""
    shapes = ["act", "act", "pick", "again" if again else "pick", "choose", "choose"]
    shape = random.choice(shapes[: None if depth else 4])
    if shape == "act":
        return acts(random, pool)
    if shape == "again":
        return ir.Again(SPAN)
    if shape == "choose":
        then, other = (decisions(random, pool, depth - 1, again) for _ in range(2))
        return ir.Choose(_one(random, pool.flags), then, other, SPAN)
    arms = []
    for _ in range(random.randint(1, 3)):
        when = _one(random, pool.flags) if _heads(random) else None
        arms.append(ir.Arm(acts(random, pool), _one(random, pool.numbers), when))
    return ir.Pick(tuple(arms), SPAN)


def value_of(key: str, type_: Type, random: Random) -> float | bool | str:
    """A value for the signal *key*: often one of few, so that costs tie and rows differ in one value only."""
    match type_.kind:
        case Kind.BOOL:
            return _heads(random)
        case Kind.TEXT:
            return random.choice(TOOLS)
        case Kind.HANDLING:
            return float(random.choice(list(Handling)))
    if key.endswith(".sigma"):
        return random.choice([0.0, 0.0, 0.5, 1.0, number(random)])
    return random.choice([random.choice(SPECIAL), random.choice(ORDINARY), random.gauss(0.0, 3.0)])


def rows_of(types: Mapping[str, Type], count: int, seed: int) -> list[dict[str, float | bool | str]]:
    random = Random(seed)
    return [{key: value_of(key, type_, random) for key, type_ in types.items()} for _ in range(count)]
