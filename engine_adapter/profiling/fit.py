"""Fits the step-time model of a profile to measured steps, and says how well it meets them.

Errors count relative to the step's time, so that a long prefill doesn't outweigh a hundred decode steps; each kind of
step (prefill, decode, both) counts the same in all, however many there are. The weights are of the fitted time, not of
the measured one: else slow steps would weigh less than quick ones and every time would come out too short.

What slows down a step here and there (the API server at work on the engine's core) says nothing of tokens and requests,
so such steps weigh less; but they are part of what a load takes. So all terms are then made longer by one factor, with
which the fitted times add up to those measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine_adapter.control.steps import Step
from engine_adapter.profiling.least_squares import Array, non_negative
from engine_adapter.virtual.profile import StepTimes
from engine_adapter.virtual.provenance import Fit, Quality

KINDS = ("prefill", "decode", "both")
_TERMS = (
    "step_s", "prefill_token_s", "prefill_context_s", "decode_seq_s", "context_token_s", "prefill_seq_s", "request_s",
    "wake_s",
)  # fmt: skip
# Where a batch's arithmetic may begin to take longer than reading the weights, tokens.
_KNEES = (32, 64, 128, 256, 512, 1024)
# A floor must explain so much more of the error: it is one term more.
_WORTH_A_FLOOR = 0.03
_ROUNDS = 6
# Every fifth step is kept from the fit, to judge it by.
_HELD_OUT = 5
# With fewer there is nothing to tell one term from another.
FEWEST = 40
# A step whose error is a larger share of its fitted time than this weighs less (Huber).
_USUAL_ERROR = 0.25
# A step of more than so many times its fitted time is no part of a load (a compilation): it counts as so long.
_LONGEST = 10.0
_SMALLEST_S = 1e-6


class FitError(Exception):
    """Steps that no model can be fitted to. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """*predicted*: of every step that was given, seconds."""

    times: StepTimes
    fit: Fit
    predicted: tuple[float, ...]


def kind_of(step: Step) -> str:
    """What a step computes, in a word of KINDS."""
    return ("both" if step.decode_seqs else "prefill") if step.prefill_tokens else "decode"


def predicted_s(times: StepTimes, step: Step) -> float:
    """What *times* say that it takes, with the engine's own time since the step before."""
    return times.of(step.prefill_tokens, step.prefill_area, step.decode_seqs, step.context_tokens) + times.beside(
        step.prefill_seqs, step.came, step.woke
    )


def fit_steps(steps: Sequence[Step], complete: bool = True, missed: int = 0) -> Fitted:
    """The model of *steps*. Raises FitError where they are too few, or all of one kind.

    Its quality is of every fifth step, by a model fitted to the others; the model itself is fitted to all.
    """
    steps = [step for step in steps if step.whole_s > 0.0]
    kinds = {kind_of(step) for step in steps}
    if len(steps) < FEWEST:
        raise FitError(f"{len(steps)} steps were measured, {FEWEST} are needed: measure for longer")
    if kinds in ({"decode"}, {"prefill"}):
        raise FitError(f"every measured step was of one kind, {kinds.pop()}: measure for longer")
    judged = [place % _HELD_OUT == 0 for place in range(len(steps))]
    trial = _times([step for step, out in zip(steps, judged, strict=True) if not out])
    quality = _quality(trial, [step for step, out in zip(steps, judged, strict=True) if out])
    times = _times(steps)
    fit = Fit(steps=len(steps), r2=quality[0], kinds=quality[1], complete=complete, missed=missed)
    return Fitted(times, fit, tuple(predicted_s(times, step) for step in steps))


def _times(steps: Sequence[Step]) -> StepTimes:
    """The model, with a floor where that is worth it."""
    measured = np.array([step.whole_s for step in steps])
    kinds = np.array([KINDS.index(kind_of(step)) for step in steps])
    plain = _columns(steps)
    found, error = _weighted(plain, measured, kinds)
    terms = dict(zip(_TERMS, found.tolist(), strict=True))
    tokens = np.array([float(step.prefill_tokens + step.decode_seqs) for step in steps])
    for knee in _KNEES:
        with_floor = np.column_stack([plain, np.maximum(tokens, knee)])
        coefficients, its_error = _weighted(with_floor, measured, kinds)
        *others, token_s = coefficients.tolist()
        if token_s > 0.0 and its_error < error * (1.0 - _WORTH_A_FLOOR):
            error = its_error
            terms = dict(zip(_TERMS, others, strict=True)) | {"token_s": token_s, "floor_s": token_s * knee}
    if terms["step_s"] + terms.get("floor_s", 0.0) <= 0.0:
        terms["step_s"] = _SMALLEST_S  # a step takes time, whatever is in it
    return _adding_up(StepTimes(**terms), steps)


def _adding_up(times: StepTimes, steps: Sequence[Step]) -> StepTimes:
    """*times*, all longer or shorter by the factor with which those of *steps* add up to what they took."""
    fitted = [predicted_s(times, step) for step in steps]
    took = sum(min(step.whole_s, _LONGEST * fit) for step, fit in zip(steps, fitted, strict=True))
    factor = took / sum(fitted)
    return StepTimes(**{term: factor * seconds for term, seconds in times.model_dump().items()})


def _columns(steps: Sequence[Step]) -> Array:
    return np.array([
        (1.0, s.prefill_tokens, s.prefill_area, s.decode_seqs, s.context_tokens if s.decode_seqs else 0.0,
         s.prefill_seqs, s.came / 2.0, s.woke)
        for s in steps
    ])  # fmt: skip


def _weighted(columns: Array, measured: Array, kinds: Array) -> tuple[Array, float]:
    """Coefficients, and the mean of the squares of relative errors with kinds weighing the same."""
    share = 1.0 / np.bincount(kinds, minlength=len(KINDS))[kinds]
    scale, trust = measured, np.ones(len(measured))
    for _ in range(_ROUNDS):
        found = non_negative(columns, measured, share * trust / (scale * scale))
        scale = np.maximum(columns @ found, _SMALLEST_S)
        errors = np.abs(measured / scale - 1.0)
        trust = np.minimum(1.0, _USUAL_ERROR / np.maximum(errors, _SMALLEST_S))
    return found, float((share * trust * errors * errors).sum() / share.sum())


def _quality(times: StepTimes, steps: Sequence[Step]) -> tuple[float, dict[str, Quality]]:
    """R^2 of the seconds of all, and the errors of each kind."""
    measured = np.array([step.whole_s for step in steps])
    fitted = np.array([predicted_s(times, step) for step in steps])
    spread = float(((measured - measured.mean()) ** 2).sum())
    # Steps that all take the same have no variance to explain.
    steady = spread <= 1e-12 * float((measured**2).sum())
    r2 = 1.0 if steady else 1.0 - float(((measured - fitted) ** 2).sum()) / spread
    found = {}
    for kind in KINDS:
        mine = np.array([kind_of(step) == kind for step in steps])
        if mine.any():
            errors = np.abs(fitted[mine] / measured[mine] - 1.0)
            found[kind] = Quality(
                steps=int(mine.sum()),
                error_p50=float(np.quantile(errors, 0.5)),
                error_p90=float(np.quantile(errors, 0.9)),
                sum_error=float(fitted[mine].sum() / measured[mine].sum() - 1.0),
            )
    return r2, found
