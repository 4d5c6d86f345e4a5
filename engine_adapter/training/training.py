"""A model from recorded sessions, judged by those it has never seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine_adapter.runtime.length_model import About, LengthModel
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.training.material import Material, MaterialError
from engine_adapter.training.samples import Sample, Split, lived, split
from engine_adapter.training.scores import Scores, scores

# Fewer sessions can't be told from chance.
FEWEST_SESSIONS = 20


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, what it was trained on, and how it fares on `split.test`."""

    model: LengthModel
    split: Split
    scores: Scores


def train(material: Material, test: float, seed: int, progress: Callable[[int, float], None] | None = None) -> Trained:
    """Train on a part of *material*. *test*: the share of its sessions that it is judged by.

    Needs torch: raises ImportError where there is none, MaterialError where there are too few sessions.
    """
    from engine_adapter.training.fit import fit

    parts, samples = _parts(material, test, seed)
    about = About(
        source=material.name,
        tokens=bool(material.tokens),
        sessions=len(parts.train),
        turns=len(samples.train),
        seed=seed,
        test=test,
    )
    model = fit(samples.train, samples.valid, about, progress)
    found = scores(model, samples.train, samples.test, len(parts.test))
    scored = LengthModel(replace(about, scores=found.document()), model.tools, model.arrays)
    return Trained(scored, parts, found)


def judge(model: LengthModel, material: Material) -> Scores:
    """How *model* fares on a part of *material*; of what it was trained on, the part that it has not seen.

    Raises MaterialError where there are too few sessions.
    """
    parts, samples = _parts(material, model.about.test, model.about.seed)
    return scores(model, samples.train, samples.test, len(parts.test))


@dataclass(frozen=True, slots=True)
class _Samples:
    train: list[Sample]
    valid: list[Sample]
    test: list[Sample]


def _parts(material: Material, test: float, seed: int) -> tuple[Split, _Samples]:
    """The parts of *material*, lived through in turn: the online statistics have seen the training's too."""
    if len(material.sessions) < FEWEST_SESSIONS:
        raise MaterialError(
            f"{material.name} has {len(material.sessions)} sessions: at least {FEWEST_SESSIONS} are needed to learn"
            " from some and be judged by others"
        )
    parts, online = split(material.sessions, test, seed), Predictor()
    samples = _Samples(*(lived(material, part, online, seed) for part in (parts.train, parts.valid, parts.test)))
    if not samples.train or not samples.valid or not samples.test:
        raise MaterialError(f"{material.name} can't be split: too many of its sessions belong together")
    return parts, samples
