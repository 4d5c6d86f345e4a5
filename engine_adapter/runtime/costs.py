"""What engine steps cost, learned from the steps themselves.

A step takes  base + prefill * p + prefill_context * a + decode * n + context * c + request * r
seconds, with p tokens prefilled, a the tokens before each of them summed (tok^2), n sequences
decoding, c their context together and r the requests prefilled. The six coefficients, none negative,
are fitted online by weighted least squares with forgetting; one round of coordinate descent per step,
over the terms the step had. What a request costs whatever its length is no part of a policy's prices:
a request that returns is prefilled whether its KV was kept or not. Without a term of its own it would
be spread over the tokens, and make computing them again dearer than it is.

Robust by two means: each step's time is brought within a factor `CLIP` of what was predicted, so
that a compile pause or an idle gap counts as one slow step; and errors count relative to the
prediction, so that one long prefill doesn't outweigh a hundred decode steps. The first steps are
kept until their median tells how fast the engine is, compared with the start values. When `REFUTED` steps
in a row needed clipping, it is the fit that is wrong: the past is as good as forgotten.

What a token takes to be moved to or from host memory is measured where it is moved: seconds over tokens, of recent
transfers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

FORGET = 0.995  # weight of a step 200 steps ago: 1/e
CLIP = 4.0
REFUTED = 6
_FORGET_PAST = 1e3
SMOOTHING = 1.0 / 16.0  # of the step time and of the present batch
FORGET_TRANSFER = 0.95  # weight of a transfer 20 transfers ago: 1/e
# A cost that moved by more than MOVED is published anew, SETTLE_STEPS after the last time; one that moved by more
# than MOVED_FAR after FEW_STEPS. Publishing makes every waiting row be computed again (15 ms for 100,000), so
# that happens in less than one step in a hundred.
MOVED, SETTLE_STEPS = 0.10, 128
MOVED_FAR, FEW_STEPS = 0.50, 16
# A prefill_context below this share of prefill is nothing at 10,000 tokens of context.
_NEGLIGIBLE_PER_TOKEN = 1e-5

Terms = tuple[float, float, float, float, float, float]
# A step in which half of each was seen is what the start values count as: of tokens, of tok^2, of sequences, ...
_SIZES = (1.0, 256.0, 256.0 * 256.0, 8.0, 8192.0, 2.0)
_BASE, _PREFILL, _AREA = range(3)


@dataclass(frozen=True, slots=True)
class StepSample:
    """One engine step: tokens prefilled, tokens before each of them summed (tok^2), sequences that
    decoded, their context together (tok), how long it took (s), and how many requests the prefilled tokens were of."""

    prefill_tokens: int
    prefill_context_area: float
    decode_seqs: int
    context_tokens: int
    step_s: float
    prefill_seqs: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """What policies read as `cost.*`. *decode_s_per_tok*: predicted time of a step of the present
    batch, in which a sequence gains one token. The defaults are the catalogue's."""

    prefill_s_per_tok: float = 50e-6
    prefill_context_s_per_tok2: float = 0.0
    decode_s_per_tok: float = 0.02
    swap_s_per_tok: float = 50e-6


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What a step takes, seconds: in any case; of each token prefilled, and of each token before one (tok^2); of each
    sequence that decodes, and of each token of its context; of each request of which something is prefilled."""

    base_s: float
    prefill_s: float
    prefill_context_s: float
    decode_s: float
    context_s: float
    request_s: float


class CostModel:
    """Fits as it is told of steps. `costs` changes only when one moved enough: then `epoch` grows."""

    def __init__(self, start: Costs | None = None) -> None:
        self._start(start or Costs())

    def _start(self, costs: Costs) -> None:
        self.costs = costs
        self.epoch = 0
        self._measured: Coefficients | None = None  # what it started from
        self.step_time_s = self.costs.decode_s_per_tok
        self.steps = 0
        self._published_at = 0
        self._clipped = 0  # steps in a row
        self._grown = 1.0  # weight of the newest step; older ones shrink by its growing
        self._batch = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]  # mean terms of recent steps that decoded
        self._moved_tokens = self._moved_s = 0.0  # of recent transfers
        self._first: list[StepSample] | None = []  # until there are enough for the engine's speed
        base = 0.9 * self.costs.decode_s_per_tok
        prefill, area = self.costs.prefill_s_per_tok, self.costs.prefill_context_s_per_tok2
        self._believe([base, prefill, area, 0.01 * base, 0.0, 0.0])

    def predict(self, sample: StepSample) -> float:
        """Time of such a step, seconds."""
        return sum(c * x for c, x in zip(self._fit, _terms(sample), strict=True))

    def observe(self, sample: StepSample) -> None:
        """Learn from one step. A time that isn't finite and positive, or a step without work, is ignored."""
        if not 0.0 < sample.step_s < math.inf or (sample.prefill_tokens <= 0 and sample.decode_seqs <= 0):
            return
        if self._first is not None:
            self._first.append(sample)
            if len(self._first) == FEW_STEPS:
                self._find_speed(self._first)
            return
        terms = _terms(sample)
        predicted = max(sum([c * x for c, x in zip(self._fit, terms, strict=True)]), 1e-6)
        seconds = min(max(sample.step_s, predicted / CLIP), predicted * CLIP)
        if seconds == sample.step_s:
            self._clipped = 0
        else:
            self._clipped += 1
            if self._clipped == REFUTED:
                self._clipped = 0
                self._grown *= _FORGET_PAST
                seconds = sample.step_s
        self.step_time_s += SMOOTHING * (seconds - self.step_time_s)
        self._learn(terms, seconds, max(predicted, sample.step_s))
        if sample.decode_seqs:
            self._batch = [mean + SMOOTHING * (x - mean) for mean, x in zip(self._batch, terms, strict=True)]
        self.steps += 1
        settled = self.steps - self._published_at
        if settled >= FEW_STEPS:
            self._publish(MOVED if settled >= SETTLE_STEPS else MOVED_FAR)

    def observe_transfer(self, tokens: float, seconds: float) -> None:
        """Learn from KV of *tokens* that was moved to or from host memory in *seconds*; published with a step."""
        if tokens > 0.0 and 0.0 < seconds < math.inf:
            self._moved_tokens = FORGET_TRANSFER * self._moved_tokens + tokens
            self._moved_s = FORGET_TRANSFER * self._moved_s + seconds

    def state(self) -> dict[str, float]:
        """What is worth keeping across restarts."""
        return {
            "prefill_s_per_tok": self._fit[_PREFILL],
            "prefill_context_s_per_tok2": self._fit[_AREA],
            "decode_s_per_tok": self._decode(),
            "swap_s_per_tok": self._swap(),
            "steps": float(self.steps),
        }

    def resume(self, state: Mapping[str, float]) -> None:
        """Forget all, and start from what another had learned (its `state`); unusable values are left out."""
        if "base_s" in state:
            known_fit = Coefficients(**{name: state[name] for name in Coefficients.__slots__})
            self.start_from(known_fit, state["swap_s_per_tok"])
            return
        known = {
            name: state[name]
            for name in Costs.__slots__
            if 0.0 < state.get(name, 0.0) < _ABSURD_S
            or (name == "prefill_context_s_per_tok2" and state.get(name) == 0.0)
        }
        self._start(replace(Costs(), **known))

    def beginning(self) -> dict[str, float]:
        """What another needs to begin as this one did, by `resume`; before it has learned anything."""
        return asdict(self.costs) | ({} if self._measured is None else asdict(self._measured))

    def start_from(self, measured: Coefficients, swap_s_per_tok: float | None) -> None:
        """Forget all, and start from a measured engine: its speed need not be looked for in the first steps."""
        alone_s = measured.base_s + measured.decode_s + measured.context_s
        swap = Costs().swap_s_per_tok if swap_s_per_tok is None else swap_s_per_tok
        self._start(Costs(max(measured.prefill_s, _LEAST_PREFILL_S), measured.prefill_context_s, alone_s, swap))
        self._first = None
        self._measured = measured
        base_s = max(measured.base_s, _LEAST_BASE_S)
        self._believe([base_s, *list(asdict(measured).values())[1:]])

    # --- inside ----------------------------------------------------------------------------------

    def _find_speed(self, first: list[StepSample]) -> None:
        """Bring the start values to this engine's speed, then learn from its first steps."""
        ratio = statistics.median(sample.step_s / self.predict(sample) for sample in first)
        self.step_time_s = statistics.median(sample.step_s for sample in first)
        self._first = None
        self._believe([ratio * c for c in self._fit])
        for sample in first:
            self.observe(sample)

    def _believe(self, fit: list[float]) -> None:
        """Start from these coefficients, as if half a step of each kind had shown them."""
        self._fit = fit
        self._normal = [[0.0] * len(fit) for _ in fit]
        self._target = [0.0] * len(fit)
        for i, size in enumerate(_SIZES):
            self._normal[i][i] = 0.5 * (size / fit[_BASE]) ** 2
            self._target[i] = self._normal[i][i] * fit[i]

    def _learn(self, terms: Terms, seconds: float, scale_s: float) -> None:
        self._grown /= FORGET
        weight = self._grown / (scale_s * scale_s)
        present = [i for i, x in enumerate(terms) if x]
        normal, target, fit = self._normal, self._target, self._fit
        for i in present:
            row = normal[i]
            weighted = weight * terms[i]
            target[i] += weighted * seconds
            for j in present:
                row[j] += weighted * terms[j]
        for i in present:
            row = normal[i]
            rest = target[i] - sum([a * c for a, c in zip(row, fit, strict=True)])
            fit[i] = max(fit[i] + rest / row[i], 0.0)
        if self._grown > 1e12:
            self._normal = [[a / self._grown for a in row] for row in normal]
            self._target = [b / self._grown for b in target]
            self._grown = 1.0

    def _decode(self) -> float:
        return sum(c * x for c, x in zip(self._fit, self._batch, strict=True))

    def _swap(self) -> float:
        return self._moved_s / self._moved_tokens if self._moved_tokens else self.costs.swap_s_per_tok

    def _publish(self, share: float) -> None:
        """Publish the costs if one moved by more than *share*."""
        costs, fit = self.costs, self._fit
        prefill, area, decode, swap = fit[_PREFILL], fit[_AREA], self._decode(), self._swap()
        if (
            _moved(costs.prefill_s_per_tok, prefill, share, 0.0)
            or _moved(costs.prefill_context_s_per_tok2, area, share, _NEGLIGIBLE_PER_TOKEN * prefill)
            or _moved(costs.decode_s_per_tok, decode, share, 0.0)
            or _moved(costs.swap_s_per_tok, swap, share, 0.0)
        ):
            self.costs = Costs(prefill, area, decode, swap)
            self.epoch += 1
            self._published_at = self.steps


# A minute a token: no engine.
_ABSURD_S = 60.0
# Weights are shares of it: a model without a base has none.
_LEAST_BASE_S = 1e-6
# A policy may divide by it.
_LEAST_PREFILL_S = 1e-9


def _terms(sample: StepSample) -> Terms:
    return (
        1.0,
        float(sample.prefill_tokens),
        float(sample.prefill_context_area),
        float(sample.decode_seqs),
        float(sample.context_tokens) if sample.decode_seqs else 0.0,
        float(sample.prefill_seqs),
    )


def _moved(old: float, new: float, share: float, negligible: float) -> bool:
    return abs(new - old) > max(share * old, negligible)
