"""Sorting requests as they come gives the order that ranking them at every step gives."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest

import policies
from engine_adapter.runtime.rows import one_by_one
from engine_adapter.runtime.steady import SteadyTable
from engine_adapter.runtime.table import InColumns, WaitingTable
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load, load_text

ENGINE: dict[str, float | bool] = {}


def compiled(rules: str) -> CompiledPolicy:
    loaded = load_text(f'lamps 1\npolicy p "P."\n{rules}\n')
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    return compile_policy(loaded.policy, loaded.source)


@pytest.mark.parametrize(
    ("rules", "steady"),
    [
        ("rank request.arrival", True),
        ("param p = 2 in 1..3\nrank highest request.priority * p, session.arrival", True),
        ("rank request.waited", False),
        ("rank prefill_time(request.prompt)", False),  # the costs of the engine are learned
        ("rank request.prompt / 1tok + engine.running", False),
        ("rank request.arrival\npromote when request.priority > 5", False),
    ],
)
def test_a_rank_is_steady_where_it_reads_its_own_row_alone_and_nobody_is_promoted(rules: str, steady: bool) -> None:
    assert compiled(rules).steady is steady


@pytest.mark.parametrize("name", ["fcfs", "priority"])
def test_shipped_policies_that_are_steady(name: str) -> None:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    assert compile_policy(loaded.policy, loaded.source).steady


def among(names: set[str], waiting: InColumns) -> np.ndarray:
    return np.array([name in names for name in waiting.ids], np.bool_)


@pytest.mark.parametrize(
    "rules",
    [
        "rank request.arrival",
        "rank highest request.priority, request.arrival",
        "rank (request.prompt - 3tok) / (request.cached - 3tok), highest request.prompt",  # infinite, and no number
        "rank session.arrival, request.prompt",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_same_order_whatever_comes_changes_and_goes(rules: str, seed: int) -> None:
    policy, rng = compiled(rules), random.Random(seed)
    tables = (WaitingTable(policy.batch, one_by_one(policy)), SteadyTable(policy.batch, policy.scalar.rank))
    waiting: list[str] = []
    nans = 0
    for step in range(300):
        row = {key: float(rng.randrange(6)) for key in policy.row_keys}
        match rng.randrange(4):
            case 0 if waiting:
                gone = waiting.pop(rng.randrange(len(waiting)))
                assert [table.remove(gone) for table in tables] == [False, False]
            case 1 if waiting:
                changed = rng.choice(waiting)
                row = {key: value for key, value in row.items() if not key.endswith(".arrival")}
                for table in tables:
                    table.update(changed, row)
            case _:
                waiting.append(f"r{step}")
                for table in tables:
                    table.add(f"r{step}", row, arrival=float(step), now=step, step=step, session_arrival=step // 9)
        k = rng.choice([0, 1, 5, 999])
        if rng.random() < 0.5:
            orders = [table.first(k, ENGINE, step, step) for table in tables]
        else:
            open_ = {name for name in waiting if rng.random() < 0.5}
            orders = [table.first_open(k, ENGINE, step, step, partial(among, open_)) for table in tables]
        assert orders[0] == orders[1]
        if k and len(orders[0]):
            nans += tables[1].nans > 0
            assert tables[0].nans == tables[1].nans
        for table in tables:
            table.nans = 0
    assert (nans > 0) == ("/" in rules)


def test_a_rank_that_fails_leaves_the_table_whole() -> None:
    policy = compiled("rank request.prompt")
    broken = True

    def rank(row: object, engine: object) -> tuple[float, ...]:
        if broken:
            raise ZeroDivisionError
        return (1.0,)

    table = SteadyTable(policy.batch, rank)
    for name in ("a", "b", "c"):
        table.add(name, {"request.prompt": 1.0}, arrival=float(ord(name)), now=0.0, step=0)
    with pytest.raises(ZeroDivisionError):
        table.first(3, ENGINE, 0.0, 0)
    table.remove("b")
    broken = False
    assert table.first(3, ENGINE, 0.0, 0) == ["a", "c"]
