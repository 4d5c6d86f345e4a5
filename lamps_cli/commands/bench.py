"""`lamps bench TRACE`: replay recorded sessions against a server and print what their users would have seen."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.completing import traces
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.load_options import describe_arrivals, describe_scales, load_options
from lamps_cli.output import talk, to_json, warn, write, write_json

if TYPE_CHECKING:
    from engine_adapter.workload.load import Load
    from engine_adapter.workload.result import BenchResult, SessionResult
    from engine_adapter.workload.summary import Spread, Summary

# A request sent this much too late means the client was busy: the run then measures the client.
TOLERABLE_LAG_S = 0.25


@click.command()
@click.argument("trace", shell_complete=traces)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Sessions/s.")
@load_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw, the arrivals and the token ids.")
@click.option(
    "--policy-hints",
    "hints",
    type=click.Choice(["tool", "oracle", "none"]),
    default="tool",
    show_default=True,
    help="What the scheduler is told: the tool a turn calls; also its duration and all lengths; nothing.",
)
@click.option("--model", help="Name of the served model.  [default: the server's first]")
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
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Also save figures and every turn as JSON."
)
def bench(
    trace: str,
    url: str,
    rate: float,
    load: Load,
    seed: int,
    hints: Any,
    model: str | None,
    api_key: str | None,
    timeout: float,
    stream_interval: int | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Replay TRACE against a vLLM server and measure what its users would see.

    TRACE is augmented-single, augmented-multi, agentic-coding, or a file of your own. Sessions arrive at random
    times (Poisson, or as --arrivals says), each with token ids of its own; tools are slept. Every planned session
    counts: the run ends when the last has finished or failed.

    Exit status: 0 all sessions finished, 1 some failed, 2 wrong use, 3 no server, 130 interrupted.
    """
    from engine_adapter.workload.client import NoServer, ServerError
    from engine_adapter.workload.replay import FIRST_AND_LAST, BenchConfig, run_bench
    from engine_adapter.workload.summary import as_document, summarize
    from engine_adapter.workload.trace import TraceError, load_trace

    if math.isnan(rate + timeout):
        raise Failure("nan is not a number to measure with")
    if out is not None and not out.parent.is_dir():
        raise Failure(f"can't write {out}: there is no folder {out.parent}")
    try:
        config = BenchConfig(
            url=url,
            trace=load_trace(trace),
            load=replace(load, rate=rate, seed=seed),
            hints=hints,
            model=model,
            api_key=api_key,
            timeout_s=timeout,
            stream_interval=stream_interval or FIRST_AND_LAST,
        )
        result = run_bench(config, _show_progress if sys.stderr.isatty() else None)
    except TraceError as problem:
        raise Failure(str(problem)) from None
    except NoServer as problem:
        raise Failure(str(problem), "start one: lamps serve --policy lamps", ExitCode.UNREACHABLE) from None
    except ServerError as problem:
        raise Failure(str(problem)) from None
    summary = summarize(result)
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    if out is not None:
        _save(out, as_document(result) | {"turns": [asdict(session) for session in result.sessions]})
    if as_json:
        write_json(as_document(result))
    else:
        write(render(result, summary))
    _tell_of_trouble(result, summary)
    click.get_current_context().exit(_status(result, summary))


def render(result: BenchResult, summary: Summary) -> str:
    """The figures for a person."""
    load = result.load
    scales = [*describe_scales(load), *{"oracle": ["ORACLE hints"], "none": ["no hints"], "tool": []}[result.hints]]
    head = (
        f"{result.trace}: {summary.sessions} sessions {describe_arrivals(load.arriving, load.rate)}, seed {load.seed}"
    )
    lines = [
        ", ".join([head, *scales]),
        f"{result.server.model} at {result.url}",
        "",
        f"{'sessions':<24}{summary.finished} finished, {summary.failed} failed, in {result.duration_s:.1f} s",
        f"{'seconds':<24}{'mean':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}",
        _row("end to end", summary.end_to_end_s),
        _row("  without tools' time", summary.without_tools_s),
        _row("first token, session", summary.ttft_session_s),
        _row("first token, turn", summary.ttft_turn_s),
        f"{'tokens':<24}{_tokens(summary)}",
    ]
    if result.counters is not None:
        lines.append(f"{'server':<24}{_server(result.counters, summary)}")
    if summary.tenant_fairness is not None:
        lines.append(f"{'tenants':<24}{summary.tenant_fairness:.3f} Jain's index of their rates of service")
    return "\n".join(lines)


def _row(name: str, spread: Spread) -> str:
    cells = (spread.mean, spread.p50, spread.p95, spread.p99, spread.max)
    return f"{name:<24}" + "".join(f"{'-' if math.isnan(cell) else f'{cell:.3f}':>9}" for cell in cells)


def _tokens(summary: Summary) -> str:
    cached = ""
    if summary.cached_tokens is not None and summary.prompt_tokens:
        cached = f" ({summary.cached_tokens / summary.prompt_tokens:.1%} cached)"
    rate = "" if math.isnan(summary.output_tokens_per_s) else f", {summary.output_tokens_per_s:,.0f} generated a second"
    return f"{summary.prompt_tokens:,} prompt{cached}, {summary.output_tokens:,} generated{rate}"


def _server(counters: dict[str, float], summary: Summary) -> str:
    said = [f"{counters['preemptions']:,.0f} preemptions"] if "preemptions" in counters else []
    if counters.get("prefix_cache_queries"):
        said.append(f"{counters['prefix_cache_hits'] / counters['prefix_cache_queries']:.1%} prefix-cache hits")
    if summary.recomputed_tokens is not None:
        said.append(f"{summary.recomputed_tokens:,} tokens computed again")
    return ", ".join(said) or "tells no counters"


def _show_progress(sessions: tuple[SessionResult, ...], now_s: float) -> None:
    done = sum(session.finished for session in sessions)
    failed = sum(bool(session.error) for session in sessions)
    active = sum(bool(session.turns) for session in sessions) - done - failed
    text = f"{now_s:6.1f} s  {done}/{len(sessions)} finished, {active} active" + (
        f", {failed} failed" if failed else ""
    )
    click.echo(f"\r\033[K{text}", err=True, nl=False)


def _save(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(to_json(document) + "\n")
    except OSError as error:
        raise Failure(f"can't write {path}: {error.strerror}") from None


def _tell_of_trouble(result: BenchResult, summary: Summary) -> None:
    match result.ended:
        case "interrupted":
            warn("interrupted: the figures are of a part of the load")
        case "server gone":
            warn(f"the server stopped answering after {result.duration_s:.1f} s: the figures are of a part of the load")
        case "finished":
            if summary.failed:
                warn("some sessions failed: the latencies are those of the others")
    for reason, count in summary.failures:
        talk(f"  {count} failed: {reason}")
    if summary.client_lag_s > TOLERABLE_LAG_S:
        warn(f"a request was sent {summary.client_lag_s:.2f} s late: this client or machine is too busy to measure")


def _status(result: BenchResult, summary: Summary) -> ExitCode:
    match result.ended:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "server gone":
            return ExitCode.UNREACHABLE
        case "finished" | "stalled":  # only a virtual run can stall
            return ExitCode.FINDINGS if summary.failed else ExitCode.OK
