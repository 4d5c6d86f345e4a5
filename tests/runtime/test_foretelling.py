"""A trained model in an engine: asked in the background, believed while it is better, missed by nobody if it fails."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine_adapter.runtime.activation import Settings, activate
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.engine import Held
from engine_adapter.runtime.foretelling import BATCH, MOST_ASKED, MOST_TOLD, Foretelling, InBackground
from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.frame import _predictor
from engine_adapter.runtime.length_model import LengthModel
from engine_adapter.runtime.past import Case
from engine_adapter.runtime.requests import Arrival, Ended
from engine_adapter.runtime.trust import FEW, Trust
from tests.runtime.made_models import case, model, sure
from tests.runtime.test_core import World


class Slow:
    """A model that answers when it is let, and notes how many it was asked about at once."""

    def __init__(self, inner: LengthModel, fails: bool = False) -> None:
        self.about, self.revision = inner.about, inner.revision
        self._inner, self._fails = inner, fails
        self.go = threading.Event()
        self.batches: list[int] = []

    def foretell(self, cases: Sequence[Case]) -> list[Foretold]:
        self.go.wait(10)
        self.batches.append(len(cases))
        if self._fails:
            raise RuntimeError("no weights")
        return self._inner.foretell(cases)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def runtime_with(foretells: Any, in_background: bool = False) -> tuple[Runtime, list[str]]:
    runtime = activate(Settings(policy="sjf"), World().engine(), "0")
    said: list[str] = []
    runtime.expecting.foretelling = Foretelling(foretells, in_background, runtime.counters, said.append)
    return runtime, said


def arrive(runtime: Runtime, name: str, session: str | None = None, **hints: Any) -> None:
    runtime.arrive(Arrival(name, [1] * 100, None, 0.0, session, hints, [], 0))
    runtime.enqueue(name)


def finish(runtime: Runtime, name: str, output: int) -> None:
    runtime.dequeue(name)
    runtime.admitted({name: 0})
    runtime.ended(Ended(name, output, 100 + output, False, []), hold=lambda: Held((name,), 100))


def test_at_once_the_row_is_ranked_by_what_the_model_says() -> None:
    runtime, _ = runtime_with(sure(7))
    arrive(runtime, "a")
    assert runtime.turns["a"].forecast.output.mean == pytest.approx(7, abs=0.1)
    assert runtime.counters["predictor.told"] == 1


def test_a_waiting_row_is_ranked_anew_when_the_model_has_answered() -> None:
    slow = Slow(sure(7))
    runtime, _ = runtime_with(slow, in_background=True)
    arrive(runtime, "a")
    arrive(runtime, "b", lamps_output_tokens=60)
    before = runtime.turns["a"].forecast.output.mean
    assert before > 60
    assert runtime.first(2) == ["b", "a"]
    slow.go.set()
    until(lambda: sum(slow.batches) == 2)
    until(lambda: (runtime.begin_step(), runtime.counters["predictor.told"] == 2)[1])
    assert runtime.turns["a"].forecast.output.mean == pytest.approx(7, abs=0.1)
    assert runtime.turns["b"].forecast.output.mean == 60  # a hint is a fact
    assert runtime.first(2) == ["a", "b"]
    runtime.close()


def test_one_that_is_gone_when_the_answer_comes_is_left_alone() -> None:
    slow = Slow(sure(7))
    runtime, _ = runtime_with(slow, in_background=True)
    arrive(runtime, "a")
    finish(runtime, "a", 20)
    slow.go.set()
    until(lambda: bool(slow.batches))
    for _ in range(20):
        runtime.begin_step()
        time.sleep(0.001)
    assert runtime.counters["predictor.told"] == 0
    runtime.close()


def test_what_has_generated_already_is_taken_off() -> None:
    runtime, _ = runtime_with(sure(1000))
    arrive(runtime, "a")
    turn = runtime.turns["a"]
    foretold = turn.foretold
    assert foretold is not None
    turn.progress(turn.prompt_tokens + 400)
    turn.foresee_with(foretold)
    assert turn.forecast.output.mean == pytest.approx(foretold.output.remaining(400.0).mean)


def test_arrivals_gather_to_batches_and_a_step_takes_up_a_few() -> None:
    slow = Slow(model())
    runtime, _ = runtime_with(slow, in_background=True)
    for n in range(100):
        arrive(runtime, f"r{n}")
    slow.go.set()
    until(lambda: sum(slow.batches) == 100)
    assert max(slow.batches) == BATCH
    assert len(slow.batches) <= 5
    until(lambda: len(runtime.expecting.foretelling._asker._told) == 100)  # type: ignore[union-attr]
    runtime.begin_step()
    assert runtime.counters["predictor.told"] == MOST_TOLD
    for _ in range(100 // MOST_TOLD):
        runtime.begin_step()
    assert runtime.counters["predictor.told"] == 100
    runtime.close()


def test_too_many_wait_for_no_answer() -> None:
    slow = Slow(model())
    asker = InBackground(slow, lambda turns, problem: None)  # type: ignore[arg-type]
    taken = sum(asker.ask(str(n), case()) for n in range(MOST_ASKED + 500))
    assert MOST_ASKED <= taken <= MOST_ASKED + BATCH
    slow.go.set()
    asker.close()


def test_a_model_that_fails_is_counted_and_told_once_and_the_online_forecast_holds() -> None:
    slow = Slow(sure(7), fails=True)
    slow.go.set()
    runtime, said = runtime_with(slow, in_background=True)
    for n in range(3):
        arrive(runtime, f"r{n}")
        until(lambda so_far=n: runtime.counters["predictor.failed"] == so_far + 1)  # type: ignore[misc]
    runtime.begin_step()
    assert runtime.turns["r0"].forecast.output.mean > 60
    assert said == ["the trained predictor failed, the online forecasts hold: RuntimeError: no weights"]
    runtime.close()


def test_a_model_is_set_aside_while_the_online_statistics_foretell_better_and_taken_again() -> None:
    runtime, said = runtime_with(sure(2000))
    for n in range(int(FEW) + 20):
        arrive(runtime, f"r{n}", f"s{n}")
        finish(runtime, f"r{n}", 30)
    assert not runtime.expecting.foretelling._trust.deserved  # type: ignore[union-attr]
    assert len(said) == 1 and "is set aside" in said[0]
    arrive(runtime, "next")
    assert runtime.turns["next"].forecast.output.mean < 60
    assert _predictor(runtime)["believed"] is False
    for n in range(1500):
        arrive(runtime, f"t{n}", f"t{n}")
        finish(runtime, f"t{n}", (2000, 2000, 2000, 20_000)[n % 4])
    assert runtime.expecting.foretelling._trust.deserved  # type: ignore[union-attr]
    assert len(said) == 1


def test_trust_waits_for_a_few_and_doesnt_flutter() -> None:
    trust = Trust()
    changes = [trust.compare(200.0, 100.0, 100.0) for _ in range(100)]
    assert changes.count(True) == 1
    assert changes.index(True) >= FEW - 4
    alike = Trust()
    assert not any(alike.compare(100.0 + n % 3, 101.0, 90.0) for n in range(500))


@pytest.mark.parametrize("content", [None, b"rubbish"])
def test_a_file_that_cant_be_used_costs_its_forecasts_alone(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    runtime = activate(Settings(policy="sjf", predictor=str(path)), World().engine(), "0")
    arrive(runtime, "a")
    assert runtime.expecting.foretelling is None
    assert runtime.counters["predictor.unusable"] == 1
    assert str(path) in _predictor(runtime)["reason"]
    assert [record.message for record in caplog.records if "foretold by what is learned online" in record.message]


def test_a_file_is_taken_up(tmp_path: Path) -> None:
    sure(7).save(tmp_path / "model.npz")
    runtime = activate(Settings(policy="sjf", predictor=str(tmp_path / "model.npz")), World().engine(), "0")
    arrive(runtime, "a")
    assert runtime.turns["a"].forecast.output.mean == pytest.approx(7, abs=0.1)
    assert _predictor(runtime) | {"error": 0} == {
        "name": "learned", "revision": sure(7).revision, "source": "made up", "believed": True, "error": 0
    }  # fmt: skip


def test_the_call_is_the_models_too() -> None:
    runtime, _ = runtime_with(sure(7, ("search",), ends_in=3))
    arrive(runtime, "a", lamps_may_call=1)
    assert runtime.turns["a"].forecast.tool == "search"
    assert runtime.turns["a"].forecast.chance > 0.99
    arrive(runtime, "b")
    assert runtime.turns["b"].forecast.chance == 0.0  # no tools are offered
    arrive(runtime, "c", lamps_call_tool="python")
    assert runtime.turns["c"].forecast.tool == "python"


def test_counters_are_there_before_the_thread_is() -> None:
    counters: Counter[str] = Counter()
    Foretelling(model(), False, counters, print)
    assert set(counters) == {"predictor.asked", "predictor.told", "predictor.skipped", "predictor.failed"}
