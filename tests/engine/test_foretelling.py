"""Forecasts on vLLM's own scheduler: a trained model's, in the background or in virtual time; whose bound counts."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from vllm.sampling_params import SamplingParams
from vllm.v1.request import Request

from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.virtual.hints import load_model, model_of, teller
from engine_adapter.virtual.simulate import simulate
from engine_adapter.vllm.record_lines import header
from engine_adapter.vllm.scheduler import LampsScheduler
from tests.engine.stepping import Clock, Stepper, vllm_config
from tests.runtime.made_models import model, sure
from tests.virtual.small import profile, simulation


def stepper(real_time: bool = False, **lamps: str) -> Stepper:
    clock = Clock()
    cls = LampsScheduler if real_time else timed(LampsScheduler, clock)
    return Stepper(make_scheduler(cls, vllm_config(33, 8, {"policy": "sjf"} | lamps)), clock)


def test_a_length_isnt_foretold_from_the_bound_of_a_replay() -> None:
    one = stepper()
    one.add("replayed", range(40), 3)
    assert one.scheduler.lamps.turns["replayed"].forecast.output.mean > 100
    bounded = Request("bounded", list(range(40)), SamplingParams(max_tokens=3), None, arrival_time=one.clock())
    one.scheduler.add_request(bounded)
    assert one.scheduler.lamps.turns["bounded"].forecast.output.mean == pytest.approx(3, rel=0.1)
    one.abort("bounded")
    one.run()


def test_in_an_engine_the_model_answers_from_its_own_thread(tmp_path: Path) -> None:
    sure(7).save(tmp_path / "m.npz")
    one = stepper(real_time=True, predictor=str(tmp_path / "m.npz"))
    lamps = one.scheduler.lamps
    assert [thread.name for thread in threading.enumerate()].count("lamps-predictor") == 1
    for n in range(20):
        one.add(f"r{n}", range(40), 3)
    end = time.monotonic() + 20
    while lamps.counters["predictor.told"] < 8 and time.monotonic() < end:
        one.step() if one.scheduler.has_unfinished_requests() else lamps.begin_step()
        if not one.scheduler.has_unfinished_requests():
            one.add(f"later{time.monotonic()}", range(40), 3)
    assert lamps.counters["predictor.told"] >= 8
    assert lamps.counters["predictor.failed"] == 0
    assert "a trained predictor" in header(one.scheduler).beyond
    one.run()
    one.scheduler.shutdown()
    assert "lamps-predictor" not in [thread.name for thread in threading.enumerate()]


def test_virtual_time_with_a_model_is_the_same_each_time_and_another_than_without(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    model().save(path)
    predict = f"learned:{path}"
    runs = [simulate(simulation("sjf", predict=predict, profile=profile(max_num_seqs=2))) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0].counters["runtime.predictor.told"] > 0
    assert runs[0].counters["runtime.predictor.failed"] == 0
    online = simulate(simulation("sjf", profile=profile(max_num_seqs=2)))
    assert "runtime.predictor.told" not in online.counters
    assert online.result.sessions != runs[0].result.sessions


def test_a_model_that_cant_be_used_stops_a_simulation_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    assert model_of("learned") == tmp_path / "predictor.npz"
    assert model_of("online") is None and load_model("oracle") is None
    with pytest.raises(ValueError, match=r"predictions 'learned': .*predictor\.npz can't be read"):
        teller("learned", 1)
