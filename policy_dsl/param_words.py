"""Values for params as people write them: `patience=5s`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from policy_dsl import ir
from policy_dsl.compiled import ParamError
from policy_dsl.types import quantity
from policy_dsl.units import SUFFIXES

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z%]*)")


def param_values(words: Sequence[str], infos: Sequence[ir.ParamInfo]) -> dict[str, float]:
    """The numbers of the words NAME=VALUE in base units, by name. Raises `ParamError` for a word that isn't one.

    A value without a unit is in the param's base unit: seconds, tokens. A param that *infos* lack is passed on.
    """
    types = {info.name: info.type for info in infos}
    values = {}
    for word in words:
        name, _, text = (part.strip() for part in word.partition("="))
        values[name] = _value(word, text, types.get(name))
    return values


def _value(word: str, text: str, wanted: object) -> float:
    found = _QUANTITY.fullmatch(text)
    if found is None or (found[2] and found[2] not in SUFFIXES):
        raise ParamError(f"{word}: NAME=VALUE with a number is wanted, as in patience=5s")
    if not found[2]:
        return float(found[1])
    dim, size = SUFFIXES[found[2]]
    if wanted is not None and quantity(dim) != wanted:
        raise ParamError(f"{word}: {found[2]} is a unit of {quantity(dim)}, the param is one of {wanted}")
    return float(found[1]) * size
