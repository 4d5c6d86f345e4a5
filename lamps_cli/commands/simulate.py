"""`lamps simulate`: compare policies in virtual time, the same load for each, over loads and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.chosen_policy import STOCK, chosen_policy, params_of_each
from lamps_cli.completing import policies, policy_list, predictions, profiles, traces
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.load_options import load_options
from lamps_cli.output import warn, write, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine_adapter.workload.load import Load
    from lamps_cli.comparison import Comparison, Question

_FILE = click.Path(dir_okay=False, path_type=Path)
NO_POLICY = (STOCK, "stock-no-cache")


def _one(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> str:
    """Who names two policies wants both: click alone would take the last and say nothing."""
    if len(given) > 1:
        raise click.BadParameter(f"one policy: compare it with others as --against {','.join(given[1:])}", ctx, param)
    return given[0]


@click.command()
@click.option(
    "--policy",
    multiple=True,
    default=("lamps",),
    show_default=True,
    callback=_one,
    metavar="FILE|NAME",
    shell_complete=policies,
    help="The first policy.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="FILE|NAME,...",
    shell_complete=policy_list,
    help="Others, `stock`, `stock-no-cache`.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="[POLICY.]NAME=VALUE",
    help="Set a param of a policy, else of the first: patience=5s, lamps.patience=5s.",
)
@click.option(
    "--trace",
    default="augmented-single",
    show_default=True,
    metavar="FILE|NAME",
    shell_complete=traces,
    help="A shipped trace or a file.",
)
@click.option(
    "--profile",
    default="gptj-6b-a100",
    show_default=True,
    metavar="FILE|NAME",
    shell_complete=profiles,
    help="A shipped profile or a file.",
)
@click.option("--load", "shares", metavar="SHARE,...", help="Load as a share of saturation.  [default: 0.9]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Sessions/s, instead of --load.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many.")
@click.option(
    "--predict",
    default="online",
    show_default=True,
    metavar="KIND",
    shell_complete=predictions,
    help="online, learned[:FILE], tool, oracle, or noise:0.3.",
)
@load_options
@click.option("--diff", is_flag=True, help="Show where the others decide differently from the first, and the effect.")
@click.option("--html", "page", type=_FILE, help="Write a report with plots, one page that needs no network.")
@click.option(
    "--chrome-trace",
    "traced",
    type=_FILE,
    help="Write what ran when, for ui.perfetto.dev: each policy at the first load and seed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every run as JSON.")
def simulate(
    policy: str,
    against: tuple[str, ...],
    params: tuple[str, ...],
    trace: str,
    profile: str,
    shares: str | None,
    rate: float | None,
    seeds: int,
    predict: str,
    load: Load,
    diff: bool,
    page: Path | None,
    traced: Path | None,
    as_json: bool,
) -> None:
    """Compare policies on vLLM's own scheduler in virtual time, each with the same arrivals and token ids.

    Load 1 is saturation: the most sessions per second at which stock vLLM, once it is behind, catches up again. It is
    searched by simulation once for each trace and profile, within a minute, and kept in the cache folder. Runs begin
    with an empty engine; above load 1 a queue comes by chance, then stays. Where --sessions isn't given, a run at a
    load has sessions for at least 6,000 turns. Intervals are t-intervals at 95 % over seeds; ratios are to the first
    policy, seed by seed.

    \b
    lamps simulate --policy lamps --against stock --load 0.9,1.1
    lamps simulate --policy my.lamps --against lamps,fcfs --rate 5 --predict oracle
    lamps simulate --against fcfs --load 0.7,0.9,1.1 --html report.html --diff

    Exit status: 0 all sessions finished, 1 some failed or a run was lost, 2 wrong use, 130 interrupted (the runs that
    are done are shown).
    """
    from lamps_cli.comparison import compare
    from lamps_cli.diverging import differences
    from lamps_cli.report.difference_view import show
    from lamps_cli.simulate_outputs import recording, write_page, write_trace
    from lamps_cli.simulate_view import document, render

    given = _with_params([policy, *(name for names in against for name in names.split(",") if name)], params)
    if diff and len(given) < 2:
        raise Failure("a difference needs two policies: say --against which")
    wanted = recording(diff, page, traced)
    question = _question(given, trace, profile, predict, load, shares, rate, seeds)
    comparison = compare(replace(question, recording=wanted))
    _none_done(comparison)
    found = differences(comparison) if diff or page is not None else []
    if page is not None:
        write_page(page, comparison, found)
    if traced is not None:
        write_trace(traced, comparison)
    if as_json:
        write_json(document(comparison) | ({"differences": [asdict(d) for d in found]} if diff else {}))
    else:
        write("\n\n".join([render(comparison), *(show(d) for d in found if diff)]))
    raise click.exceptions.Exit(_told(comparison))


def _with_params(names: Sequence[str], params: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """The values given for each policy. Failure when one can't be used."""
    if len(set(names)) < len(names):
        raise Failure("a policy is given twice")
    return {name: _checked(name, words) for name, words in params_of_each(params, names).items()}


