"""One replay against one server for people: its figures, what went wrong, and the exit status."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lamps_cli.exit_codes import ExitCode
from lamps_cli.load_options import describe_arrivals, describe_scales, describe_telling
from lamps_cli.measuring import lateness
from lamps_cli.output import progress, talk, warn

if TYPE_CHECKING:
    from engine_adapter.workload.result import BenchResult, SessionResult
    from engine_adapter.workload.summary import Spread, Summary


def render(result: BenchResult, summary: Summary) -> str:
    """The figures for a person."""
    load = result.load
    scales = [*describe_scales(load), *describe_telling(result.hints, result.prompts)]
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


def show_progress(sessions: tuple[SessionResult, ...], now_s: float) -> None:
    done = sum(session.finished for session in sessions)
    failed = sum(bool(session.error) for session in sessions)
    active = sum(bool(session.turns) for session in sessions) - done - failed
    text = f"{now_s:6.1f} s  {done}/{len(sessions)} finished, {active} active" + (
        f", {failed} failed" if failed else ""
    )
    progress(text)


def tell_of_trouble(result: BenchResult, summary: Summary) -> None:
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
    if late := lateness.of_one(result):
        warn(late)


def status(result: BenchResult, summary: Summary) -> ExitCode:
    match result.ended:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "server gone":
            return ExitCode.UNREACHABLE
        case "finished" | "stalled":  # only a virtual run can stall
            return ExitCode.FINDINGS if summary.failed else ExitCode.OK
