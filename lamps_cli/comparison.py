"""A comparison in virtual time: the runs it consists of, carried out in worker processes, and what is lost of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lamps_cli.errors import Failure
from lamps_cli.output import progress

if TYPE_CHECKING:
    from engine_adapter.virtual.profile import Profile
    from engine_adapter.virtual.simulate import SimResult, Simulation
    from engine_adapter.virtual.workers import Workers
    from engine_adapter.workload.load import Load
    from engine_adapter.workload.record import Recording
    from engine_adapter.workload.trace import Trace


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared under what. *policies*: each with its params, the one that ratios are to first.

    *load*: all of the loads but rate and seed. *shares* of saturation, or the *rate* in sessions/s. *recording*: what
    is written down of the runs of the first seed.
    """

    policies: Mapping[str, Mapping[str, float]]
    trace: Trace
    profile: Profile
    predict: str
    load: Load
    shares: tuple[float, ...]
    rate: float
    seeds: int
    recording: Recording | None = None


@dataclass(slots=True)
class Run:
    """One simulation of a comparison, and what came of it: a result, or in *lost* why there is none."""

    share: float | None
    policy: str
    seed: int
    simulation: Simulation
    result: SimResult | None = None
    lost: str = ""


@dataclass(slots=True)
class Comparison:
    """A question with its runs. *saturation* in sessions/s, None where loads aren't shares of it.

    *interrupted*: the user wanted no more, so some runs have no result.
    """

    question: Question
    saturation: float | None = None
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False

    @property
    def done(self) -> list[Run]:
        """The runs that have a result."""
        return [run for run in self.runs if run.result is not None]


def compare(question: Question) -> Comparison:
    """Answer it, as far as Ctrl-C lets it. Failure when no run can begin, KeyboardInterrupt when none has begun."""
    from engine_adapter.virtual.workers import Workers

    comparison = Comparison(question)
    with Workers() as workers:
        if question.shares:
            comparison.saturation = _saturation(question, workers)
        comparison.runs = _runs(question, comparison.saturation)
        try:
            _carry_out(comparison.runs, workers)
        except KeyboardInterrupt:
            comparison.interrupted = True
    progress("")
    return comparison


def _runs(question: Question, saturation: float | None) -> list[Run]:
    """Seed by seed and load by load, the policies one after the other: what is cut off lacks whole seeds."""
    from engine_adapter.virtual.simulate import Simulation

    points: Sequence[tuple[float | None, float]] = [(None, question.rate)]
    if saturation is not None:
        points = [(share, share * saturation) for share in question.shares]
    return [
        Run(share, name, seed, simulation)
        for seed in range(question.seeds)
        for share, rate in points
        for load in [replace(question.load, rate=rate, seed=seed)]
        for recording in [None if seed else question.recording]
        for name, params in question.policies.items()
        for simulation in [
            Simulation(name, question.trace, load, question.profile, question.predict, params, recording)
        ]
    ]


def _carry_out(runs: Sequence[Run], workers: Workers) -> None:
    """Fill in what came of each."""
    from engine_adapter.virtual.simulate import SimResult

    done = [0.0] * len(runs)
    for said in workers.run([run.simulation for run in runs]):
        match said.what:
            case float(share):
                done[said.number] = share
            case Exception() as problem:
                done[said.number], runs[said.number].lost = 1.0, str(problem)
            case SimResult() as result:
                done[said.number], runs[said.number].result = 1.0, result
        ended = sum(run.result is not None or bool(run.lost) for run in runs)
        progress(f"{ended} of {len(runs)} runs, {sum(done) / len(runs):.0%}")


def _saturation(question: Question, workers: Workers) -> float:
    """Sessions per second; see the help of the command."""
    from engine_adapter.virtual.jobs import Saturation, Search
    from engine_adapter.virtual.remembered import at_scale, recall, remember

    scaled = at_scale(question.trace, question.load)
    known = recall(scaled, question.profile)
    if known is not None:
        return known
    progress("finding saturation")
    for said in workers.run([Search(scaled, question.profile)]):
        match said.what:
            case float(share):
                progress(f"finding saturation, {share:.0%}")
            case Saturation(found):
                remember(scaled, question.profile, found)
                return found
            case problem:
                progress("")
                raise Failure(str(problem), "--rate takes sessions/s, --length-scale fits lengths to an engine")
    raise AssertionError("a job ends with an answer or an error")