def _checked(name: str, params: Sequence[str]) -> Mapping[str, float]:
    if name not in NO_POLICY:
        return chosen_policy(name, params, without="nothing was simulated").params
    if params:
        raise Failure(f"{name} has no params")
    return {}


def _question(
    given: Mapping[str, Mapping[str, float]],
    trace: str,
    profile: str,
    predict: str,
    load: Load,
    shares: str | None,
    rate: float | None,
    seeds: int,
) -> Question:
    """What is to be simulated. Failure, before anything starts, when it can't be."""
    from engine_adapter.virtual.hints import teller
    from engine_adapter.virtual.profile import ProfileError, load_profile
    from engine_adapter.virtual.saturation import telling
    from engine_adapter.workload.arriving import Bursty, Poisson
    from engine_adapter.workload.load import plan
    from engine_adapter.workload.trace import TraceError, load_trace
    from lamps_cli.comparison import Question

    if rate is not None and (shares is not None or not math.isfinite(rate)):
        raise Failure("either --load or a finite --rate is wanted")
    at_rate = isinstance(load.arriving, Poisson | Bursty)
    if not at_rate and (shares is not None or rate is not None):
        raise Failure("recorded and closed arrivals have their own rate: neither --load nor --rate is taken")
    wanted = _shares(shares or "0.9") if rate is None and at_rate else ()
    try:
        teller(predict, 0)
        sample, engine = load_trace(trace), load_profile(profile)
        if wanted and load.sessions is None:
            sessions = telling(sample)
            load = replace(load, sessions=sessions, replacement=load.replacement or sessions > len(sample.sessions))
        plan(sample, load)
    except (TraceError, ProfileError, ValueError) as problem:
        raise Failure(str(problem)) from None
    return Question(given, sample, engine, predict, load, wanted, rate or 1.0, seeds)


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 100 for share in shares):
        raise Failure(f"--load {text}: shares of saturation are wanted, as 0.9,1.1")
    return tuple(dict.fromkeys(shares))


def _none_done(comparison: Comparison) -> None:
    """Ends the command where there is nothing to show."""
    if comparison.done:
        return
    if comparison.interrupted:
        raise Failure("interrupted before a run was done", code=ExitCode.INTERRUPTED)
    raise Failure(comparison.runs[0].lost)


def _told(comparison: Comparison) -> ExitCode:
    """The exit status, after what the person should know of the figures."""
    done, runs = comparison.done, comparison.runs
    for run in runs:
        if run.lost:
            load = "" if run.share is None else f" at load {run.share:g}"
            warn(f"{run.policy}{load}, seed {run.seed}: {run.lost}")
    if comparison.interrupted:
        warn(f"interrupted: {len(done)} of {len(runs)} runs are shown")
        return ExitCode.INTERRUPTED
    failed = [session for run in done if run.result for session in run.result.result.sessions if not session.finished]
    if failed:
        warn(f"some sessions failed: the latencies are those of the others ({failed[0].error})")
    return ExitCode.FINDINGS if failed or len(done) < len(runs) else ExitCode.OK
