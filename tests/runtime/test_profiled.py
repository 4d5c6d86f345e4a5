"""An engine begins with the profile that is of it, never silently with another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_adapter.profiling.document import as_yaml
from engine_adapter.runtime.costs import CostModel, StepSample
from engine_adapter.runtime.profiled import KEPT, coefficients, start
from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.provenance import Identity
from tests.virtual.small import SMALL

WORDS = {"model": "tiny", "device": "a processor", "dtype": "bfloat16"}
STEP = {
    "step_s": 0.01, "prefill_token_s": 2e-4, "prefill_context_s": 1e-8, "decode_seq_s": 3e-4, "context_token_s": 1e-6
}  # fmt: skip


def written(path: Path, words: dict[str, str] | None) -> Path:
    engine = None if words is None else Identity(**words)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_yaml(Profile.model_validate(SMALL | {"name": "mine", "step": STEP, "engine": engine})))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path / "cache"))


def test_the_one_that_is_kept_for_this_engine_is_used() -> None:
    assert start(KEPT, WORDS).profile is None and start(KEPT, WORDS).said == ""
    written(Identity(**WORDS).kept_at(), WORDS)
    found = start(KEPT, WORDS)
    assert found.profile is not None and not found.odd
    assert found.said == "step costs begin with the profile mine"
    assert start(KEPT, WORDS | {"dtype": "float32"}).profile is None


def test_one_of_another_engine_is_used_only_where_it_is_named(tmp_path: Path) -> None:
    other = WORDS | {"device": "another"}
    written(Identity(**WORDS).kept_at(), other)
    kept = start(KEPT, WORDS)
    assert kept.profile is None and kept.odd and "device: another, not a processor" in kept.said
    named = start(str(written(tmp_path / "mine.yaml", other)), WORDS)
    assert named.profile is not None and named.odd and "of ANOTHER engine" in named.said
    unknown = start(str(written(tmp_path / "mine.yaml", None)), WORDS)
    assert unknown.profile is not None and unknown.odd and "doesn't say of which" in unknown.said


def test_a_broken_one_costs_nothing_but_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: [")
    found = start(str(tmp_path / "mine.yaml"), WORDS)
    assert found.profile is None and found.odd and "no profile is used" in found.said
    model = CostModel()
    found.begin(model)
    assert model.costs == CostModel().costs


def test_costs_are_the_profiles_from_the_first_step_on(tmp_path: Path) -> None:
    found = start(str(written(tmp_path / "mine.yaml", WORDS)), WORDS)
    assert found.profile is not None
    model = CostModel()
    found.begin(model)
    assert model.costs.prefill_s_per_tok == 2e-4 and model.costs.prefill_context_s_per_tok2 == 1e-8
    for sample in (StepSample(300, 9e4, 0, 0, 0.0), StepSample(0, 0.0, 16, 8000, 0.0)):
        own = found.profile.step.of(
            sample.prefill_tokens, sample.prefill_context_area, sample.decode_seqs, sample.context_tokens
        )
        assert model.predict(sample) == pytest.approx(own)
    # Steps of one kind say nothing of the other: it is not rescaled by them.
    for _ in range(40):
        model.observe(StepSample(0, 0.0, 1, 200, 0.02))
    assert model.predict(StepSample(2000, 2e6, 0, 0, 0.0)) == pytest.approx(0.01 + 0.4 + 0.02, rel=0.1)


def test_another_model_begins_as_this_one_did(tmp_path: Path) -> None:
    found = start(str(written(tmp_path / "mine.yaml", WORDS)), WORDS)
    assert found.profile is not None
    model, again = CostModel(), CostModel()
    found.begin(model)
    again.resume(model.beginning())
    for n in range(200):
        sample = StepSample(n % 3 * 50, n % 3 * 900.0, 1 + n % 7, 100 * n, 0.01 + 1e-4 * n)
        model.observe(sample)
        again.observe(sample)
    assert again.state() == model.state() and again.costs == model.costs
    assert coefficients(found.profile).base_s == 0.01
