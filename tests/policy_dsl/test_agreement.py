"""The reference interpreter, scalar code and batch code give the same answers, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from policy_dsl import ir
from policy_dsl.catalogue import signal_of
from policy_dsl.codegen.lower import postorder
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.interpret import decide, evaluate
from policy_dsl.types import BOOL
from policy_dsl.verify import verify
from tests.policy_dsl import strategies as make

# Shrinking compiles thousands of programs: for a smaller example, take the phases out for a while.
_SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}
_KEYS = (*make.QUANTITIES, *make.FLAGS, *make.INSTANTS, "call.tool")
_ROW_KEYS = tuple(k for k in _KEYS if signal_of(k).per_row)
_ENGINE_KEYS = tuple(k for k in _KEYS if not signal_of(k).per_row)

seeds = st.integers(0, 2**32 - 1)


def same(a: object, b: object) -> bool:
    """Equal; NaN equals NaN. -0.0 equals 0.0 as everywhere in the language."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def columns(compiled: CompiledPolicy, given_rows: list[dict]) -> dict[str, np.ndarray]:
    code = compiled.batch.texts.code
    table = {k: [r[k] for r in given_rows] for k in _ROW_KEYS}
    table["call.tool"] = [code(t) for t in table["call.tool"]]
    dtypes = {"call.tool": np.int32, "call.duration.known": np.bool_}
    return {k: np.array(v, dtypes.get(k, np.float64)) for k, v in table.items()}


def expected(keys: tuple[ir.Key, ...], row: dict, engine: dict) -> tuple:
    return tuple(signed(k, evaluate(k.expr, row, engine, make.PARAMS)) for k in keys)


def signed(key: ir.Key, value):
    if not key.highest:
        return value
    return not value if key.expr.type == BOOL else -value


def check(policy: ir.Policy, seed: int) -> None:
    verify(policy)
    given_rows = make.rows_of(_ROW_KEYS, 16, seed)
    engine = make.rows_of(_ENGINE_KEYS, 1, seed + 1)[0]
    compiled = compile_policy(policy, make.SOURCE)
    scalar, batch = compiled.scalar, compiled.batch
    for row in given_rows:
        assert same(scalar.rank(row, engine), expected(policy.rank, row, engine))
        assert same(float(scalar.handling(row, engine)), evaluate(policy.handling, row, engine, make.PARAMS))
        verdict = decide(policy.on_call, row, engine, make.PARAMS)
        found = scalar.on_call(row, engine)
        assert (found.holds, found.line) == (verdict.holds, verdict.line)
        assert same(found.costs, verdict.costs)
        if policy.promote is not None:
            assert scalar.promote(row, engine) == evaluate(policy.promote.when, row, engine, make.PARAMS)
            assert same(scalar.promote_by(row, engine), expected(policy.promote.by, row, engine))

    table = columns(compiled, given_rows)
    hoisted = batch.hoist({k: table[k] for k in batch.hoisted_keys | {"request.arrival"}}, engine)
    steps = {k: table[k] for k in batch.step_keys}
    ranks = [tuple(c.tolist()) for c in batch.rank(steps, hoisted, engine)]
    assert same(tuple(zip(*ranks, strict=True)), tuple(scalar.rank(r, engine) for r in given_rows))
    promoted = batch.promoted(steps, hoisted, engine)
    assert (promoted is None) == (policy.promote is None)
    if promoted is not None:
        assert promoted.tolist() == [scalar.promote(r, engine) for r in given_rows]
        by = [tuple(c.tolist()) for c in batch.promoted_by(steps, hoisted, engine)]
        if by:
            assert same(tuple(zip(*by, strict=True)), tuple(scalar.promote_by(r, engine) for r in given_rows))


@settings(max_examples=250, **_SETTINGS)
@given(make.policies(), seeds)
def test_the_readings_agree(program, seed):
    check(program.policy, seed)


@pytest.mark.slow
@settings(max_examples=5_000, **_SETTINGS)
@given(make.policies(), seeds)
def test_the_readings_agree_on_many(program, seed):
    check(program.policy, seed)


@settings(max_examples=50, **_SETTINGS)
@given(make.pools())
def test_random_graphs_have_every_kind_of_node_in_order(pool):
    order = postorder([*pool.numbers, *pool.flags])
    place = {id(n): i for i, n in enumerate(order)}
    assert len(place) == len(order)
    assert all(place[id(c)] < place[id(n)] for n in order for c in ir.children(n))
