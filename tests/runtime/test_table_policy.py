"""The table under the shipped policies puts requests in the order that asking one by one gives."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest

import policies
from engine_adapter.runtime.few import FEW
from engine_adapter.runtime.rows import one_by_one as one_by_one_of
from engine_adapter.runtime.table import WaitingTable
from policy_dsl.catalogue import SIGNALS, signal_of
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load

Value = float | bool | str
ENGINE = {name: signal.test for name, signal in SIGNALS.items() if not signal.per_row} | {
    "engine.running_tokens": 20_000.0,
    "cost.prefill_context": 1e-9,
}


def policy(name: str) -> CompiledPolicy:
    loaded = load(policies.find(name))
    assert loaded.policy is not None
    return compile_policy(loaded.policy, loaded.source)


def random_row(keys: frozenset[str], rng: random.Random) -> dict[str, Value]:
    def value(key: str) -> Value:
        if key == "call.tool":
            return rng.choice(["search", "user", ""])
        if key == "call.chance":
            return rng.random()
        if key.endswith(".known"):
            return rng.random() < 0.5
        if signal_of(key).name == "call.duration":
            return rng.lognormvariate(0.0, 2.0)
        return float(rng.randint(1, 2000))

    return {key: value(key) for key in sorted(keys)}


def one_by_one(
    compiled: CompiledPolicy, rows: Mapping[str, dict[str, Value]], arrivals: Mapping[str, float], now: float, step: int
) -> list[str]:
    def place(name: str) -> tuple[object, ...]:
        row = rows[name] | {
            "request.arrival": arrivals[name],
            "request.age": now - arrivals[name],
            "request.waited": now - arrivals[name],
            "request.waited_steps": float(step - int(arrivals[name])),
        }
        if compiled.scalar.promote(row, ENGINE):
            return (0, *compiled.scalar.promote_by(row, ENGINE), arrivals[name])
        return (1, *compiled.scalar.rank(row, ENGINE), arrivals[name])

    return sorted(rows, key=place)


@pytest.mark.parametrize("name", ["fcfs", "sjf", "lamps"])
def test_the_same_order_as_one_by_one(name: str) -> None:
    rng = random.Random(4)
    compiled = policy(name)
    table = WaitingTable(compiled.batch)
    rows: dict[str, dict[str, Value]] = {}
    arrivals: dict[str, float] = {}
    for i in range(300):
        for request, arrival in ((f"r{i}", float(i)), (f"s{i}", i + 0.5)):
            rows[request], arrivals[request] = random_row(compiled.row_keys, rng), arrival
            table.add(request, rows[request], arrival=arrival, now=arrival, step=i)
        if i % 50 == 49:
            assert table.first(40, ENGINE, float(i), i) == one_by_one(compiled, rows, arrivals, float(i), i)[:40]
        for request in rng.sample(sorted(rows), 1):
            del rows[request], arrivals[request]
            table.remove(request)
    assert table.first(999, ENGINE, 300.0, 300) == one_by_one(compiled, rows, arrivals, 300.0, 300)


@pytest.mark.parametrize("name", ["lamps", "bounded_tail", "infercept", "vtc", "autellix", "edf"])
def test_few_are_ranked_one_by_one_as_in_columns(name: str) -> None:
    rng = random.Random(5)
    compiled = policy(name)
    tables = WaitingTable(compiled.batch), WaitingTable(compiled.batch, one_by_one_of(compiled))
    for step in range(200):
        ids = tables[0].ids
        if len(ids) > FEW or (ids and rng.random() < 0.4):
            gone = rng.choice(ids)
            assert tables[0].remove(gone) == tables[1].remove(gone)
        else:
            row = random_row(compiled.rank_keys, rng)
            if rng.random() < 0.1:
                row |= {key: math.nan for key in row if key.startswith(("predict.", "session."))}
            for table in tables:
                table.add(f"r{step}", row, arrival=float(step), now=step + 0.5, step=step, waited_s=step % 7)
        now = 1.7 * step
        orders = [table.first(3, ENGINE, now, step) for table in tables]
        assert orders[0] == orders[1]
        assert [tables[0].is_promoted(name) for name in ids] == [tables[1].is_promoted(name) for name in ids]
    assert tables[0].nans >= tables[1].nans  # one alone isn't ranked


def test_of_one_alone_that_its_own_wait_promotes_the_engine_is_not_asked() -> None:
    compiled, rng = policy("lamps"), random.Random(1)
    table = WaitingTable(compiled.batch, one_by_one_of(compiled))
    table.add("old", random_row(compiled.rank_keys, rng), arrival=0.0, now=0.0, step=0)
    assert not table.asks_engine
    assert table.first(1, {}, 9.0, 1) == ["old"] and not table.is_promoted("old")
    assert table.first(1, {}, 10.0, 2) == ["old"] and table.is_promoted("old")
    table.add("new", random_row(compiled.rank_keys, rng), arrival=10.0, now=10.0, step=2)
    assert table.asks_engine
