"""A policy file, compiled: keys, parameters, places in tracebacks, what is hoisted, decisions at the edge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from policy_dsl.codegen import batch as batch_module
from policy_dsl.codegen.columns import SCOPE
from policy_dsl.compiled import CompiledPolicy, ParamError, compile_policy
from policy_dsl.loading import load, load_text
from policy_dsl.types import Handling
from policy_dsl.verify import verify
from policy_dsl.worlds import engine_values, row_values

POLICIES = Path(__file__).parents[2] / "policies"
ENGINE = engine_values(())


def policy(rules: str, **params: float) -> CompiledPolicy:
    loaded = load_text(f'lamps 1\npolicy p "t"\n{rules}\n', "p.lamps")
    assert loaded.policy is not None, loaded.diagnostics
    verify(loaded.policy)
    return compile_policy(loaded.policy, loaded.source, params)


def row(**given: object) -> dict:
    return row_values((), ENGINE) | {k.replace("__", "."): v for k, v in given.items()}


def table(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = {k: random.lognormal(4, 2, n) for k, v in row().items() if isinstance(v, float) and not isinstance(v, bool)}
    return rows | {"call.chance": random.random(n)}


def test_nobody_waits():
    loaded = load(POLICIES / "lamps.lamps")
    assert loaded.policy is not None
    rules = compile_policy(loaded.policy, loaded.source).batch
    rows = table(0)
    hoisted = rules.hoist(rows, ENGINE)
    assert {len(c) for c in rules.rank(rows, hoisted, ENGINE)} == {0}
    promoted = rules.promoted(rows, hoisted, ENGINE)
    assert promoted is not None
    assert len(promoted) == 0


@pytest.mark.parametrize("name", ["fcfs", "sjf", "lamps"])
def test_shipped_policies_are_well_typed_and_answer(name):
    loaded = load(POLICIES / f"{name}.lamps")
    assert loaded.policy is not None
    verify(loaded.policy)
    compiled = compile_policy(loaded.policy, loaded.source)
    n = 3 * batch_module.BLOCK + 17  # several blocks and a rest
    rows = table(n)
    hoisted = compiled.batch.hoist(rows, ENGINE)
    columns = compiled.batch.rank(rows, hoisted, ENGINE)
    for i in (0, 1, batch_module.BLOCK - 1, batch_module.BLOCK, n - 1):
        one = {k: float(v[i]) for k, v in rows.items()}
        assert tuple(float(c[i]) for c in columns) == compiled.scalar.rank(one, ENGINE)


def test_keys():
    compiled = policy(
        "rank call.duration.p90, request.context\n"
        'on call if call.tool in ["user"] { discard } else { preserve for engine.step_time * 10step then discard }\n'
        "limit pinned <= 60%"
    )
    assert compiled.row_keys == {"call.duration.p90", "request.context", "call.tool", "call.chance"}
    assert compiled.call_keys == {"call.tool"}
    assert compiled.engine_keys == {"engine.step_time", "allow.preserve", "engine.kv_total"}


def test_params_change_answers_and_revision():
    rules = "param patience = 10steps in 1..100\nrank request.age\npromote when request.waited_steps >= patience"
    compiled = policy(rules)
    assert not compiled.scalar.promote(row(request__waited_steps=7.0), ENGINE)
    other = compiled.with_params({"patience": 5})
    assert other.scalar.promote(row(request__waited_steps=7.0), ENGINE)
    assert other.params == {"patience": 5.0}
    assert other.revision != compiled.revision == compiled.with_params({}).revision
    assert len(compiled.revision) == 12


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"patience": 0}, "param `patience` must lie in 1..100 (steps), not 0"),
        ({"patience": float("nan")}, "param `patience` must lie in 1..100 (steps), not nan"),
        ({"patence": 5}, "the policy has no param `patence` (it has: patience)"),
    ],
)
def test_params_out_of_range(params, message):
    with pytest.raises(ParamError) as caught:
        policy("param patience = 10steps in 1..100\nrank request.age / patience", **params)
    assert str(caught.value) == message


class Counted:
    """Counts what generated code calls."""

    def __init__(self, monkeypatch) -> None:
        self.calls: list[str] = []
        for name, function in list(SCOPE.items()):
            monkeypatch.setitem(SCOPE, name, self._counting(name, function))

    def _counting(self, name, function):
        def counted(*args):
            self.calls.append(name)
            return function(*args)

        return counted


def test_hoisting_removes_work(monkeypatch):
    counted = Counted(monkeypatch)
    loaded = load(POLICIES / "lamps.lamps")
    assert loaded.policy is not None
    rules = compile_policy(loaded.policy, loaded.source).batch
    rows = table(100)
    hoisted = rules.hoist({k: rows[k] for k in rules.hoisted_keys}, ENGINE)
    kept = len(counted.calls)
    counted.calls.clear()
    rules.rank({k: rows[k] for k in rules.step_keys}, hoisted, ENGINE)
    assert kept > 30
    # Two costs depend on the engine's tokens; the rest is picked by the foreseen handling.
    assert sorted(counted.calls) == ["add", "cheapest", "multiply", "multiply", "pick"]
    assert rules.epoch_keys == {"cost.prefill", "cost.prefill_context", "cost.decode", "cost.swap"}


def test_what_only_the_engine_has_is_no_column(monkeypatch):
    counted = Counted(monkeypatch)
    rules = policy("rank request.waited * (engine.step_time * 1step / 1s + log(1 + engine.running))").batch
    rules.rank({"request.waited": np.ones(3), "request.arrival": np.ones(3)}, (), ENGINE)
    assert counted.calls == ["multiply"]


def test_a_key_that_only_the_engine_has():
    rules = policy("rank engine.running, highest request.arrival").batch
    rows = {"request.arrival": np.array([1.0, 2.0])}
    same, latest = rules.rank(rows, rules.hoist(rows, ENGINE), ENGINE)
    assert same.tolist() == [0.0, 0.0]
    assert latest.tolist() == [-1.0, -2.0]


def test_tools_by_name():
    rules = policy('rank match call.tool { "web_*": 1, "bash": 2, _: 3 }').batch
    names = ["bash", "web_x", "user", ""]
    assert _ranks(rules, names) == [2.0, 1.0, 3.0, 3.0]
    assert _ranks(rules, ["web_new", "bash"]) == [1.0, 2.0]  # a name met later


def _ranks(rules, names):
    codes = np.array([rules.texts.code(n) for n in names], np.int32)
    hoisted = rules.hoist({"call.tool": codes}, ENGINE)
    return rules.rank({"request.arrival": np.zeros(len(names))}, hoisted, ENGINE)[0].tolist()


LEAST = """rank request.arrival
on call least { preserve for call.duration then swap: 2 when call.chance > 0.5 discard: 3 swap: 1 }"""


@pytest.mark.parametrize(
    ("engine", "chance", "holds"),
    [
        ({}, 1.0, ((Handling.SWAP, None),)),
        ({"allow.swap": False}, 1.0, ((Handling.PRESERVE, 4.0),)),
        ({"allow.swap": False}, 0.0, ((Handling.DISCARD, None),)),
        ({"allow.swap": False, "allow.preserve": False}, 1.0, ((Handling.DISCARD, None),)),
    ],
)
def test_arms_that_cannot_be_carried_out(engine, chance, holds):
    verdict = policy(LEAST).scalar.on_call(row(call__chance=chance, call__duration=4.0), ENGINE | engine)
    assert verdict.holds == holds
    assert verdict.line == 4
    costs = [(label, cost) for label, cost, _ in verdict.costs]
    assert costs == [("preserve then swap", 2), ("discard", 3), ("swap", 1)]


@pytest.mark.parametrize(
    ("lasts", "holds"),
    [
        ("0s / 0", ((Handling.PRESERVE, 0.0), (Handling.DISCARD, None))),
        ("0s - 5s", ((Handling.PRESERVE, 0.0), (Handling.DISCARD, None))),
        ("5s / 0", ((Handling.PRESERVE, None),)),
        ("5s", ((Handling.PRESERVE, 5.0), (Handling.DISCARD, None))),
    ],
)
def test_how_long_a_handling_lasts(lasts, holds):
    rules = policy(f"rank request.arrival\non call preserve for {lasts} then discard").scalar
    assert rules.on_call(row(), ENGINE).holds == holds
    assert rules.on_call(row(), ENGINE | {"allow.preserve": False}).holds == ((Handling.DISCARD, None),)


def test_limits():
    rules = policy("rank request.arrival\nlimit pinned <= 60%").scalar
    assert rules.limit("pinned", ENGINE | {"engine.kv_total": 1000.0}) == 600.0
    assert rules.limit("running", ENGINE) is None
    tokens = policy("rank request.arrival\nlimit pinned <= engine.kv_total / 4").scalar
    assert tokens.limit("pinned", ENGINE | {"engine.kv_total": 1000.0}) == 250.0
    nothing = policy("rank request.arrival\nlimit pinned <= 0 * (1 / engine.paused)").scalar
    assert nothing.limit("pinned", ENGINE) == 0.0


def test_foreseen_handling():
    rules = policy("rank request.arrival\non call preserve").scalar
    assert rules.handling(row(call__chance=0.4), ENGINE) is Handling.NONE
    assert rules.handling(row(call__chance=0.5), ENGINE) is Handling.PRESERVE


def test_the_scalar_rules_need_no_numpy():
    code = (
        "import sys\nfrom policy_dsl.testing import run_file\n"
        f"assert all(r.passed for r in run_file({str(POLICIES / 'lamps.lamps')!r}))\nassert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_deep_policy():
    lets = "\n".join(f"let x{i} = x{i - 1} + x{i - 1} * request.waited / 1s" for i in range(1, 50))
    compiled = policy(f"let x0 = request.priority\n{lets}\nrank x49")
    values = row(request__priority=1.0, request__waited=0.5)
    wanted = compiled.scalar.rank(values, ENGINE)
    columns = {"request.priority": np.ones(2), "request.waited": np.full(2, 0.5), "request.arrival": np.zeros(2)}
    assert compiled.batch.rank(columns, (), ENGINE)[0].tolist() == [wanted[0]] * 2
    assert wanted[0] == pytest.approx(1.5**49)
