"""Measures what the operations of compiled policies cost here, for the estimates of `lamps lint`.

Each operation is timed as it runs in the engine: a generated program with a chain of them, less one
with a single link. The table goes to the user's cache folder, where `policy_dsl.analysis.cost` looks.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policy_dsl import ir
from policy_dsl.analysis.cost import SIZES, VERSION, cache_file
from policy_dsl.catalogue import signal_of
from policy_dsl.codegen.batch import BatchRules
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import Module, add_decision, add_values
from policy_dsl.codegen.texts import TextTable
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.order import first
from policy_dsl.types import BOOL, HANDLING, Handling, Type, quantity

SOURCE = Source("<calibration>", "rank\n")
SPAN = Span(SOURCE, 1, 1, 1, 5)
NUMBER = quantity()
LINKS = 9
FIRST = 64
SHARE_S = 0.01  # time for each measurement
Chain = Callable[["_Bench", int], ir.Node]


class _Bench:
    """Nodes for chains: two number columns that change every step, two flags."""

    def __init__(self) -> None:
        self.builder = ir.Builder()
        one = {key: self.node(ir.Const, signal_of(key).type, 1.0) for key in ("request.waited", "request.age")}
        self.a, self.b = (
            self.node(ir.Binary, NUMBER, "/", self.builder.read(key, signal_of(key).type, SPAN), one[key])
            for key in one
        )
        self.flags = tuple(self.builder.read(k, BOOL, SPAN) for k in ("request.promoted", "session.seated"))

    def node(self, cls: type[ir.Node], type_: Type, *operands: object) -> ir.Node:
        return self.builder.node(cls, type_, SPAN, *operands)

    def number(self, value: float) -> ir.Node:
        return self.node(ir.Const, NUMBER, value)


def _binary(op: str) -> Chain:
    def chain(b: _Bench, links: int) -> ir.Node:
        x = b.a
        for i in range(links):
            x = b.node(ir.Binary, NUMBER, op, x, b.b if i % 2 else b.a)
        return x

    return chain


def _function(name: str) -> Chain:
    def chain(b: _Bench, links: int) -> ir.Node:
        x = b.a
        for _ in range(links):
            x = b.node(ir.Call, NUMBER, name, (x,))
        return x

    return chain


def _power(b: _Bench, links: int) -> ir.Node:
    x = b.a
    for _ in range(links):
        x = b.node(ir.Binary, NUMBER, "^", x, b.number(0.9))
    return x


def _logic(b: _Bench, links: int) -> ir.Node:
    x: ir.Node = b.flags[0]
    for i in range(links):
        x = b.node(ir.Binary, BOOL, ("and", "or")[i % 2], x, b.flags[(i + 1) % 2])
    return x


def _compare(b: _Bench, links: int) -> ir.Node:
    x: ir.Node = b.flags[0]
    for i in range(links):
        x = b.node(ir.Binary, BOOL, "and", x, b.node(ir.Binary, BOOL, "<", b.a, b.number(float(i))))
    return x


def _select(b: _Bench, links: int) -> ir.Node:
    x = b.a
    for i in range(links):
        x = b.node(ir.If, NUMBER, b.flags[i % 2], x, b.b if i % 2 else b.a)
    return x


def _arms(b: _Bench, links: int) -> ir.Node:
    """One choice with that many arms, read as whether it is to preserve."""
    kinds = (Handling.PRESERVE, Handling.DISCARD, Handling.SWAP)
    costs = [b.node(ir.Binary, NUMBER, "+", b.a, b.number(float(i))) for i in range(links)]
    choice = b.builder.least(tuple(ir.LeastArm(kinds[i % 3], c, None) for i, c in enumerate(costs)), SPAN)
    same = b.node(ir.Binary, BOOL, "==", choice, b.node(ir.Const, HANDLING, 0.0))
    return b.node(ir.If, NUMBER, same, b.a, b.b)


def _time_us(run: Callable[[], object]) -> float:
    """The fastest of several rounds: what it costs when nothing else is in the way."""
    run()
    began = time.perf_counter()
    run()
    once = max(time.perf_counter() - began, 1e-7)
    repeats = max(3, int(SHARE_S / once / 5))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repeats):
            run()
        best = min(best, (time.perf_counter() - began) / repeats)
    return best * 1e6


def _rows(n: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {
        "request.waited": random.lognormal(0.0, 1.0, n),
        "request.age": random.lognormal(0.0, 1.0, n),
        "request.promoted": random.random(n) < 0.5,
        "session.seated": random.random(n) < 0.5,
        "request.arrival": np.sort(random.uniform(0.0, 1e3, n)),
    }


def _batch(root: ir.Node, rows: dict[str, Any]) -> float:
    texts = TextTable()
    rules = BatchRules((root,), None, (), Places(SOURCE), texts)
    hoisted = rules.hoist(rows, {})
    return _time_us(lambda: rules.rank(rows, hoisted, {}))


def columns_us(n: int) -> dict[str, float]:
    """Cost of each array operation over *n* rows, of handing in a column, and of running a program."""
    rows, bench = _rows(n), _Bench()
    base = _batch(bench.node(ir.Binary, NUMBER, "+", bench.a, bench.b), rows)
    add = _per_link(_binary("+"), rows)
    small = _batch(bench.a, _rows(16))
    logic = _per_link(_logic, rows)
    found = {
        "add": add,
        "divide": _per_link(_binary("/"), rows),
        "power": _per_link(_power, rows),
        "exp": _per_link(_function("log"), rows),
        "normal_cdf": _per_link(_function("normal_cdf"), rows),
        "logic": logic,
        "compare": _per_link(_compare, rows) - logic,
        "select": _per_link(_select, rows),
    }
    found["text"] = found["select"]  # tools are fixed while a request waits: hardly ever asked in a step
    arm = max(_per_link(_arms, rows, 2, 6) - add, 0.0)
    # The two parts of choosing, the comparison of prices and the pick among results, cost about the same.
    found |= {"arm": arm / 2, "pick": found["select"] + found["compare"]}
    found["program"] = small
    found["input"] = (base - 3 * add - small) / 2
    found |= _order_us(n, rows)
    return {name: round(max(us, 0.01), 4) for name, us in found.items()}


def _per_link(chain: Chain, rows: dict[str, Any], few: int = 1, many: int = LINKS) -> float:
    bench = _Bench()
    return (_batch(chain(bench, many), rows) - _batch(chain(bench, few), rows)) / (many - few)


def _order_us(n: int, rows: dict[str, Any]) -> dict[str, float]:
    key, arrival = rows["request.waited"], rows["request.arrival"]
    promoted = np.zeros(n, np.bool_)
    promoted[:: max(n // 30, 1)] = True
    return {
        "first": _time_us(lambda: first((key,), arrival, FIRST)),
        "first_promoted": _time_us(lambda: first((key,), arrival, FIRST, promoted)),
    }


def scalars_us() -> dict[str, float]:
    """Cost of each operation on one request, in generated code."""
    bench, row = (
        _Bench(),
        {"request.waited": 2.5, "request.age": 7.5, "request.promoted": True, "session.seated": False},
    )

    places = Places(SOURCE)

    def run(root: ir.Node) -> float:
        module = Module()
        add_values(module, places, "f", (root,))
        f = module.compile()["f"]
        return _time_us(lambda: f(row, {}))

    def per_link(chain: Chain) -> float:
        return max((run(chain(bench, LINKS)) - run(chain(bench, 1))) / (LINKS - 1), 0.005)

    operator = per_link(_binary("+"))
    keys = ("request.waited", "request.age")
    both = bench.node(ir.Binary, NUMBER, "+", bench.a, bench.b)
    module = Module()
    act = ir.Act((ir.Hold(Handling.DISCARD, None),), SPAN)
    add_decision(module, places, "decide", act)
    arms = tuple(ir.Arm(act, bench.number(float(i)), None) for i in range(LINKS))
    add_decision(module, places, "choose", ir.Pick(arms, SPAN))
    functions = module.compile()
    decide, choose = functions["decide"], functions["choose"]
    verdict = _time_us(lambda: decide({}, {}))
    found = {
        "constant": 0.0,
        "read": max((run(both) - run(bench.a)) / len(keys), 0.01),
        "operator": operator,
        "helper": per_link(_binary("/")),
        "function": per_link(_function("log")),
        "bell": per_link(_function("normal_cdf")),
        "verdict": verdict,
        "arm": max((_time_us(lambda: choose({}, {})) - verdict) / LINKS, 0.0),
    }
    return {name: round(us, 4) for name, us in found.items()}


def measure(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """The whole table."""
    by_size = [columns_us(n) for n in sizes]
    machine = f"measured on {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    return {
        "version": VERSION,
        "machine": machine,
        "columns": {name: [found[name] for found in by_size] for name in by_size[0]},
        "scalars": scalars_us(),
    }


def calibrate() -> Path:
    """Measures and writes the table to the user's cache folder. OSError if it can't be written."""
    table, path = measure(), cache_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path
