"""Models of lengths with made-up weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine_adapter.runtime.length_inputs import FIRST_TOOLS, NUMBERS, TOKEN_PLACES
from engine_adapter.runtime.length_model import BUCKETS, TOPS, About, LengthModel
from engine_adapter.runtime.past import KEPT_TOOLS, NEW, Case


def arrays(seed: int = 0, tools: int = 2, tokens: bool = False, hidden: int = 8) -> dict[str, Any]:
    """Random weights of a model that knows so many tools."""
    chance = np.random.default_rng(seed)
    places, width = tools + len(FIRST_TOOLS), 4 if tokens else 0
    read = NUMBERS + KEPT_TOOLS * 3 + (width + 1 if tokens else 0)
    shapes = {
        "tool_vectors": (places, 3),
        "token_vectors": (TOKEN_PLACES, width),
        "w1": (read, hidden),
        "b1": (hidden,),
        "w2": (hidden, hidden),
        "b2": (hidden,),
        "w3": (hidden, 2 * BUCKETS + places),
        "b3": (2 * BUCKETS + places,),
    }
    made: dict[str, Any] = {name: chance.normal(size=shape) for name, shape in shapes.items()}
    return made | {"shift": np.zeros(NUMBERS), "scale": np.ones(NUMBERS), "lengths": TOPS.copy()}


def model(seed: int = 0, tools: tuple[str, ...] = ("search", "python"), tokens: bool = False) -> LengthModel:
    """A model that answers at random, but always the same."""
    about = About("made up", tokens, 10, 20, seed, 0.2)
    return LengthModel(about, (*FIRST_TOOLS, *tools), arrays(seed, len(tools), tokens))


def sure(length: int, tools: tuple[str, ...] = (), ends_in: int = 2) -> LengthModel:
    """A model that foretells *length* of every answer, and a call of the tool at place *ends_in* (2: none)."""
    made = arrays(tools=len(tools))
    made["w3"] = np.zeros_like(made["w3"])
    made["b3"] = np.full_like(made["b3"], -20.0)
    bucket = int(np.searchsorted(TOPS, length))
    made["b3"][[bucket, BUCKETS + bucket, 2 * BUCKETS + ends_in]] = 20.0
    made["lengths"] = np.minimum(TOPS, length).astype(float)
    return LengthModel(About("made up", False, 10, 20, 0, 0.2), (*FIRST_TOOLS, *tools), made)


def case(prompt: int = 100, *turns: tuple[int, str], tokens: tuple[int, ...] = ()) -> Case:
    """A turn after *turns*: (output, tool) of each."""
    past = NEW.begun(prompt)
    for output, tool in turns:
        past = past.answered(output, tool).begun(prompt)
    return Case(past, may_call=True, tokens=tokens)
