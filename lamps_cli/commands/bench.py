"""`lamps bench TRACE`: replay recorded sessions against servers and print what their users would have seen.

One server is measured once; several systems are measured against each other, over loads and seeds.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.completing import policy_list, traces
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.load_options import load_options
from lamps_cli.number_list import counts, numbers
from lamps_cli.output import progress, to_json, write, write_json
from lamps_cli.writing import need_folder, save

if TYPE_CHECKING:
    from engine_adapter.workload.load import Load

_FILE = click.Path(dir_okay=False, path_type=Path)
ONE_URL = "http://127.0.0.1:8000"


@click.command()
@click.argument("trace", shell_complete=traces)
@click.option("--url", "urls", multiple=True, metavar="[NAME=]URL", help=f"A server.  [default: {ONE_URL}]")
@click.option(
    "--policies",
    metavar="FILE|NAME,...",
    shell_complete=policy_list,
    help="Start a server for each run, under these policies; `stock` is vLLM's own scheduler.",
)
@click.option("--param", "params", multiple=True, metavar="[POLICY.]NAME=VALUE", help="A param of a policy.")
@click.option(
    "--rate",
    "rates",
    callback=numbers,
    metavar="N,...",
    default="1",
    show_default=True,
    help="Sessions/s; several compare.",
)
@click.option(
    "--load", "shares", callback=numbers, metavar="N,...", help="Shares of saturation, instead of --rate: 0.5,0.9,1.1"
)
@click.option(
    "--saturation", type=click.FloatRange(0, min_open=True), help="Sessions/s of load 1.  [default: measured]"
)
@click.option(
    "--concurrency", callback=counts, metavar="N,...", help="Clients of a closed loop, instead of --rate: 8,16,32"
)
@load_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw, the arrivals and the token ids.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="So many, from --seed on.  [default: 1; 3 to compare]")
@click.option("--warm-up", type=click.IntRange(0), default=30, show_default=True, help="Comparing: sessions before.")
@click.option(
    "--policy-hints",
    "hints",
    type=click.Choice(["tool", "oracle", "none"]),
    default="tool",
    show_default=True,
    help="What the scheduler is told: the tool a turn calls; also its duration and all lengths; nothing.",
)
@click.option(
    "--prompts",
    type=click.Choice(["tokens", "text"]),
    default="tokens",
    show_default=True,
    help="Random token ids with forced lengths; or chats of real text with tools, which the model answers itself.",
)
@click.option(
    "--model", help="Name of the served model.  [default: the server's first]  With --policies: what to serve."
)
@click.option("--api-key", envvar=["LAMPS_API_KEY", "VLLM_API_KEY"], show_envvar=True, help="The server's key.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Longest turn, in s."
)
@click.option(
    "--stream-interval",
    type=click.IntRange(1),
    help="Tokens per streamed chunk.  [default: only the first and the last chunk, as nothing else is measured]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--out", type=_FILE, help="Also save figures and every turn as JSON; comparing, a line a run.  [lamps-bench.jsonl]"
)
@click.option("--html", "page", type=_FILE, help="Comparing: write a report with plots, one page.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- FLAGS OF lamps serve]")
def bench(
    trace: str,
    urls: tuple[str, ...],
    policies: str | None,
    rates: tuple[float, ...],
    load: Load,
    seed: int,
    hints: Any,
    prompts: Any,
    model: str | None,
    api_key: str | None,
    timeout: float,
    stream_interval: int | None,
    as_json: bool,
    out: Path | None,
    page: Path | None,
    **comparing: Any,
) -> None:
    """Replay TRACE against a vLLM server and measure what its users would see.

    TRACE is augmented-single, augmented-multi, agentic-coding, or a file of your own. Sessions arrive at random
    times (Poisson, or as --arrivals says), each with token ids of its own; tools are slept. Every planned session
    counts: the run ends when the last has finished or failed.

    With --policies, servers NAME=URL, several rates, --load, --concurrency or --seeds, systems are compared: the same
    arrivals and token ids for each, seed by seed, in an order that turns, each server new and warmed up. Every run is
    kept in --out as soon as it is done; the same command goes on where it was cut off. `lamps compare` judges two
    files.

    \b
    lamps bench augmented-single --url http://127.0.0.1:8000 --rate 14
    lamps bench augmented-single --policies stock,fcfs,lamps --load 0.5,0.9,1.1 --model random -- --max-num-seqs 64
    lamps bench augmented-multi --url old=:8000 --url new=:8001 --concurrency 16,32 --html report.html

    Exit status: 0 all sessions finished, 1 some failed or a run is partial, 2 wrong use, 3 no server, 130 interrupted.
    """
    if math.isnan(math.fsum(rates) + timeout):
        raise Failure("nan is not a number to measure with")
    if out is not None:
        need_folder(out)
    common = {"hints": hints, "prompts": prompts, "model": model, "api_key": api_key, "timeout_s": timeout}
    if _compares(urls, policies, rates, comparing):
        if stream_interval is not None:
            raise Failure("--stream-interval is for one run against one server")
        from lamps_cli.measuring.command import Choices, compare

        choices = Choices(trace, urls, policies, rates, load, seed, common, out, page, as_json, **comparing)
        raise click.exceptions.Exit(compare(choices))
    alone = {"--html": page, "--param": comparing["params"], "flags of a server": comparing["flags"]}
    for option, given in alone.items():
        if given:
            raise Failure(f"{option} needs systems to compare: say --policies which")
    url = urls[0] if urls else ONE_URL
    _once(trace, replace(load, rate=rates[0], seed=seed), {"url": url, **common}, stream_interval, as_json, out)


def _compares(urls: tuple[str, ...], policies: str | None, rates: tuple[float, ...], comparing: dict[str, Any]) -> bool:
    """Whether several runs are asked for."""
    from lamps_cli.measuring.named import is_named

    several = len(urls) > 1 or len(rates) > 1 or any(map(is_named, urls))
    return several or policies is not None or any(comparing[name] for name in ("shares", "concurrency", "seeds"))


def _once(
    trace: str, load: Load, given: dict[str, Any], stream_interval: int | None, as_json: bool, out: Path | None
) -> None:
    """One server, one run."""
    from engine_adapter.workload.client import NoServer, ServerError
    from engine_adapter.workload.replay import FIRST_AND_LAST, BenchConfig, run_bench
    from engine_adapter.workload.summary import as_document, summarize
    from engine_adapter.workload.trace import TraceError, load_trace
    from lamps_cli.bench_view import render, show_progress, status, tell_of_trouble

    try:
        interval = stream_interval or FIRST_AND_LAST
        config = BenchConfig(trace=load_trace(trace), load=load, stream_interval=interval, **given)
        result = run_bench(config, show_progress)
    except TraceError as problem:
        raise Failure(str(problem)) from None
    except NoServer as problem:
        raise Failure(str(problem), "start one: lamps serve --policy lamps", ExitCode.UNREACHABLE) from None
    except ServerError as problem:
        raise Failure(str(problem)) from None
    summary = summarize(result)
    progress("")
    if out is not None:
        document = as_document(result) | {"turns": [asdict(session) for session in result.sessions]}
        save(out, to_json(document) + "\n")
    if as_json:
        write_json(as_document(result))
    else:
        write(render(result, summary))
    tell_of_trouble(result, summary)
    click.get_current_context().exit(status(result, summary))
