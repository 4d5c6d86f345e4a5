"""Why a waiting request isn't running: one of a few words for each.

"behind NAME": it wasn't its turn; "gate" and "limit NAME": the policy refused it when it was; "reserved for NAME": a
promoted request that was refused goes first; "kv", "seats", "token budget": the engine had no room for the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine_adapter.runtime.core import Runtime


@dataclass(frozen=True, slots=True)
class Holding:
    """What only the binding knows of the requests that don't run.

    *first*: what kept the engine from taking the next in order at the last step ("kv", "seats", "token budget"), ""
    where nothing is known to. *loading*: ids of those whose KV is on its way.
    """

    first: str = ""
    loading: frozenset[str] = frozenset()


def held_by(runtime: Runtime, order: Sequence[str], holding: Holding) -> dict[str, str]:
    """The word of each of *order*, which are the first of all that wait; "" where nothing is known to hold it."""
    refused, reserved_for = runtime.admission.refused, runtime.admission.reserved_for
    words: dict[str, str] = {}
    ahead = ""  # the last that the policy lets go
    reserved = False
    for name in order:
        if reserved:
            words[name] = f"reserved for {reserved_for}"
        elif name in refused:
            words[name] = refused[name]
            reserved = name == reserved_for
        else:
            words[name] = f"behind {ahead}" if ahead else holding.first if _was_asked(runtime, name) else ""
            ahead = name
    return words


def _was_asked(runtime: Runtime, name: str) -> bool:
    """Whether the request was there for the last step to take; one that was preempted in it counts too."""
    turn = runtime.turns[name]
    return turn.waiting_since_step < runtime.step or turn.preemptions > 0
