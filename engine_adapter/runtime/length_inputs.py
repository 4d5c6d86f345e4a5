"""Turns as arrays: what a trained model is given, in training and in an engine alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine_adapter.runtime.past import KEPT_OUTPUTS, KEPT_TOKENS, KEPT_TOOLS, USER, Case

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Places of a tool in the model's list that are no tool's: there was no turn, or the model doesn't know the tool.
NO_TOOL, OTHER_TOOL = 0, 1
FIRST_TOOLS = ("", "(other)", USER)
# Tokens are told apart by a hash into so many places; place 0 is none's.
TOKEN_PLACES = 2048
_HASH = 2654435761  # Knuth's multiplier: neighbouring ids go far apart
# Durations count from a tenth of a millisecond: a calculator's.
_LEAST_S = 1e-4
NUMBERS = 12 + KEPT_OUTPUTS


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of B turns. *numbers*: (B, NUMBERS). *tools*: (B, KEPT_TOOLS), the newest first. *tokens*: (B, KEPT_TOKENS),
    0 where there is none."""

    numbers: Floats
    tools: Ints
    tokens: Ints


def inputs(cases: Sequence[Case], tools: Mapping[str, int]) -> Inputs:
    """*tools*: the place of each tool that the model knows."""
    numbers = np.array([_numbers(case) for case in cases], dtype=np.float64).reshape(len(cases), NUMBERS)
    named = np.array([_tools(case, tools) for case in cases], dtype=np.int64).reshape(len(cases), KEPT_TOOLS)
    return Inputs(numbers, named, _tokens(cases))


def _numbers(case: Case) -> list[float]:
    past, output = case.past, case.output
    usual = output.mean_log if output.n else 0.0
    latest = [math.log1p(tokens) for tokens in reversed(past.outputs)]
    return [
        math.log1p(past.prompt),
        math.log1p(past.opening),
        math.log1p(past.grown),
        math.log1p(past.turns),
        float(past.turns == 0),
        float(past.turns == 1),
        math.log1p(past.run),
        past.calls / past.turns if past.turns else 0.5,
        math.log(max(past.call_s, _LEAST_S) / _LEAST_S) if past.tools else 0.0,
        float(case.may_call),
        usual,
        math.sqrt(max(output.var_log, 0.0)) if output.n else 0.0,
        *latest,
        *[usual] * (KEPT_OUTPUTS - len(latest)),
    ]


def _tools(case: Case, known: Mapping[str, int]) -> list[int]:
    places = [known.get(tool, OTHER_TOOL) for tool in reversed(case.past.tools)]
    return [*places, *[NO_TOOL] * (KEPT_TOOLS - len(places))]


def _tokens(cases: Sequence[Case]) -> Ints:
    found = np.zeros((len(cases), KEPT_TOKENS), dtype=np.int64)
    for row, case in zip(found, cases, strict=True):
        last = case.tokens[-KEPT_TOKENS:]
        if last:
            ids = np.array(last, dtype=np.int64) & 0xFFFFFFFF
            row[: len(last)] = 1 + (ids * _HASH >> 9) % (TOKEN_PLACES - 1)
    return found
