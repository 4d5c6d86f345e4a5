"""What a measured profile says of itself: which engine it is of, and how well its step times were met."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engine_adapter.runtime.folders import cache_folder

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Strict):
    """What an engine's times depend on, in words; engines that differ in one have different times."""

    model: str
    device: str
    dtype: str = ""
    quantization: str = "none"
    parallel: str = "1x1"
    graphs: str = ""
    vllm: str = ""

    def differing(self, other: Identity) -> list[str]:
        """The words in which *other* isn't this engine, as "dtype: float32, not bfloat16"."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [f"{name}: {theirs[name]}, not {mine[name]}" for name in mine if mine[name] != theirs[name]]

    def kept_at(self) -> Path:
        """Where a profile of such an engine is kept, and where `lamps serve` looks for it."""
        words = json.dumps(self.model_dump(), sort_keys=True)
        model = re.sub(r"[^\w.-]+", "-", Path(self.model).name).strip("-.") or "model"
        return cache_folder() / "profiles" / f"{model}-{hashlib.sha256(words.encode()).hexdigest()[:10]}.yaml"


class Quality(_Strict):
    """How well steps of one kind were met, of a fifth that was kept from the fit.

    *error_p50*, *error_p90*: of the error of a step as a share of its time. *sum_error*: of all of them together: what
    matters to a run, in which errors of single steps cancel.
    """

    steps: Count
    error_p50: Share
    error_p90: Share
    sum_error: Finite


class Fit(_Strict):
    """Of the step times. *r2*: share of the variance of step times that the model explains, on the same fifth.

    *complete*: all of the load was run. *missed*: steps that were over before they were fetched.
    """

    steps: Count
    r2: Finite
    kinds: dict[str, Quality]
    complete: bool = True
    missed: Count = 0
