"""What a policy costs: microseconds to rank N waiting requests, and to make one decision.

The plan of the batch code (what is kept per row, what is done each step) is priced by a table of
measured operations: a ranking is a few calls, each a few array operations, and the search for the
first in order. The table is measured on the machine (`lamps lint --calibrate`); without that the
shipped one counts, which another machine may be off from by a factor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from policy_dsl import ir
from policy_dsl.analysis.default_costs import DEFAULT
from policy_dsl.codegen.lower import Chosen, Hoisted, postorder, reaches
from policy_dsl.codegen.plan import Plan
from policy_dsl.codegen.scalar import decision_roots
from policy_dsl.settle import settle
from policy_dsl.types import Kind

SIZES = (256, 4096, 65536)
VERSION = 1  # of the file; one of another version is not read


@dataclass(frozen=True, slots=True)
class Table:
    """Microseconds. *columns*: per array operation at each of `SIZES`; *scalars*: per operation on one request."""

    columns: Mapping[str, Sequence[float]]
    scalars: Mapping[str, float]
    machine: str

    def column(self, operation: str, n: float) -> float:
        """One array operation over *n* rows: straight lines between the sizes measured."""
        costs = self.columns[operation]
        low = 0 if n <= SIZES[1] else 1
        share = (n - SIZES[low]) / (SIZES[low + 1] - SIZES[low])
        return max(costs[low] + share * (costs[low + 1] - costs[low]), min(costs[0], costs[1]) * 0.5)


@dataclass(frozen=True, slots=True)
class Cost:
    """*step_us* at each of `SIZES` waiting requests; *hoist_us* to write one row; *decision_us* of `on call`."""

    step_us: tuple[float, ...]
    decision_us: float
    table: Table
    _plan: _Priced

    def step(self, waiting: float) -> float:
        """Microseconds to find the first of *waiting* requests in order."""
        return self._plan.step(self.table, waiting)


@dataclass(frozen=True, slots=True)
class _Priced:
    """What a step does: names of array operations, counts of engine operations, keys of the order."""

    rank: tuple[str, ...]
    promote: tuple[str, ...] | None
    by: tuple[str, ...]
    engine: tuple[str, ...]
    programs: int

    def step(self, table: Table, n: float) -> float:
        columns = (*self.rank, *(self.promote or ()), *self.by)
        total = sum(table.column(name, n) for name in columns) + sum(table.scalars[name] for name in self.engine)
        total += self.programs * table.column("program", n)
        return total + table.column("first" if self.promote is None else "first_promoted", n)


def cost_of(policy: ir.Policy, table: Table | None = None) -> Cost:
    """The cost of *policy*, parameters at their defaults. *table*: this machine's, if None."""
    table = table or this_machine()
    rules = settle(policy, {p.name: p.default for p in policy.params})
    promote = () if rules.promote is None else (rules.promote,)
    plan = Plan([*rules.rank, *promote, *rules.by])
    ranks, rest = plan.step[: len(rules.rank)], plan.step[len(rules.rank) :]
    asked, among = rest[: len(promote)], rest[len(promote) :]
    priced = _Priced(
        tuple(_array_operations(ranks)),
        tuple(_array_operations(asked)) if promote else None,
        tuple(_array_operations(among)),
        tuple(_engine_operations(plan.step)),
        1 + len(promote) + bool(among),
    )
    decision = [_scalar_operation(n) for n in postorder(decision_roots(rules.on_call))]
    decision += ["arm"] * _most_arms(rules.on_call)
    decision_us = sum(table.scalars[name] for name in decision) + table.scalars["verdict"]
    return Cost(tuple(priced.step(table, n) for n in SIZES), decision_us, table, priced)


def said(cost: Cost) -> str:
    """One line for people."""
    steps = ", ".join(f"{_us(us)} at {n:,}" for n, us in zip(SIZES, cost.step_us, strict=True))
    return f"ranking takes {steps} waiting requests; a decision {_us(cost.decision_us)} ({cost.table.machine})"


