"""Static cost: what is counted, how tables are read; how well it foretells is measured by benchmarks/lint.py."""

from __future__ import annotations

import json

import pytest

from policies import shipped
from policy_dsl import ir
from policy_dsl.analysis import cost
from policy_dsl.analysis.cost import SIZES, cost_of, said, table_from
from policy_dsl.analysis.default_costs import DEFAULT
from policy_dsl.loading import load, load_text

SHIPPED = table_from(DEFAULT)
assert SHIPPED is not None


def policy(body: str) -> ir.Policy:
    loaded = load_text(f'lamps 1\npolicy p "P."\n{body}\n')
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy


def step(body: str, n: float = 4096) -> float:
    return cost_of(policy(body), SHIPPED).step(n)


def test_what_is_fixed_while_a_request_waits_costs_nothing_per_step():
    fixed = step("rank predict.output * request.context / 1tok + exp(call.duration / 1s) * 1tok")
    assert fixed == pytest.approx(step("rank predict.output"), rel=0.01)
    assert step("rank predict.output * request.age") > fixed * 1.05


def test_dear_operations_cost_more():
    rank = "rank {}(request.age / 1s)"
    assert step(rank.format("exp")) > step(rank.format("abs")) + 50


def test_what_the_engine_alone_has_is_computed_once():
    per_engine = step("rank predict.output + engine.running_tokens * 2 * 3 * 4")
    per_row = step("rank predict.output + request.age / 1s * 2tok * 3 * 4")
    assert step("rank predict.output + engine.running_tokens") < per_engine < per_row


def test_promotion_costs():
    assert step("rank predict.output\npromote when request.waited >= 1min") > step("rank predict.output") + 5


@pytest.mark.parametrize("path", shipped().values(), ids=lambda p: p.stem)
def test_cost_grows_with_the_queue(path):
    loaded = load(path)
    assert loaded.policy is not None
    found = cost_of(loaded.policy, SHIPPED)
    assert 1 < found.step_us[0] < found.step_us[1] < found.step_us[2] < 1e5
    assert found.step(16) <= found.step_us[0]
    assert found.step_us[1] < found.step(20_000) < found.step_us[2]
    assert found.step(131_072) > found.step_us[2]
    assert 0.1 < found.decision_us < 1000
    assert "waiting requests" in said(found)


def test_more_arms_make_a_dearer_decision():
    one = cost_of(policy("on call discard"), SHIPPED).decision_us
    three = cost_of(policy("on call least { preserve: 1s discard: 2s swap: 3s }"), SHIPPED).decision_us
    assert three > one + 1


def test_a_measured_table_is_used_and_a_broken_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "lamps" / "costs.json"
    file.parent.mkdir()

    def machine(text: str) -> str:
        file.write_text(text)
        cost.this_machine.cache_clear()
        return cost.this_machine().machine

    shipped_one = SHIPPED.machine
    assert machine(json.dumps(DEFAULT | {"machine": "mine"})) == "mine"
    assert machine(json.dumps(DEFAULT | {"version": 99})) == shipped_one
    assert machine(json.dumps(DEFAULT | {"scalars": {}})) == shipped_one
    assert machine(json.dumps(DEFAULT | {"columns": DEFAULT["columns"] | {"add": [1.0, "x", 2.0]}})) == shipped_one
    assert machine(json.dumps(DEFAULT | {"columns": DEFAULT["columns"] | {"add": [1.0, -5.0, 2.0]}})) == shipped_one
    assert machine("[not json") == shipped_one
    assert machine("[]") == shipped_one
    file.unlink()
    cost.this_machine.cache_clear()
    assert cost.this_machine().machine == shipped_one
    cost.this_machine.cache_clear()


def test_calibration_measures_every_operation_of_the_table():
    from lamps_cli.calibration import columns_us, scalars_us

    found = columns_us(SIZES[0])
    assert found.keys() == DEFAULT["columns"].keys()
    assert scalars_us().keys() == DEFAULT["scalars"].keys()
    assert found["exp"] > found["add"] > 0
    assert found["first"] > 1
