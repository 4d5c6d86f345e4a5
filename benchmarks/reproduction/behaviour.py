"""What virtual time does under each policy, told in eight digits: whether results are of code that does the same.

    python -m benchmarks.reproduction.behaviour

A few short runs past saturation are hashed by when every turn had its first and last token, policy by policy.
`BEHAVIOUR` has the hashes; a test runs them again, and results are kept by them. So a change that only makes code
faster or clearer leaves results standing, and one that decides anything else in any of these runs can't go unnoticed:
results from before it are told apart (`tables`) and made anew (`run`). Not seen is what none of these runs has in it:
swap, gates, other engines. A quarter of a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.reproduction.cases import (
    BOUNDED,
    BOUNDED_ONLINE,
    HANDLING,
    INFERCEPT,
    LAMPS,
    MARS,
    NO_CACHE,
    NOISE,
    ONLINE,
    RANKING,
    STOCK,
    System,
)
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation, simulate
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import SessionResult
from engine_adapter.workload.trace import load_trace

BEHAVIOUR = {
    "stock": "c43148b5",
    "stock-no-cache": "5317adc0",
    "infercept": "8d5010bb",
    "mars": "91d0f8c2",
    "lamps": "39223403",
    "handling_only": "e276fd8d",
    "ranking_only": "cdbf2d06",
    "bounded_tail": "33d24d9b",
}
"""Of the code that stands here, by policy: `python -m benchmarks.reproduction.behaviour` says it."""

# Sessions that come within a few seconds: many times what the memory holds, so that requests wait and are preempted,
# pins are made and given up, and requests wait long enough to be promoted. With a third of them a change of the cost
# model went unnoticed that moved figures of `bounded_tail`.
_SESSIONS = {"augmented-single": 400, "augmented-multi": 300}
_RATE, _PROFILE, _SEED = 100.0, "gptj-6b-a100", 1
_RUNS: Sequence[tuple[System, str]] = (
    (STOCK, "augmented-multi"),
    (NO_CACHE, "augmented-single"),
    (INFERCEPT, "augmented-single"),
    (MARS, "augmented-single"),
    (LAMPS, "augmented-multi"),
    (NOISE[0], "augmented-single"),
    (ONLINE, "augmented-single"),
    (HANDLING, "augmented-single"),
    (RANKING, "augmented-single"),
    (BOUNDED, "augmented-single"),
    (BOUNDED_ONLINE, "augmented-multi"),
)


def behaviour() -> dict[str, str]:
    """The hashes of the runs, by policy: the same wherever virtual time does the same."""
    hashes = {_name(system): hashlib.sha256() for system, _ in _RUNS}
    for system, trace in _RUNS:
        load = Load(_RATE, _SESSIONS[trace], _SEED, replacement=True)
        simulation = Simulation(
            system.policy, load_trace(trace), load, load_profile(_PROFILE), system.predict, system.params
        )
        hashes[_name(system)].update("\n".join(_told(simulate(simulation).result.sessions)).encode())
    return {name: found.hexdigest()[:8] for name, found in hashes.items()}


def behaviour_of(system: System) -> str:
    """What results of *system* are kept by; of a policy that isn't run here: by all."""
    return BEHAVIOUR.get(_name(system)) or hashlib.sha256(repr(sorted(BEHAVIOUR.items())).encode()).hexdigest()[:8]


def _name(system: System) -> str:
    return Path(system.policy).stem


def _told(sessions: tuple[SessionResult, ...]) -> Iterator[str]:
    """Instants to the microsecond: what arithmetic differs by between machines is far below."""
    for session in sessions:
        for turn in session.turns:
            yield f"{session.name} {turn.first_token_s or 0.0:.6f} {turn.done_s or 0.0:.6f}"


if __name__ == "__main__":
    print(behaviour())
