"""What is run: systems, workloads, engines, loads, and the questions of the paper's ablations.

A case is one run. Every question has its list of cases; a case that two questions ask for is run once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
By = Literal["load", "rate"]
SEEDS = (1, 2, 3, 4, 5)
# Of what stands beside the paper's comparison.
FEW_SEEDS = SEEDS[:3]
TRACES = ("augmented-single", "augmented-multi")
PROFILES = ("gptj-6b-a100", "vicuna-13b-a100")
# Sessions a second near which stock begins to queue in runs that begin with an empty engine, and what is run of them.
EMPTY_RATES = {
    ("augmented-single", "gptj-6b-a100"): 9.525612642842955,
    ("augmented-multi", "gptj-6b-a100"): 4.411156297058192,
    ("augmented-single", "vicuna-13b-a100"): 4.794303134994434,
    ("augmented-multi", "vicuna-13b-a100"): 1.8766767362770949,
}
SHARES = (0.5, 1.0, 1.25, 1.5)
# The two at which the paper's effects show: a little above that rate, and well above.
PRESSED, OVERLOADED = 1.1, 1.5
# Shares of saturation: the paper's systems, and the goal of bounded_tail.
LOADS = (0.5, 0.9, 1.1, 1.5)
GOAL_LOADS = (0.9, 1.1, 1.3)
# Sessions of a run at a rate, some 1,200 turns, and at a load, beside those that wait when it begins.
AT_RATE = {"augmented-single": 600, "augmented-multi": 250}
AT_LOAD = {"augmented-single": 800, "augmented-multi": 300}
# agentic-coding's prompts grow to hundreds of thousands of tokens; the engines modelled here hold tens of thousands.
LENGTH_SCALE = {"agentic-coding": 1 / 16}
# And its people pause for hours: at saturation thousands of sessions would be under way.
MAX_GAP_S = {"agentic-coding": 60.0}
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
# The same sessions one after the other: nobody waits and no step is shared, so that no order can be better.
ALONE = System("each session by itself", "stock")
HANDLING = System("handling alone", str(HERE / "policies" / "handling_only.lamps"))
RANKING = System("ranking alone", str(HERE / "policies" / "ranking_only.lamps"))

SYSTEMS = (STOCK, NO_CACHE, INFERCEPT, MARS, LAMPS, ONLINE)
NOISE = tuple(System(f"LAMPS, noise {n} %", "lamps", f"noise:{n / 100:g}") for n in (10, 20, 30, 40, 60))
# Seconds that a request waits before it goes first; the largest that the parameter takes never comes.
PATIENCE = tuple(System(f"LAMPS, {s:g} s", "lamps", params={"patience": s}) for s in (0.1, 1.0, 3.0, 30.0, 3600.0))


@dataclass(frozen=True, slots=True)
class Case:
    """One run. *at*: a load, the share of what stock can serve of this trace on this engine once it is behind; or,
    where *by* says so, sessions a second."""

    system: System
    trace: str
    profile: str
    at: float
    seed: int
    by: By = "load"

    @property
    def behind(self) -> bool:
        """Whether the run begins with the queue that the search for saturation begins with.

        Just above load 1 an engine that begins empty has no queue until chance brings one, and then stock has it for
        good: runs of such a load, without it, are of one kind or the other.
        """
        return self.by == "load" and self.at > 1

    @property
    def sessions(self) -> int | None:
        """How many arrive; None: those of a window on arrivals that have gone on for ever, as the search looks through.

        A session of `agentic-coding` lasts twenty minutes and more, so that hundreds are under way before an engine is
        full: a run that waited for them to arrive would be of an engine that fills up.
        """
        return (AT_RATE if self.by == "rate" else AT_LOAD).get(self.trace)


@dataclass(frozen=True, slots=True)
class Question:
    """A part of the report; all its cases are at loads, or all at rates."""

    name: str
    cases: tuple[Case, ...]

    @property
    def by(self) -> By:
        return self.cases[0].by


def questions() -> tuple[Question, ...]:
    """All of them, those first that others build on."""
    few = PROFILES[:1]
    return (
        Question("goal", tuple(_at_loads((STOCK, BOUNDED, BOUNDED_ONLINE, LAMPS, ALONE), GOAL_LOADS, SEEDS))),
        Question("comparison", tuple(_at_rates(SYSTEMS, SHARES))),
        Question("ablation", tuple(_at_rates((STOCK, HANDLING, RANKING, LAMPS), (PRESSED, OVERLOADED), few))),
        Question("noise", tuple(_at_rates((STOCK, LAMPS, *NOISE, ONLINE), (OVERLOADED,), few))),
        Question("patience", tuple(_at_rates((STOCK, LAMPS, *PATIENCE), (OVERLOADED,), few))),
        Question("loads", tuple(_at_loads(SYSTEMS, LOADS, FEW_SEEDS))),
        Question("agentic", tuple(_agentic((STOCK, INFERCEPT, ONLINE, BOUNDED_ONLINE)))),
    )


def _at_loads(systems: Sequence[System], loads: Sequence[float], seeds: Sequence[int]) -> Iterator[Case]:
    """Seed by seed, so that what is cut off lacks whole seeds."""
    for seed in seeds:
        for trace in TRACES:
            for load in loads:
                for system in systems:
                    yield Case(system, trace, PROFILES[0], load, seed)


def _at_rates(systems: Sequence[System], shares: Sequence[float], profiles: Sequence[str] = PROFILES) -> Iterator[Case]:
    for seed in SEEDS:
        for profile in profiles:
            for trace in TRACES:
                for share in shares:
                    for system in systems:
                        yield Case(system, trace, profile, share * EMPTY_RATES[trace, profile], seed, "rate")


def _agentic(systems: Sequence[System]) -> Iterator[Case]:
    """One seed: in a window sessions come at even intervals, and nothing is drawn by it."""
    for load in (0.5, 1.3):
        for system in systems:
            yield Case(system, "agentic-coding", AGENTIC_PROFILE, load, SEEDS[0])
