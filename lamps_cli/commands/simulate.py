"""`lamps simulate`: compare policies in virtual time, the same load for each, over loads and seeds."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.load_options import arrival_options, describe_arrivals
from lamps_cli.output import warn, write, write_json

if TYPE_CHECKING:
    from engine_adapter.virtual.profile import Profile
    from engine_adapter.virtual.simulate import SimResult, Simulation
    from engine_adapter.workload.arriving import Arriving
    from engine_adapter.workload.trace import Trace

STOCK = ("stock", "stock-no-cache")


@dataclass(slots=True)
class _Run:
    """One simulation of the comparison, and what came of it."""

    load: float | None
    policy: str
    seed: int
    simulation: Simulation
    document: dict[str, Any] | None = None
    figures: dict[str, float] = field(default_factory=dict)


@click.command()
@click.option("--policy", default="lamps", show_default=True, metavar="FILE|NAME", help="The first policy.")
@click.option("--against", multiple=True, metavar="FILE|NAME,...", help="Others, `stock`, `stock-no-cache`.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a param of the first policy.")
@click.option("--trace", default="augmented-single", show_default=True, help="A shipped trace or a file.")
@click.option("--profile", default="gptj-6b-a100", show_default=True, help="A shipped profile or a file.")
@click.option("--load", "loads", metavar="SHARE,...", help="Load as a share of saturation.  [default: 0.9]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Sessions/s, instead of --load.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many.")
@click.option("--sessions", type=click.IntRange(1), help="Sessions of a run.  [default: each of the trace once]")
@click.option("--predict", default="online", show_default=True, help="online, tool, oracle, or noise:0.3.")
@arrival_options
@click.option("--json", "as_json", is_flag=True, help="Print every run as JSON.")
def simulate(
    policy: str,
    against: tuple[str, ...],
    params: tuple[str, ...],
    trace: str,
    profile: str,
    loads: str | None,
    rate: float | None,
    seeds: int,
    sessions: int | None,
    predict: str,
    arriving: Arriving,
    as_json: bool,
) -> None:
    """Compare policies on vLLM's own scheduler in virtual time, each with the same arrivals and token ids.

    Saturation is the sessions per second that stock vLLM serves when sessions of half a million tokens come at once,
    over the first three quarters of these tokens. It is what stock serves of a backlog: ahead of its load, with its
    prefix cache, it may serve more.
    Intervals are t-intervals at 95 % over seeds; ratios are to the first policy, seed by seed.

    \b
    lamps simulate --policy lamps --against stock --load 0.9,1.1
    lamps simulate --policy my.lamps --against lamps,fcfs --rate 5 --predict oracle

    Exit status: 0 all sessions finished, 1 some failed, 2 wrong use, 130 interrupted (what is done is shown).
    """
    from engine_adapter.virtual.hints import teller
    from engine_adapter.virtual.profile import ProfileError, load_profile
    from engine_adapter.virtual.simulate import Simulation
    from engine_adapter.workload.arriving import Bursty, Poisson
    from engine_adapter.workload.load import Load, plan
    from engine_adapter.workload.trace import TraceError, load_trace

    shares = _shares(loads)
    at_rate = isinstance(arriving, Poisson | Bursty)
    if rate is not None and (loads is not None or not math.isfinite(rate)):
        raise Failure("either --load or a finite --rate is wanted")
    if not at_rate and (loads is not None or rate is not None):
        raise Failure("recorded and closed arrivals have their own rate: neither --load nor --rate is taken")
    names = [policy, *(name for given in against for name in given.split(",") if name)]
    if len(set(names)) < len(names):
        raise Failure("a policy is given twice")
    values = {name: _checked(name, params if name == policy else ()) for name in names}
    try:
        teller(predict, 0)
        sample, engine = load_trace(trace), load_profile(profile)
        plan(sample, Load(sessions=sessions, arriving=arriving))
    except (TraceError, ProfileError, ValueError) as problem:
        raise Failure(str(problem)) from None
    saturation = None
    try:
        if rate is None and at_rate:
            saturation = _saturation(sample, engine)
        points = [(None, rate or 1.0)] if saturation is None else [(share, share * saturation) for share in shares]
        runs = [
            _Run(share, name, seed, Simulation(name, sample, load, engine, predict, values[name]))
            for seed in range(seeds)
            for share, per_s in points
            for load in [Load(per_s, sessions, seed, arriving=arriving)]
            for name in names
        ]
        _run(runs)
    except KeyboardInterrupt:
        if saturation is None and rate is None and at_rate:
            raise
        interrupted = True
    else:
        interrupted = False
    done = [run for run in runs if run.document is not None]
    if as_json:
        head = {"trace": sample.name, "profile": engine.name, "predict": predict, "saturation_per_s": saturation}
        write_json(head | {"interrupted": interrupted, "runs": [run.document for run in done]})
    else:
        write(_render(done, f"{sample.name} on {engine.name}", saturation))
    if interrupted:
        warn(f"interrupted: {len(done)} of {len(runs)} runs are shown")
        raise click.exceptions.Exit(ExitCode.INTERRUPTED)
    if any(run.figures["failed"] for run in done):
        warn("some sessions failed: the latencies are those of the others")
        raise click.exceptions.Exit(ExitCode.FINDINGS)


def _shares(loads: str | None) -> list[float]:
    try:
        shares = [float(text) for text in (loads or "0.9").split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 100 for share in shares):
        raise Failure(f"--load {loads}: shares of saturation are wanted, as 0.9,1.1")
    return shares


def _checked(name: str, params: Sequence[str]) -> dict[str, float]:
    """The params given to a policy that can be used."""
    from lamps_cli.commands.serve import check_policy, param_values

    if name not in STOCK:
        check_policy(name, tuple(params))
    elif params:
        raise Failure(f"{name} has no params")
    return param_values(tuple(params))


def _saturation(trace: Trace, profile: Profile) -> float:
    """Sessions per second; see the help of the command."""
    from engine_adapter.virtual.saturation import probe, saturation
    from engine_adapter.virtual.workers import run_all

    _show("finding saturation")
    for said in run_all([probe(trace, profile)]):
        if isinstance(said.what, float):
            _show(f"finding saturation, {said.what:.0%}")
            continue
        found = saturation(_result(said.what).result.sessions)
        if not found:
            raise Failure("no session of the trace is served by this engine, so there is no saturation: give --rate")
        return found
    raise AssertionError("a job ends with a result or an error")


def _run(runs: list[_Run]) -> None:
    """Fill in what came of each. Failure when one can't begin."""
    from engine_adapter.virtual.workers import run_all
    from engine_adapter.workload.summary import as_document, summarize
    from lamps_cli.simulate_view import figures

    share = [0.0] * len(runs)
    for said in run_all([run.simulation for run in runs]):
        share[said.number] = said.what if isinstance(said.what, float) else 1.0
        _show(f"{sum(run.document is not None for run in runs)} of {len(runs)} runs, {sum(share) / len(runs):.0%}")
        if isinstance(said.what, float):
            continue
        result, run = _result(said.what), runs[said.number]
        run.figures = figures(summarize(result.result))
        run.figures["preemptions"] = result.counters.get("preemptions", 0.0)  # a count that never rose isn't there
        run.document = {"policy": run.policy, "load": run.load, "seed": run.seed, "params": dict(run.simulation.params)}
        run.document |= as_document(result.result) | {"reason": result.reason, "steps": result.steps}
        run.document["load_options"] = asdict(run.simulation.load)
        run.document["load"] = run.load
    _show("")


def _result(what: SimResult | Exception) -> SimResult:
    if isinstance(what, Exception):
        _show("")
        raise Failure(str(what))
    return what


def _show(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)


def _render(runs: list[_Run], what: str, saturation: float | None) -> str:
    from lamps_cli.simulate_view import table

    blocks = [what + (f", saturation {saturation:.2f} sessions/s" if saturation else "")]
    for load in dict.fromkeys(run.load for run in runs):
        here = [run for run in runs if run.load == load]
        policies = {run.policy: {r.seed: r.figures for r in here if r.policy == run.policy} for run in here}
        arrivals = here[0].simulation.load
        share = "" if load is None else f"load {load:g}, "
        head = f"{share}{describe_arrivals(arrivals.arriving, round(arrivals.rate, 4))}"
        oracle = "ORACLE " if here[0].simulation.predict.startswith(("oracle", "noise")) else ""
        head += f", {len({run.seed for run in here})} seeds, {oracle}predictions {here[0].simulation.predict}"
        blocks.append(f"{head}\n{table(policies)}")
    return "\n\n".join(blocks)
