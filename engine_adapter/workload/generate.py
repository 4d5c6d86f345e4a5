"""Made-up sessions of InferCept's six classes of augmented requests, as many as wanted.

How many calls a session makes and how long they take is InferCept's Table 1 (arXiv 2402.01869); its second column,
headed variance, is read as a standard deviation, as the recorded calls have it. How long prompts, answers and responses
are, InferCept doesn't publish: these are measured on the 397 sessions of `augmented-multi`, whose texts are InferCept's
(tokens of GPT-2's vocabulary, which is GPT-J's). Those sessions were cut to a context of 2,048 tokens, these aren't.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from engine_adapter.workload.trace import SessionTrace, Trace, TraceError, Turn


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One class of sessions. Lengths in tokens."""

    duration_s: Moments
    """Of one call. Lognormal."""
    calls: Moments
    """Per session; at least 1. One more than a rounded gamma-distributed number."""
    prompt: Moments
    """Of the first turn. This and the next two: at least 1, one more than a rounded lognormal number."""
    output: Moments
    """Of each turn."""
    response: Moments
    """What a call adds to the context."""


CLASSES = {
    # GSM8K with a calculator
    "math": Augmentation(
        Moments(9e-5, 6e-5), Moments(3.75, 1.3), Moments(405, 18), Moments(125, 139), Moments(21, 5)
    ),
    # HotpotQA with Wikipedia
    "qa": Augmentation(
        Moments(0.69, 0.17), Moments(2.52, 1.73), Moments(934, 7), Moments(183, 137), Moments(57, 8)
    ),
    # ALFWorld, a virtual environment
    "ve": Augmentation(
        Moments(0.09, 0.014), Moments(28.18, 15.2), Moments(1973, 0), Moments(4, 0), Moments(10, 11)
    ),
    # ShareGPT: the call is the person's turn
    "chatbot": Augmentation(
        Moments(28.6, 15.6), Moments(4.45, 1.96), Moments(108, 263), Moments(114, 158), Moments(40, 112)
    ),
    # Stable Diffusion, called by a chatbot
    "image": Augmentation(
        Moments(20.03, 7.8), Moments(6.91, 3.93), Moments(108, 263), Moments(33, 28), Moments(24, 81)
    ),
    # Bark, text to speech
    "tts": Augmentation(
        Moments(17.24, 7.6), Moments(6.91, 3.93), Moments(108, 263), Moments(33, 28), Moments(24, 81)
    ),
}  # fmt: skip

# Sessions of each class in `augmented-multi`.
MIX: Mapping[str, float] = {"math": 98, "qa": 50, "ve": 54, "chatbot": 65, "image": 65, "tts": 65}

# Rounding to the whole number below or above, by chance, adds about this much to the variance.
_ROUNDING = 1 / 6


def generate(classes: Mapping[str, float], sessions: int, seed: int) -> Trace:
    """So many sessions, drawn from *classes* by their weights. More sessions of a seed begin with the same ones.

    A session of n calls has n + 1 turns; each repeats the turn before with its answer and adds the call's response.
    Raises TraceError for a class that isn't one, weights that aren't, or no session.
    """
    _check(classes, sessions)
    names, weights = list(classes), list(classes.values())
    drawn = random.Random(f"{seed}/classes").choices(names, weights, k=sessions)
    made = (_session(number, name, seed) for number, name in enumerate(drawn))
    return Trace(f"generated-{seed}", tuple(made))


def _check(classes: Mapping[str, float], sessions: int) -> None:
    for name, weight in classes.items():
        if name not in CLASSES:
            raise TraceError(f"no class is named {name}: there are {', '.join(CLASSES)}")
        if not 0 <= weight < math.inf:
            raise TraceError(f"the weight of {name} is {weight:g}, must be a number from 0 up")
    if not 0 < sum(classes.values()) < math.inf:
        raise TraceError("the weights of the classes must add up to more than 0")
    if sessions < 1:
        raise TraceError(f"{sessions} sessions are asked for, must be at least 1")


def _session(number: int, name: str, seed: int) -> SessionTrace:
    made = CLASSES[name]
    draw = random.Random(f"{seed}/session/{number}")
    turns = [Turn(_tokens(draw, made.prompt), 0, _tokens(draw, made.output))]
    for _ in range(_calls(draw, made.calls)):
        known = turns[-1].prompt + turns[-1].output
        duration_s = lognormal(draw, made.duration_s)
        prompt = known + _tokens(draw, made.response)
        turns.append(Turn(prompt, known, _tokens(draw, made.output), duration_s, "tool"))
    return SessionTrace(f"{name}-{number:05d}", tuple(turns), tool=name)


def lognormal(draw: random.Random, moments: Moments) -> float:
    """A number from the lognormal distribution of these moments, the mean above 0."""
    spread = math.log1p((moments.deviation / moments.mean) ** 2)
    return draw.lognormvariate(math.log(moments.mean) - spread / 2, math.sqrt(spread))


def _calls(draw: random.Random, moments: Moments) -> int:
    mean, variance = moments.mean - 1, moments.deviation**2 - _ROUNDING
    return 1 + _rounded(draw, draw.gammavariate(mean**2 / variance, variance / mean))


def _tokens(draw: random.Random, moments: Moments) -> int:
    if moments.deviation == 0:
        return round(moments.mean)
    beyond_one = Moments(moments.mean - 1, math.sqrt(moments.deviation**2 - _ROUNDING))
    return 1 + _rounded(draw, lognormal(draw, beyond_one))


def _rounded(draw: random.Random, value: float) -> int:
    """The whole number below or above, so that the mean stays what it is."""
    return math.floor(value + draw.random())
