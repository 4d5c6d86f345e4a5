"""Load: which sessions of a trace arrive when, at what scale. The same seed gives the same load, on every machine."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field, replace

from engine_adapter.workload.arriving import (
    Arriving,
    Closed,
    Poisson,
    Recorded,
    first_times,
    recorded_times,
    think_times,
)
from engine_adapter.workload.lines import MAX_SECONDS, MAX_TOKENS
from engine_adapter.workload.trace import SessionTrace, Trace, TraceError, Turn

# Token ids that any model's vocabulary of 32,000 or more has and where special tokens don't live.
FIRST_TOKEN, LAST_TOKEN = 1_000, 31_000


@dataclass(frozen=True, slots=True)
class Load:
    """How a trace is replayed."""

    rate: float = 1.0
    """Sessions that arrive per second, on average; for Poisson and Bursty arrivals."""
    sessions: int | None = None
    """How many; None: each session of the trace once."""
    seed: int = 0
    replacement: bool = False
    """Draw with replacement, as the evaluations of LAMPS and MARS do, or each at most once."""
    gap_scale: float = 1.0
    max_gap_s: float | None = None
    """Longer gaps, after scaling, are cut to this."""
    length_scale: float = 1.0
    arriving: Arriving = field(default_factory=Poisson)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One session to replay: *arrival_s* after the start, under a name that is unique in the run."""

    name: str
    arrival_s: float
    session: SessionTrace


class Plan:
    """The sessions of a run and when each begins, for any driver: of a server, or of virtual time.

    Start *first* at their times. Whenever a session has ended, finished or failed, ask *after_end* for the one that
    begins because of it. In an open loop *first* is all there is and *after_end* always None.
    """

    def __init__(self, first: tuple[Arrival, ...], waiting: tuple[Arrival, ...] = ()) -> None:
        self.first = first
        self._waiting = deque(waiting)
        self.all = (*first, *waiting)
        """Every session of the run. The arrival_s of those that wait for an end is their time after it."""

    def after_end(self, ended_s: float) -> Arrival | None:
        """The session that begins because one has ended at *ended_s*: its arrival_s is when. None: no more."""
        if not self._waiting:
            return None
        upcoming = self._waiting.popleft()
        return replace(upcoming, arrival_s=ended_s + upcoming.arrival_s)


def plan(trace: Trace, load: Load) -> Plan:
    """The run of *load*. Raises TraceError when it can't be done.

    A sub-agent of a trace is a session like any other: its start is tied to its parent's in recorded time only.
    """
    _check_scales(trace, load)
    drawn = _drawn(trace, load)
    match load.arriving:
        case Closed() as closed:
            named = _named(drawn, think_times(closed, load.seed, len(drawn)), load)
            return Plan(named[: closed.clients], named[closed.clients :])
        case Recorded() as recorded:
            if load.replacement:
                raise TraceError("recorded arrivals are each session's own: it can't be drawn twice")
            at = recorded_times(trace.sessions, recorded.time_scale)
            named = _named(drawn, [at[session.name] for session in drawn], load)
            return Plan(tuple(sorted(named, key=lambda arrival: (arrival.arrival_s, arrival.name))))
        case at_random:
            return Plan(_named(drawn, first_times(at_random, load.rate, load.seed, len(drawn)), load))


def arrivals(trace: Trace, load: Load) -> tuple[Arrival, ...]:
    """The sessions of an open loop in order of arrival. Raises TraceError when it can't be done, or for a closed loop,
    whose arrivals depend on the run."""
    if isinstance(load.arriving, Closed):
        raise TraceError("in a closed loop arrivals depend on when sessions end")
    return plan(trace, load).first


def _check_scales(trace: Trace, load: Load) -> None:
    """A scale is held to the bounds of a trace file: beyond them it is a mistake, and a gap of 10^300 s a hang."""
    longest = max(session.longest for session in trace.sessions) * load.length_scale
    if not longest <= MAX_TOKENS:
        raise TraceError(f"lengths x {load.length_scale:g} make a turn of {longest:g} tokens, more than {MAX_TOKENS}")
    gap_s = max(turn.gap_s for session in trace.sessions for turn in session.turns) * load.gap_scale
    if load.max_gap_s is not None and load.gap_scale < math.inf:  # infinitely many times no gap is not a number
        gap_s = min(gap_s, load.max_gap_s)
    if not gap_s <= MAX_SECONDS:
        raise TraceError(f"gaps x {load.gap_scale:g} make one of {gap_s:g} s, longer than {MAX_SECONDS:g} s")


def _drawn(trace: Trace, load: Load) -> list[SessionTrace]:
    count = len(trace.sessions) if load.sessions is None else load.sessions
    draw = random.Random(f"{load.seed}/draw")
    if load.replacement:
        return draw.choices(trace.sessions, k=count)
    if count <= len(trace.sessions):
        return draw.sample(trace.sessions, k=count)
    raise TraceError(
        f"{trace.name} has {len(trace.sessions)} sessions, {count} are asked for: draw fewer, or with replacement"
    )


def _named(drawn: list[SessionTrace], times: list[float] | tuple[float, ...], load: Load) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(f"{load.seed}-{number:04d}-{session.name}", at, scaled(session, load))
        for number, (session, at) in enumerate(zip(drawn, times, strict=True))
    )


def scaled(session: SessionTrace, load: Load) -> SessionTrace:
    """The session with lengths and gaps as *load* wants them. Every turn keeps at least one prompt and output token."""
    longest_gap = float("inf") if load.max_gap_s is None else load.max_gap_s
    turns: list[Turn] = []
    known = 0
    for turn in session.turns:
        prompt = max(1, round(turn.prompt * load.length_scale))
        output = max(1, round(turn.output * load.length_scale))
        shared = min(round(turn.shared * load.length_scale), prompt, known)
        gap_s = min(turn.gap_s * load.gap_scale, longest_gap)
        turns.append(Turn(prompt, shared, output, gap_s, turn.after, turn.tool))
        known = prompt + output
    return replace(session, turns=tuple(turns))


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
