"""What the engine is told: nothing that a server wouldn't see, the truth, or the truth blurred."""

from __future__ import annotations

import statistics

import pytest

from engine_adapter.virtual.hints import teller
from tests.virtual.small import session

TWO = session("s", (100, 20), (50, 30), gap_s=4.0)


def test_online_tells_only_that_tools_are_offered() -> None:
    assert teller("online", 1)(TWO, 0, "s/0") == {"lamps_turn": "s/0", "lamps_may_call": 1}
    assert teller("online", 1)(session("alone", (10, 10)), 0, "alone/0") == {}


def test_the_oracle_tells_the_truth() -> None:
    told = teller("oracle", 1)(TWO, 0, "s/0")
    assert told["lamps_output_tokens"] == 20
    assert told["lamps_call_duration_s"] == 4.0
    assert told["lamps_call_response_tokens"] == 50
    assert told["lamps_output_after_tokens"] == 30


def test_noise_has_its_size_and_no_bias() -> None:
    tell = teller("noise:0.3", 1)
    ratios = [float(tell(TWO, 0, f"s{n}/0")["lamps_call_duration_s"]) / 4.0 for n in range(4000)]
    assert statistics.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert statistics.stdev(ratios) == pytest.approx(0.3, abs=0.02)
    assert tell(TWO, 0, "x") == teller("noise:30%", 1)(TWO, 0, "x") != teller("noise:0.3", 2)(TWO, 0, "x")
    assert teller("noise:0", 1)(TWO, 0, "x") == teller("oracle", 1)(TWO, 0, "x")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("orcale", "did you mean oracle"),
        ("noise", "noise needs a size"),
        ("noise:-1", "noise needs a size"),
        ("noise:nan", "noise needs a size"),
        ("oracle:0.3", "there are no predictions 'oracle:0.3'"),
        ("", "online, learned, tool, oracle, or noise"),
    ],
)
def test_what_is_no_prediction_is_refused_in_a_sentence(word: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        teller(word, 1)
