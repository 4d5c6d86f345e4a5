"""What a trained model says of a turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_dsl.prediction import Dist


@dataclass(frozen=True, slots=True)
class Foretold:
    """*output*: tokens until the next call; *after*: of the turn after it. *chance*: that it ends in a call.

    *tools*: the chance of each that the model knows, given that it does; they sum up to 1 or less.
    """

    output: Dist
    after: Dist
    chance: float
    tools: Mapping[str, float]
