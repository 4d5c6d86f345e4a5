"""Training: the same for the same seed, numpy and torch agree, and what can be learned is learned."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from engine_adapter.runtime.length_model import BUCKETS, About
from engine_adapter.runtime.past import NEW, USER, Case
from engine_adapter.training import fit as module
from engine_adapter.training.fit import fit
from engine_adapter.training.material import Material, MaterialError
from engine_adapter.training.samples import Sample
from engine_adapter.training.scores import class_means, parsed, score, scores
from engine_adapter.training.training import judge, train
from engine_adapter.workload.trace import load_trace
from policy_dsl.prediction import Dist
from tests.virtual.small import trace

UNKNOWN = Dist.point(50.0, known=False)


def sample(output: int, prompt: int = 100, tokens: tuple[int, ...] = (), tool: str = USER) -> Sample:
    return Sample(Case(NEW.begun(prompt), may_call=True, tokens=tokens), output, output, tool, UNKNOWN, 0.5)


def told_by_tokens(count: int, seed: int) -> list[Sample]:
    """The last token says how long the answer is and what it calls; nothing else tells them apart."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        long = chance.random() < 0.5
        tokens = (*(chance.randrange(1000, 2000) for _ in range(12)), 7 if long else 9)
        length = round(chance.lognormvariate(6.0 if long else 2.0, 0.2))
        made.append(sample(max(length, 1), tokens=tokens, tool="paint" if long else "add"))
    return made


def about(tokens: bool = False, seed: int = 0) -> About:
    return About("made up", tokens, 1, 1, seed, 0.2)


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EPOCHS", 30)


def test_it_learns_from_the_prompts_tokens() -> None:
    model = fit(told_by_tokens(1200, 1), told_by_tokens(200, 2), about(tokens=True))
    test = told_by_tokens(200, 3)
    found = scores(model, told_by_tokens(1200, 1), test, 200)
    learned, rival = found.lengths["learned"], found.lengths["class mean"]
    assert learned.mae < 0.4 * rival.mae
    assert learned.ordered > 0.72  # pairs of a kind are in no order: 0.75 can be had
    assert rival.ordered < 0.6
    assert 0.75 <= learned.within["p90"] <= 1.0
    assert found.tools is not None and found.tools > 0.95
    blind = model.foretell([test[0].case._replace(tokens=())])[0]
    assert 9 < blind.output.mean < 420  # without tokens it may be either


def test_the_same_seed_gives_the_same_model() -> None:
    one, other = (fit(told_by_tokens(200, 1), told_by_tokens(50, 2), about(True)) for _ in range(2))
    assert one.revision == other.revision
    assert fit(told_by_tokens(200, 1), told_by_tokens(50, 2), about(True, seed=1)).revision != one.revision


def test_numpy_answers_what_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[module._Net] = []
    descend = module._descend
    monkeypatch.setattr(module, "_descend", lambda net, *rest: (kept.append(net), descend(net, *rest)))
    for tokens in (False, True):
        samples = told_by_tokens(150, 4)
        model = fit(samples, told_by_tokens(50, 5), about(tokens))
        given = module._set(samples, model.tools, model.arrays["shift"], model.arrays["scale"])
        with torch.no_grad():
            torchs = [torch.softmax(part, 1).numpy() for part in kept[-1].eval()(given)]
        for mine, theirs in zip(model.chances([one.case for one in samples]), torchs, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_training_leaves_torchs_threads_alone() -> None:
    before = torch.get_num_threads()
    fit(told_by_tokens(50, 1), told_by_tokens(20, 2), about())
    assert torch.get_num_threads() == before


def test_softened_lengths_are_chances() -> None:
    found = module._soft([1, 500, None, 10**9])
    assert found.shape == (4, BUCKETS)
    np.testing.assert_allclose(found.sum(axis=1), [1, 1, 0, 1])


def test_rivals_and_orders() -> None:
    train_on = [sample(10, prompt=100), sample(30, prompt=100), sample(400, prompt=4000)]
    mean = class_means(train_on)
    assert (mean(sample(0, prompt=120)), mean(sample(0, prompt=4000))) == (20.0, 400.0)
    assert mean(sample(0, prompt=9)) == pytest.approx(440 / 3)
    assert class_means([])(sample(5)) == 0.0
    actual = np.array([1.0, 2.0, 3.0, 4.0])
    assert score(actual, actual * 10).tau == pytest.approx(1.0)
    assert score(actual, -actual).ordered == 0.0
    alike = score(actual, np.ones(4))
    assert np.isnan(alike.tau) and alike.ordered == 0.5
    assert score(actual, actual + 2).mae == 2.0


def test_what_is_judged_can_be_kept_and_is_judged_the_same_again() -> None:
    sessions = load_trace("augmented-single").sessions[:120]
    material = Material("some", "trace", sessions)
    found = train(material, 0.3, 5)
    assert parsed(found.model.about.scores) == found.scores
    assert judge(found.model, material) == found.scores
    assert found.scores.turns == sum(len(session.turns) for session in found.split.test)
    assert parsed({}) is None


def test_too_few_sessions_are_refused() -> None:
    with pytest.raises(MaterialError, match="has 19 sessions: at least 20 are needed"):
        train(Material("few", "trace", trace(19).sessions), 0.2, 0)
