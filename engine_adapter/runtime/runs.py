"""What a session still has to do: tokens, calls, and time in calls, until it answers a person. Learned online.

A run is the turns from a person's message to the answer. When it has ended, it is known of each of its turns what was
left then, and that is learned by the turn's class and by how many turns the run had before (in powers of two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine_adapter.runtime.learned import ALL, Classes, Key
from engine_adapter.runtime.moments import leaned

# A class counts fully once it has seen several times as much as this (as in `predictor`).
_LEAN = 4.0
# Of a longer run the first turns are not learned from.
MOST_TURNS = 256
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Left:
    """What a session has still to do after this turn. *output*: tokens; *calls*, this turn's included, with the time
    they take."""

    output: float
    calls: float
    call_time_s: float


@dataclass(slots=True)
class Step:
    """One turn of a run: its classes, narrowest first; tokens generated; seconds of the call after it, 0 without."""

    classes: tuple[Key, ...]
    output: float
    call_time_s: float = 0.0


class Runs:
    """What runs had left, by class. Every operation is O(1) but `ended`, O(turns of the run)."""

    def __init__(self) -> None:
        self.output, self.calls, self.call_time = Classes(), Classes(), Classes()

    def left(self, classes: Sequence[Key]) -> Left | None:
        """What a session has left in a turn of these classes, narrowest first; None before anything was learned."""
        if not len(self.output):
            return None
        return Left(*(_estimate(table, classes) for table in (self.output, self.calls, self.call_time)))

    def ended(self, run: Sequence[Step]) -> None:
        """A run has ended."""
        output = calls = time_s = 0.0
        for step in reversed(run[-MOST_TURNS:]):
            calls += step.call_time_s > 0
            time_s += step.call_time_s
            for table, value in ((self.output, output), (self.calls, calls), (self.call_time, time_s)):
                table.learn(step.classes, value, _LEAST)
            output += step.output


def classes_of(tenant: str, last_tool: str, opening: int, turns: int) -> tuple[Key, ...]:
    """The classes of a turn before which its run had *turns*, narrowest first."""
    return (tenant, last_tool, opening, turns.bit_length()), (tenant, last_tool, opening), (tenant, last_tool), ALL


def _estimate(table: Classes, classes: Sequence[Key]) -> float:
    """From the widest class to the narrowest; nobody asks for the spread."""
    mean = 0.0
    for key in reversed(classes):
        mean = leaned(mean, table[key], _LEAN)
    return mean
