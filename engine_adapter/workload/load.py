"""Load: which sessions of a trace arrive when, at what scale. The same seed gives the same load, on every machine."""

from __future__ import annotations

import random
from dataclasses import dataclass

from engine_adapter.workload.trace import SessionTrace, Trace, TraceError, Turn

# Token ids that any model's vocabulary of 32,000 or more has and where special tokens don't live.
FIRST_TOKEN, LAST_TOKEN = 1_000, 31_000


@dataclass(frozen=True, slots=True)
class Load:
    """How a trace is replayed."""

    rate: float = 1.0
    """Sessions that arrive per second, on average: a Poisson process."""
    sessions: int | None = None
    """How many; None: each session of the trace once."""
    seed: int = 0
    replacement: bool = False
    """Draw with replacement, as the evaluations of LAMPS and MARS do, or each at most once."""
    gap_scale: float = 1.0
    max_gap_s: float | None = None
    """Longer gaps, after scaling, are cut to this."""
    length_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One session to replay: *arrival_s* after the start, under a name that is unique in the run."""

    name: str
    arrival_s: float
    session: SessionTrace


def arrivals(trace: Trace, load: Load) -> tuple[Arrival, ...]:
    """The sessions of *trace* that *load* draws, in order of arrival. Raises TraceError when it can't be done.

    A sub-agent of a trace is a session like any other: its start is not tied to its parent's.
    """
    count = len(trace.sessions) if load.sessions is None else load.sessions
    draw = random.Random(f"{load.seed}/draw")
    if load.replacement:
        drawn = draw.choices(trace.sessions, k=count)
    elif count <= len(trace.sessions):
        drawn = draw.sample(trace.sessions, k=count)
    else:
        raise TraceError(
            f"{trace.name} has {len(trace.sessions)} sessions, {count} are asked for: draw fewer, or with replacement"
        )
    clock = random.Random(f"{load.seed}/arrivals")
    at = 0.0
    planned = []
    for number, session in enumerate(drawn):
        at += clock.expovariate(load.rate)
        planned.append(Arrival(f"{load.seed}-{number:04d}-{session.name}", at, scaled(session, load)))
    return tuple(planned)


def scaled(session: SessionTrace, load: Load) -> SessionTrace:
    """The session with lengths and gaps as *load* wants them. Every turn keeps at least one prompt and output token."""
    longest_gap = float("inf") if load.max_gap_s is None else load.max_gap_s
    turns: list[Turn] = []
    known = 0
    for turn in session.turns:
        prompt = max(1, round(turn.prompt * load.length_scale))
        output = max(1, round(turn.output * load.length_scale))
        shared = min(round(turn.shared * load.length_scale), prompt, known)
        turns.append(Turn(prompt, shared, output, min(turn.gap_s * load.gap_scale, longest_gap), turn.after))
        known = prompt + output
    return SessionTrace(session.name, tuple(turns), session.tool, session.parent)


class TokenSource:
    """The token ids of one session: its own, so that no two sessions share a prefix by accident."""

    def __init__(self, seed: int, name: str) -> None:
        self._random = random.Random(f"{seed}/tokens/{name}")
        self._known: list[int] = []

    def prompt(self, turn: Turn) -> list[int]:
        """The prompt of the next turn: the shared start of what the session holds, then fresh ids."""
        shared = self._known[: turn.shared]
        fresh = self._random.choices(range(FIRST_TOKEN, LAST_TOKEN), k=turn.prompt - len(shared))
        return shared + fresh

    def answered(self, prompt: list[int], output: list[int]) -> None:
        """Remember the turn with what the engine really generated: only that is in its prefix cache."""
        self._known = prompt + output
