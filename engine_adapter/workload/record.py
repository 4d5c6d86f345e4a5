"""What was decided in a run, in order, as plain values: when requests started or were preempted, what became of KV.

Two runs of the same load are compared by it (difference.py), and one is drawn by it (chrome_trace.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

What = Literal["start", "resume", "preempt", "preserve", "swap", "discard", "unpin"]
HANDLINGS = ("preserve", "swap", "discard")


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, taken at *at_s* while step number *step* was being made.

    *request*: the turn, as SESSION/INDEX; of a handling and of an unpin, the turn that ended in the call. *tokens*: of
    a start or resume those found in the prefix cache, of a handling the session's context, of an unpin what the pin
    held. *why*: of a handling the tool, of an unpin the reason ("expired", "yielded_running", "used"), else "".
    """

    at_s: float
    step: int
    what: What
    request: str
    tokens: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the engine: tokens of prompts computed, and requests that gained one token."""

    begin_s: float
    end_s: float
    prefill_tokens: int
    decoding: int


@dataclass(frozen=True, slots=True)
class Moment:
    """When to save the engine's rows: as decision number *decision* (from 0), taken in step *step*, was being made.

    For what a step decides that is when it first looked at its queue, for a handling just after it.
    """

    decision: int
    step: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What is to be written down: at most so many *decisions* and *steps*, the first. A run ends with its *moment*."""

    decisions: int = 200_000
    steps: int = 0
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What was written down. *left_out*: decisions beyond the most; *cut_s*: since when steps are left out, or None.

    *state*: of the moment, JSON as `lamps explain` reads it; "" where none was wanted or the engine has no policy.
    """

    decisions: tuple[Decision, ...] = ()
    left_out: int = 0
    steps: tuple[Step, ...] = ()
    cut_s: float | None = None
    state: str = ""
