"""A trained model of how a turn goes on: how long its answer is, the next one's, and which call it ends in.

A small network with two hidden layers, trained by `engine_adapter.training` and kept in one file. It is evaluated with
numpy: an engine neither imports another library for it nor shares threads with one. Lengths are predicted as chances
of buckets that grow by a third each; what a policy reads of them are the mean and the quantiles.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine_adapter.runtime.folders import cache_folder
from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.length_inputs import FIRST_TOOLS, NUMBERS, TOKEN_PLACES, Floats, inputs
from engine_adapter.runtime.past import KEPT_TOOLS, USER, Case
from policy_dsl.prediction import Dist, Z

FORMAT = 1
# The longest answer of each bucket, tokens.
TOPS: Floats = np.unique(np.round(np.geomspace(1, 131_072, 42)))
BUCKETS = len(TOPS)
MOST_TOOLS = 64
# Digits of what is foretold: floating-point units differ in the last ones, and virtual time must not.
_DIGITS = 4
_ARRAYS = ("shift", "scale", "tool_vectors", "token_vectors", "w1", "b1", "w2", "b2", "w3", "b3", "lengths")
_LARGEST_BYTES = 64 << 20
# Rows of one product. Larger ones are spread over threads by numpy's BLAS, which would fight with the engine's for the
# cores: in batches of 256 0.034 ms of processor time a request, 0.105 in one product (benchmarks/length_model.py).
_AT_ONCE = 16


def default_path() -> Path:
    """Where a model is put and looked for unless somebody says where."""
    return cache_folder() / "predictor.npz"


class ModelError(Exception):
    """A file that can't be used. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class About:
    """Where a model comes from. *tokens*: it looks at the prompt's tokens, not at lengths and times alone.

    *sessions*, *turns*: it was trained on; of its source, the share *test* was kept from it.
    *scores*: by `engine_adapter.training.scores`, of these.
    """

    source: str
    tokens: bool
    sessions: int
    turns: int
    seed: int
    test: float
    scores: dict[str, Any] = field(default_factory=dict)


