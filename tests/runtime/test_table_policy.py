"""The table under the shipped policies puts requests in the order that asking one by one gives."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

import policies
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
