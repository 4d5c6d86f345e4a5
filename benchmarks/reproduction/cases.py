"""What is run: systems, workloads, engines, loads, and the questions of the paper's ablations.

A case is one run. Every question has its list of cases; a case that two questions ask for is run once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SEEDS = (1, 2, 3, 4, 5)
LOADS = (0.5, 1.0, 1.25, 1.5)
TRACES = ("augmented-single", "augmented-multi")
PROFILES = ("gptj-6b-a100", "vicuna-13b-a100")
# The two at which the paper's effects show: a little above what stock can serve, and well above.
PRESSED, OVERLOADED = 1.1, 1.5
# Sessions of one run: some 1,200 turns of either trace, a minute or two of virtual time at saturation.
SESSIONS = {"augmented-single": 600, "augmented-multi": 250, "agentic-coding": 60}
# agentic-coding's prompts grow to hundreds of thousands of tokens; the engines modelled here hold tens of thousands.
LENGTH_SCALE = {"agentic-coding": 1 / 16}
AGENTIC_PROFILE = "llama3-8b-h100"


@dataclass(frozen=True, slots=True)
class System:
    """One column. *predict*: what its scheduler is told, in the words of `lamps simulate`."""

    name: str
    policy: str
    predict: str = "oracle"
    params: Mapping[str, float] = field(default_factory=dict)


STOCK = System("vLLM", "stock")
NO_CACHE = System("vLLM, no prefix cache", "stock-no-cache")
INFERCEPT = System("InferCept", "infercept")
MARS = System("MARS as coded", "mars")
LAMPS = System("LAMPS", "lamps")
ONLINE = System("LAMPS, online", "lamps", "online")
BOUNDED = System("bounded_tail", "bounded_tail")
BOUNDED_ONLINE = System("bounded_tail, online", "bounded_tail", "online")
HANDLING = System("handling alone", str(HERE / "policies" / "handling_only.lamps"))
RANKING = System("ranking alone", str(HERE / "policies" / "ranking_only.lamps"))

SYSTEMS = (STOCK, NO_CACHE, INFERCEPT, MARS, LAMPS, ONLINE)
NOISE = tuple(System(f"LAMPS, noise {n} %", "lamps", f"noise:{n / 100:g}") for n in (10, 20, 30, 40, 60))
# Seconds that a request waits before it goes first; the largest that the parameter takes never comes.
PATIENCE = tuple(System(f"LAMPS, {s:g} s", "lamps", params={"patience": s}) for s in (0.1, 1.0, 3.0, 30.0, 3600.0))


@dataclass(frozen=True, slots=True)
class Case:
    """One run. *load*: share of what stock can serve of this trace on this engine."""

    system: System
    trace: str
    profile: str
    load: float
    seed: int


@dataclass(frozen=True, slots=True)
class Question:
    """A part of the report."""

    name: str
    cases: tuple[Case, ...]


def questions() -> tuple[Question, ...]:
    """All of them, those first that others build on."""
    return (
        Question("comparison", tuple(_grid(SYSTEMS, LOADS))),
        Question("goal", tuple(_grid((STOCK, BOUNDED, BOUNDED_ONLINE, LAMPS), (0.9, PRESSED, 1.3), PROFILES[:1]))),
        Question("ablation", tuple(_grid((STOCK, HANDLING, RANKING, LAMPS), (PRESSED, OVERLOADED), PROFILES[:1]))),
        Question("noise", tuple(_grid((STOCK, LAMPS, *NOISE, ONLINE), (OVERLOADED,), PROFILES[:1]))),
        Question("patience", tuple(_grid((STOCK, LAMPS, *PATIENCE), (OVERLOADED,), PROFILES[:1]))),
        Question(
            "agentic",
            tuple(
                Case(system, "agentic-coding", AGENTIC_PROFILE, load, seed)
                for seed in SEEDS
                for load in (0.5, 1.0, 1.5)
                for system in (STOCK, INFERCEPT, LAMPS, ONLINE, BOUNDED_ONLINE)
            ),
        ),
    )


def _grid(
    systems: tuple[System, ...], loads: tuple[float, ...], profiles: tuple[str, ...] = PROFILES
) -> Iterator[Case]:
    """Seed by seed, so that what is cut off lacks whole seeds."""
    for seed in SEEDS:
        for profile in profiles:
            for trace in TRACES:
                for load in loads:
                    for system in systems:
                        yield Case(system, trace, profile, load, seed)
