"""What a comparison on real servers consists of: systems, loads, seeds, and the order of the runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.kept import load_document
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import Hints, Prompts
from engine_adapter.workload.trace import Trace, written

By = Literal["load", "rate", "clients", "recorded"]
# Sessions of a warm-up have seeds of their own, so that nothing of a run is in a prefix cache before it.
WARM_UP_SEED, WARM_UP_GAPS = 1_000_000, 0.1


@dataclass(frozen=True, slots=True)
class System:
    """One column: a server that is started for each run, or with *url* one that runs already.

    *policy*: a file, a shipped name, or "stock"; *revision*: of its rules, "" where it has none. *params*: words
    NAME=VALUE. *flags*: of `lamps serve` and vLLM, of this system alone.
    """

    name: str
    policy: str = ""
    params: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    url: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One load: a share of saturation, sessions a second, clients of a closed loop, or the trace's own times."""

    by: By
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison. *load*: all of the loads but what point and seed say; *flags*: those of every server.

    *warm_up*: sessions before each run that aren't counted. *saturation* in sessions/s; None: it is measured if any
    point is a share of it. *model*: what is served, None for the default, or a server's first.
    """

    systems: tuple[System, ...]
    trace: Trace
    load: Load
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    hints: Hints = "tool"
    prompts: Prompts = "tokens"
    model: str | None = None
    flags: tuple[str, ...] = ()
    warm_up: int = 30
    saturation: float | None = None
    api_key: str | None = None
    timeout_s: float = 600.0
    start_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One run."""

    system: System
    point: Point
    seed: int


def planned(asked: Asked) -> Iterator[Planned]:
    """Seed by seed, so that what is cut off lacks whole seeds; the first system is another one each time, so that a
    machine that becomes slower or faster favours none."""
    systems = asked.systems
    for n, seed in enumerate(asked.seeds):
        for m, point in enumerate(asked.points):
            first = (n + m) % len(systems)
            for system in (*systems[first:], *systems[:first]):
                yield Planned(system, point, seed)


def load_of(asked: Asked, point: Point, seed: int, saturation: float | None) -> Load:
    """What a run replays. *saturation*: sessions/s, needed where the point is a share of it."""
    match point.by:
        case "load":
            assert saturation is not None
            return replace(asked.load, rate=point.at * saturation, seed=seed)
        case "rate":
            return replace(asked.load, rate=point.at, seed=seed)
        case "clients":
            return replace(asked.load, arriving=Closed(int(point.at), think_s(asked.load)), seed=seed)
        case "recorded":
            return replace(asked.load, seed=seed)


def think_s(load: Load) -> float:
    """Mean seconds between the sessions of a client, where the load is a closed loop."""
    return load.arriving.think_s if isinstance(load.arriving, Closed) else 0.0


def warming(load: Load, sessions: int) -> Load:
    """The load that is replayed before *load* and not counted: other sessions, with short pauses."""
    return replace(
        load,
        sessions=sessions,
        seed=WARM_UP_SEED + load.seed,
        replacement=True,
        gap_scale=load.gap_scale * WARM_UP_GAPS,
        arriving=load.arriving if isinstance(load.arriving, Closed) else Load().arriving,
    )


def document(asked: Asked, system: System, point: Point, load: Load) -> dict[str, Any]:
    """What a run is found again by: all that was asked for. Not who carried it out, on what."""
    return {
        "system": system.name,
        "policy": system.policy,
        "params": list(system.params),
        "flags": [*asked.flags, *system.flags],
        "url": system.url,
        "model": asked.model,
        "trace": asked.trace.name,
        "trace_digest": digest(asked.trace),
        "by": point.by,
        "at": point.at,
        "load": load_document(load),
        "hints": asked.hints,
        "prompts": asked.prompts,
        "warm_up": asked.warm_up,
    }


def digest(trace: Trace) -> str:
    """Sixteen digits that differ when any session does."""
    return hashlib.sha256(written(trace.sessions)).hexdigest()[:16]


def points_of(by: By, values: Sequence[float]) -> tuple[Point, ...]:
    """Each value once, in the order given."""
    return tuple(Point(by, value) for value in dict.fromkeys(values))
