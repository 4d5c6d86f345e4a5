"""What a virtual engine says of itself: what a step brought, which requests it answered, how its memory is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that was answered. *cached*: prompt tokens it found in the prefix cache when it was admitted."""

    id: str
    cached: int
    started_s: float
    preemptions: int


@dataclass(frozen=True, slots=True)
class Events:
    """What a step brought, at the clock's present time. *scheduled*: tokens of the steps begun, 0 when none was."""

    scheduled: int = 0
    first_tokens: Sequence[str] = ()
    finished: Sequence[Finished] = ()


@dataclass(frozen=True, slots=True)
class Occupancy:
    """KV memory in blocks: used by requests, held by pins alone, free (prefix cache included)."""

    running: int
    pinned: int
    free: int
