"""The cost model finds the engine it is shown, whatever its speed, pauses included."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from engine_adapter.runtime.costs import FEW_STEPS, CostModel, Costs, StepSample

# base, prefill, prefill_context, decode, context, request: a GPU; three CPUs, one of them absurdly slow, and one
# whose arithmetic is nothing beside what a request takes (benchmarks/results/fidelity-profile.yaml).
GPU = (0.015, 4e-5, 1e-9, 1e-4, 2e-8, 0.0)
CPU = (0.002, 1.6e-3, 1e-7, 5e-3, 1e-6, 0.0)
SMALL = (0.0003, 1e-5, 0.0, 1e-5, 0.0, 0.0)
SLOW = (0.5, 1e-2, 0.0, 0.05, 0.0, 0.0)
DEAR_REQUESTS = (0.0026, 2.07e-6, 7e-9, 9.1e-5, 2.6e-8, 0.00195)


def true_time(engine: tuple[float, ...], step: StepSample) -> float:
    tokens = (step.prefill_tokens, step.prefill_context_area, step.decode_seqs, step.context_tokens)
    return sum(c * x for c, x in zip(engine, (1.0, *tokens, step.prefill_seqs), strict=True))


def steps(engine: tuple[float, ...], count: int, seed: int = 0) -> Iterator[StepSample]:
    """Mixed steps of 5 % noise; the first, and one in 200, has a pause of 5 s in it."""
    rng = random.Random(seed)
    for i in range(count):
        n = rng.randint(1, 64)
        p = rng.choice([0, 0, 0, rng.randint(1, 512)])
        area, context = p * rng.randint(0, 1500), n * rng.randint(100, 800)
        step = StepSample(p, area, n, context, 0.0, rng.randint(1, 1 + p // 128) if p else 0)
        pause = 5.0 if i == 0 or rng.random() < 0.005 else 0.0
        yield replace(step, step_s=true_time(engine, step) * rng.lognormvariate(0, 0.05) + pause)


def fitted(engine: tuple[float, ...], count: int, model: CostModel | None = None) -> CostModel:
    model = model or CostModel()
    for sample in steps(engine, count):
        model.observe(sample)
    return model


@pytest.mark.parametrize("engine", [GPU, CPU, SMALL, SLOW, DEAR_REQUESTS], ids=["gpu", "cpu", "small", "slow", "dear"])
def test_it_predicts_steps_of_any_engine(engine: tuple[float, ...]) -> None:
    model = fitted(engine, 1500)
    errors = sorted(abs(model.predict(s) / true_time(engine, s) - 1) for s in steps(engine, 400, seed=9))
    assert errors[200] < 0.03
    assert errors[380] < 0.10
    assert model.costs.prefill_s_per_tok == pytest.approx(engine[1], rel=0.35)


def test_a_few_steps_are_enough_to_be_near() -> None:
    model = fitted(CPU, 60)
    assert model.costs.decode_s_per_tok == pytest.approx(0.2 + 0.002 + 32 * 0.005, rel=0.5)
    assert 4e-4 < model.costs.prefill_s_per_tok < 3e-3


def test_no_coefficient_is_ever_negative() -> None:
    model = CostModel()
    for sample in steps(SMALL, 800):
        model.observe(sample)
        assert min(model._fit) >= 0.0


def test_a_long_pause_leaves_it_as_it_was() -> None:
    model = fitted(GPU, 500)
    before = model.state()
    model.observe(StepSample(0, 0, 8, 4000, 60.0))
    assert model.state()["decode_s_per_tok"] == pytest.approx(before["decode_s_per_tok"], rel=0.1)
    assert model.step_time_s < 0.1


def test_another_regime_is_learned_within_a_hundred_steps() -> None:
    model = fitted(SLOW, 100, fitted(SMALL, 500))
    assert model.costs.decode_s_per_tok > 0.3


def test_what_prefill_costs_outlasts_a_long_decode() -> None:
    model = fitted(GPU, 800)
    for _ in range(20_000):
        model.observe(StepSample(0, 0, 16, 8000, 0.0168))
    assert model.state()["prefill_s_per_tok"] == pytest.approx(4e-5, rel=0.25)
    assert model.costs.decode_s_per_tok == pytest.approx(0.0168, rel=0.1)


def test_the_cost_of_swapping_is_what_transfers_took() -> None:
    """Ten slow transfers long ago, forty fast ones since."""
    model = fitted(GPU, 200)
    for seconds in [*[0.1] * 10, *[0.001] * 40]:
        model.observe_transfer(1000, seconds)
    for nothing in (0.0, math.nan, math.inf):
        model.observe_transfer(1000, nothing)
    model.observe_transfer(0, 1.0)
    before = model.epoch
    assert model.costs.swap_s_per_tok == Costs().swap_s_per_tok
    fitted(GPU, 200, model)
    assert model.epoch > before
    slow, fast = sum(0.95**n for n in range(40, 50)), sum(0.95**n for n in range(40))
    assert model.costs.swap_s_per_tok == pytest.approx((1e-4 * slow + 1e-6 * fast) / (slow + fast))
    assert resumed(model.state()).costs.swap_s_per_tok == model.costs.swap_s_per_tok


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_ignored(seconds: float) -> None:
    model = CostModel()
    model.observe(StepSample(8, 0, 8, 800, seconds))
    model.observe(StepSample(0, 0, 0, 0, 1.0))
    assert (model.steps, model.costs) == (0, Costs())


def test_an_epoch_means_that_a_cost_moved() -> None:
    model, seen = CostModel(), {0: Costs()}
    last = 0
    for step, sample in enumerate(steps(GPU, 1000)):
        model.observe(sample)
        if model.epoch in seen:
            assert model.costs is seen[model.epoch] or model.epoch == 0
            continue
        old, new = seen[model.epoch - 1], model.costs
        changes = [
            abs(a - b) / a
            for a, b in ((old.prefill_s_per_tok, new.prefill_s_per_tok), (old.decode_s_per_tok, new.decode_s_per_tok))
        ]
        assert max(changes) > 0.1 or old.prefill_context_s_per_tok2 != new.prefill_context_s_per_tok2
        assert step - last >= FEW_STEPS or last == 0
        seen[model.epoch], last = new, step
    assert 0 < model.epoch < 15


def test_a_steady_engine_publishes_once_and_rests() -> None:
    model = CostModel()
    for _ in range(500):
        model.observe(StepSample(0, 0, 16, 8000, 0.0168))
    settled = model.epoch
    for _ in range(2000):
        model.observe(StepSample(0, 0, 16, 8000, 0.0168))
    assert model.epoch == settled


def resumed(state: Mapping[str, float]) -> CostModel:
    again = fitted(GPU, 300)
    again.resume(state)
    return again


def test_a_model_that_resumes_keeps_nothing_of_its_own() -> None:
    state = fitted(CPU, 500).state()
    fresh = CostModel()
    fresh.resume(state)
    assert vars(resumed(state)) == vars(fresh)


def test_state_comes_back() -> None:
    model = fitted(CPU, 500)
    again = resumed(model.state())
    assert again.costs.prefill_s_per_tok == pytest.approx(model.state()["prefill_s_per_tok"])
    assert again.step_time_s == pytest.approx(model.state()["decode_s_per_tok"])
    assert resumed({"prefill_s_per_tok": math.nan, "decode_s_per_tok": -1.0}).costs == Costs()