class LengthModel:
    """A model in memory. *revision*: of all that it answers by."""

    def __init__(self, about: About, tools: Sequence[str], arrays: dict[str, Floats]) -> None:
        """*tools*: those it knows by name, `FIRST_TOOLS` before them. Raises ValueError where shapes don't fit."""
        self.about = about
        self.tools = tuple(tools)
        # As in the file, so that a model answers the same before and after.
        self.arrays = {name: arrays[name].astype(np.float32).astype(np.float64) for name in _ARRAYS}
        self._places = {name: place for place, name in enumerate(self.tools)}
        _check(about, self.tools, self.arrays)
        self.revision = self._revision()

    @property
    def named_tools(self) -> tuple[str, ...]:
        """Those it knows by name."""
        return self.tools[len(FIRST_TOOLS) :]

    def foretell(self, cases: Sequence[Case]) -> list[Foretold]:
        """What becomes of each turn. O(turns)."""
        if not cases:
            return []
        output, after, tools = self.chances(cases)
        outputs, afters = self._dists(output), self._dists(after)
        return [Foretold(one, other, *self._calls(row)) for one, other, row in zip(outputs, afters, tools, strict=True)]

    def chances(self, cases: Sequence[Case]) -> tuple[Floats, Floats, Floats]:
        """Chances of the buckets of this answer and of the next one, (B, BUCKETS), and of the tools, (B, tools)."""
        parts = [self._chances(cases[start : start + _AT_ONCE]) for start in range(0, len(cases), _AT_ONCE)]
        output, after, tools = (np.concatenate(part) for part in zip(*parts, strict=True))
        return output, after, tools

    def _chances(self, cases: Sequence[Case]) -> tuple[Floats, Floats, Floats]:
        a = self.arrays
        given = inputs(cases, self._places)
        numbers = (given.numbers - a["shift"]) / a["scale"]
        named = a["tool_vectors"][given.tools].reshape(len(cases), -1)
        hidden = np.concatenate([numbers, named, self._read(given.tokens)], axis=1)
        for number in ("1", "2"):
            hidden = np.maximum(hidden @ a[f"w{number}"] + a[f"b{number}"], 0.0)
        last = hidden @ a["w3"] + a["b3"]
        return (
            _softmax(last[:, :BUCKETS]),
            _softmax(last[:, BUCKETS : 2 * BUCKETS]),
            _softmax(last[:, 2 * BUCKETS :]),
        )

    def _read(self, tokens: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
        """The mean of the tokens' vectors, and whether there are tokens."""
        if not self.about.tokens:
            return np.zeros((len(tokens), 0))
        there = tokens > 0
        count = there.sum(axis=1, keepdims=True)
        total = (self.arrays["token_vectors"][tokens] * there[:, :, None]).sum(axis=1)
        return np.concatenate([total / np.maximum(count, 1), (count > 0).astype(np.float64)], axis=1)

    def _dists(self, chances: Floats) -> list[Dist]:
        """The mean as it is; the spread so that the median and the 90 % quantile are."""
        means = chances @ self.arrays["lengths"]
        middles, highs = quantiles(chances, 0.5), quantiles(chances, 0.9)
        made = []
        for mean, p50, p90 in zip(means, middles, highs, strict=True):
            mu, high = math.log(_rounded(p50)), math.log(_rounded(p90))
            made.append(Dist(_rounded(mean), mu, max(high - mu, 0.0) / Z["p90"], known=True))
        return made

    def _calls(self, row: Floats) -> tuple[float, dict[str, float]]:
        """The chance of a call, and of each named tool given that there is one."""
        chance = float(np.delete(row, self._places[USER]).sum())
        known = range(len(FIRST_TOOLS), len(self.tools)) if chance > 0.0 else ()
        likely = {self.tools[place]: _rounded(row[place] / chance) for place in known if row[place] > 0.01 * chance}
        return _rounded(chance), likely

    # --- as a file -------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it, whole or not at all; the same model gives the same bytes. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(self._bytes())
        part.replace(path)

    def _revision(self) -> str:
        seen = hashlib.sha256("\n".join(self.tools).encode())
        for array in self.arrays.values():
            seen.update(array.tobytes())
        return seen.hexdigest()[:8]

    def _bytes(self) -> bytes:
        about = {"format": FORMAT, "tools": self.named_tools} | {
            name: getattr(self.about, name) for name in About.__dataclass_fields__
        }
        out = io.BytesIO()
        arrays = {name: array.astype(np.float32) for name, array in self.arrays.items()}
        np.savez_compressed(out, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    @staticmethod
    def load(path: Path) -> LengthModel:
        """The model in *path*. Raises ModelError."""
        try:
            if path.stat().st_size > _LARGEST_BYTES:
                raise ModelError(f"{path} is no predictor: it is too large")
            data = path.read_bytes()
        except OSError as problem:
            raise ModelError(f"{path} can't be read: {problem.strerror}") from None
        try:
            return _parsed(data)
        except _OtherFormat as other:
            raise ModelError(
                f"{path} is a predictor of format {other}, this lamps reads {FORMAT}: train it anew"
            ) from None
        except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as problem:
            raise ModelError(f"{path} is no predictor: {problem}") from None


class _OtherFormat(Exception):
    pass


def quantiles(chances: Floats, share: float) -> Floats:
    """The *share* quantile of each row, (B,), tokens: linear inside a bucket."""
    below = np.cumsum(chances, axis=1)
    place = np.minimum((below < share).sum(axis=1), BUCKETS - 1)
    rows = np.arange(len(chances))
    low = np.where(place > 0, TOPS[np.maximum(place - 1, 0)], 0.0)
    inside = chances[rows, place]
    part = (share - (below[rows, place] - inside)) / np.maximum(inside, 1e-12)
    # Half a token: lengths are whole numbers.
    return np.asarray(low + 0.5 + np.clip(part, 0.0, 1.0) * (TOPS[place] - low))


def bucket_of(tokens: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The bucket of each length."""
    return np.minimum(np.searchsorted(TOPS, tokens), BUCKETS - 1)


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _parsed(data: bytes) -> LengthModel:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        if about["format"] != FORMAT:
            raise _OtherFormat(about["format"])
        arrays = {name: file[name] for name in _ARRAYS}
    tools = (*FIRST_TOOLS, *map(str, about["tools"]))
    known = {name: about[name] for name in About.__dataclass_fields__}
    return LengthModel(About(**known), tools, arrays)


def _check(about: About, tools: tuple[str, ...], arrays: dict[str, Floats]) -> None:
    """ValueError unless every array has the shape that the others want, and only finite numbers."""
    if len(tools) > MOST_TOOLS + len(FIRST_TOOLS) or tools[: len(FIRST_TOOLS)] != FIRST_TOOLS:
        raise ValueError("its tools are not a list of tools")
    width, hidden = arrays["tool_vectors"].shape[1], arrays["b1"].shape[0]
    token_width = arrays["token_vectors"].shape[1]
    read = NUMBERS + KEPT_TOOLS * width + (token_width + 1 if token_width else 0)
    wanted = {
        "shift": (NUMBERS,),
        "scale": (NUMBERS,),
        "tool_vectors": (len(tools), width),
        "token_vectors": (TOKEN_PLACES, token_width),
        "w1": (read, hidden),
        "b1": (hidden,),
        "w2": (hidden, hidden),
        "b2": (hidden,),
        "w3": (hidden, 2 * BUCKETS + len(tools)),
        "b3": (2 * BUCKETS + len(tools),),
        "lengths": (BUCKETS,),
    }
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds what is no number")
    if about.tokens != bool(token_width):
        raise ValueError("it says that it reads tokens, and doesn't, or the other way round")
    if (arrays["scale"] <= 0).any() or (arrays["lengths"] < 0).any():
        raise ValueError("a scale or a length is not positive")