def _us(us: float) -> str:
    return f"{us / 1000:.2g} ms" if us >= 1000 else f"{us:.2g} us" if us < 10 else f"{us:.0f} us"


# --- what is counted


def _array_operations(roots: Sequence[ir.Node]) -> Iterable[str]:
    """The array operations that compute *roots*, by their names in the table."""
    reach = reaches(roots)
    for node in postorder(roots):
        if not reach[id(node)].per_row:
            continue
        if not isinstance(node, ir.Read | Hoisted):
            yield from _array_operation(node)
        elif node not in roots:  # one that is a root is handed on as it is
            yield "input"


def _array_operation(node: ir.Node) -> Iterable[str]:
    match node:
        case ir.Unary(op=op):
            return ["logic" if op == "not" else "add"]
        case ir.Binary(op="/", right=ir.Const()):
            return ["add"]
        case ir.Binary(op="/"):
            return ["divide"]
        case ir.Binary(op="^"):
            return ["power"]
        case ir.Binary(op="and" | "or"):
            return ["logic"]
        case ir.Binary(op="+" | "-" | "*"):
            return ["add"]
        case ir.Binary():
            return ["compare"]
        case ir.Call(name="clamp"):
            return ["add", "add"]
        case ir.Call(name=name) if name in ("exp", "log", "log2", "normal_cdf"):
            return ["normal_cdf" if name == "normal_cdf" else "exp"]
        case ir.Call(args=args):
            return ["add"] * max(len(args) - 1, 1)
        case ir.If() if node.type.kind is Kind.BOOL:
            return ["logic", "logic"]
        case ir.If():
            return ["select"]
        case ir.TextIs():
            return ["text"]
        case ir.Least(arms=arms):
            return ["arm"] * len(arms)
        case Chosen(arms=arms):
            return ["pick"] * len(arms)
    return []


def _most_arms(decision: ir.Decision) -> int:
    """Prices that one decision has to write down, at most."""
    match decision:
        case ir.Pick(arms=arms):
            return len(arms)
        case ir.Choose(then=then, other=other):
            return max(_most_arms(then), _most_arms(other))
    return 0


def _engine_operations(roots: Sequence[ir.Node]) -> Iterable[str]:
    """What is computed once a step, of the engine's values alone."""
    reach = reaches(roots)
    return [_scalar_operation(n) for n in postorder(roots) if not reach[id(n)].per_row]


def _scalar_operation(node: ir.Node) -> str:
    match node:
        case ir.Const():
            return "constant"
        case ir.Read():
            return "read"
        case ir.Binary(op="/" | "^") | ir.Call(name="min" | "max" | "clamp" | "floor" | "ceil" | "sqrt"):
            return "helper"
        case ir.Call(name="normal_cdf"):
            return "bell"
        case ir.Call(name="exp" | "log" | "log2"):
            return "function"
        case ir.TextIs() | ir.Least():
            return "helper"
    return "operator"


# --- tables


def cache_file() -> Path:
    """Where this machine's table is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamps" / "costs.json"


@cache
def this_machine() -> Table:
    """The table measured here; the shipped one where there is none, or one that can't be used."""
    try:
        measured = table_from(json.loads(cache_file().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        measured = None
    if measured is not None:
        return measured
    shipped = table_from(DEFAULT)
    assert shipped is not None
    return shipped


def table_from(data: Any) -> Table | None:
    """The table in a file's *data*; None if it isn't one of this version, whole and of numbers."""
    shipped_columns, shipped_scalars = DEFAULT["columns"], DEFAULT["scalars"]
    match data:
        case {"version": int(version), "columns": dict(columns), "scalars": dict(scalars), "machine": str(machine)}:
            whole = columns.keys() >= shipped_columns.keys() and scalars.keys() >= shipped_scalars.keys()
            rows = all(isinstance(c, list) and len(c) == len(SIZES) and all(map(_good, c)) for c in columns.values())
            if version == VERSION and whole and rows and all(map(_good, scalars.values())):
                return Table(columns, scalars, machine)
    return None


def _good(us: object) -> bool:
    return isinstance(us, float | int) and not isinstance(us, bool) and 0 <= us < 1e9
