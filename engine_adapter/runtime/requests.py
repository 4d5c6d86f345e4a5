"""Requests as the binding tells of them: at their arrival and at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it reaches the engine. *tokens*: its prompt; *hashes*: of its full blocks, in order."""

    id: str
    tokens: Sequence[int]
    max_tokens: int | None
    priority: float
    session_id: str | None
    extra_args: Mapping[str, Any]
    hashes: Sequence[bytes]
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished request. *hashes* are those of all its full blocks, answer included."""

    id: str
    output_tokens: int
    context_tokens: int
    aborted: bool
    hashes: Sequence[bytes]
