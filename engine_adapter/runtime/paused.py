"""A session between two turns: what is in force for its KV, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

from engine_adapter.runtime.turn import Turn
from policy_dsl.types import Handling

PRESERVE = Handling.PRESERVE.word  # the reason of a pin that was decided on
Plan = tuple[tuple[Handling, float | None], ...]


@dataclass(slots=True)
class Paused:
    """A session between two turns. *handling* is what is in force, *plan* what follows it, each with its end in seconds
    from the start of the call.

    *lost*: why what was held is gone, in the words of the counters ("expired", "yielded_running"); "" where it isn't.
    """

    turn: Turn
    handling: Handling
    plan: Plan
    provisional: bool = False
    lost: str = ""
