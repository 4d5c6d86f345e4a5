"""When sessions arrive: at random, in bursts, as recorded, or as others end.

The first three are open loops: arrivals don't wait for the server, which is how many independent users behave. The
last is a closed loop: so many clients, each with one session at a time, which can never overload a server.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf

from engine_adapter.workload.trace import SessionTrace, TraceError


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals at the load's rate: exponential gaps."""


@dataclass(frozen=True, slots=True)
class Bursty:
    """Gamma-distributed gaps at the load's rate.

    BurstGPT (arXiv 2401.17644) and ServeGen (arXiv 2505.09999) fit measured arrivals with them.
    """

    cv: float
    """Coefficient of variation of the gaps, their deviation over their mean: 0 a metronome, 1 the Poisson process,
    above that bursts. The shape of the gamma distribution is 1/cv^2."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The trace's own times. The load's rate plays no part."""

    time_scale: float = 1.0
    """Times all of them: 0.5 is twice the load."""


@dataclass(frozen=True, slots=True)
class Closed:
    """So many clients, each beginning its next session when its last has ended. The load's rate plays no part."""

    clients: int
    think_s: float = 0.0
    """Mean of the time between a session's end and the next one's start, exponentially distributed."""


Arriving = Poisson | Bursty | Recorded | Closed


def gaps(arriving: Poisson | Bursty, rate: float, seed: int) -> Iterator[float]:
    """Seconds from one arrival to the next, without end. Two processes with one seed and rate differ in bursts only."""
    clock = random.Random(f"{seed}/arrivals")
    match arriving:
        case Poisson():
            while True:
                yield clock.expovariate(rate)
        case Bursty(cv=0):
            while True:
                yield 1 / rate
        case Bursty(cv=cv):
            while True:
                yield clock.gammavariate(cv**-2, cv**2) / rate


def think_times(closed: Closed, seed: int, count: int) -> tuple[float, ...]:
    """Seconds before each of *count* sessions. They belong to the session, whichever client takes it."""
    if closed.think_s == 0:
        return (0.0,) * count
    clock = random.Random(f"{seed}/think")
    return tuple(clock.expovariate(1 / closed.think_s) for _ in range(count))


def recorded_times(sessions: Sequence[SessionTrace], time_scale: float) -> Mapping[str, float]:
    """When each session of a trace arrived, in seconds from the first, by name. A sub-agent's start is its parent's
    and its own offset. Raises TraceError when the trace doesn't tell."""
    by_name = {session.name: session for session in sessions}
    times: dict[str, float] = {}

    for session in sessions:
        at, ancestor, seen = 0.0, session, {session.name}
        while True:
            if ancestor.start_s is None:
                raise TraceError(f"session {ancestor.name!r} has no start: the trace can't be replayed as recorded")
            at += ancestor.start_s
            if ancestor.parent not in by_name or ancestor.parent in seen:
                break
            ancestor = by_name[ancestor.parent]
            seen.add(ancestor.name)
        times[session.name] = at
    first = min(times.values(), default=0.0)
    return {name: (at - first) * time_scale for name, at in times.items()}


def first_times(arriving: Poisson | Bursty, rate: float, seed: int, count: int) -> list[float]:
    """When the first *count* sessions arrive, in seconds from the start."""
    at = 0.0
    times = []
    for gap in islice(gaps(arriving, rate, seed), count):
        at += gap
        times.append(at)
    if at == inf:
        raise TraceError(f"at {rate:g} sessions a second the last arrival is never")
    return times
