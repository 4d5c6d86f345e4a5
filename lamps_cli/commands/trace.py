"""`lamps trace`: what a trace holds, other people's traces and logs read into ours, made-up ones."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.output import talk, write, write_json
from lamps_cli.trace_file import save

if TYPE_CHECKING:
    from engine_adapter.workload.describe import Description
    from engine_adapter.workload.summary import Spread

# The names of engine_adapter.workload.importing.FORMATS, which `lamps trace --help` need not import; a test asserts
# that they are the same.
FORMATS = ("mooncake", "azure", "burstgpt", "sharegpt", "weka", "openai")

_SUFFIX = {"azure": ".csv", "burstgpt": ".csv", "sharegpt": ".json", "weka": ".json"}
_OUT = click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The trace to write: JSON lines, gzipped if the name ends in .gz.",
)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def trace() -> None:
    """Show, import and generate traces: recorded sessions, for bench and simulate.

    A trace holds lengths and times, never text.
    """


@trace.command()
@click.argument("name", metavar="TRACE")
@_AS_JSON
def show(name: str, as_json: bool) -> None:
    """Say what TRACE holds: sessions, turns, tools, lengths and gaps.

    Exit status: 0 ok, 2 a trace that can't be read; every bad line is told.
    """
    from engine_adapter.workload.describe import describe
    from engine_adapter.workload.trace import TraceError, load_trace

    try:
        description = describe(load_trace(name))
    except TraceError as problem:
        raise Failure(str(problem)) from None
    _tell(description, as_json)


@trace.command("import")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUT
@_AS_JSON
def import_(format_name: str, files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Read FILES of a FORMAT (mooncake, azure, burstgpt, sharegpt, weka, openai) into one trace.

    FILES may be gzipped, and folders of such files. Only lengths and times are kept. What the format doesn't tell is
    said on stderr.

    Exit status: 0 ok, 2 files that can't be read or hold bad lines; then nothing is written.
    """
    from engine_adapter.workload.describe import describe
    from engine_adapter.workload.importing import read
    from engine_adapter.workload.importing.reading import open_sources
    from engine_adapter.workload.trace import Trace, TraceError

    try:
        imported = read(format_name, open_sources(files, _SUFFIX.get(format_name, ".jsonl")))
    except TraceError as problem:
        raise Failure(str(problem)) from None
    save(out, imported.sessions)
    description = describe(Trace(_stem(out), imported.sessions))
    _tell(description, as_json, skipped=dict(imported.skipped), lost=list(imported.lost))
    if not as_json:
        for reason, count in imported.skipped:
            talk(f"skipped: {count:,} {reason}")
        for sentence in imported.lost:
            talk(f"not told: {sentence}")


@trace.command("generate")
@click.option("--sessions", type=click.IntRange(1), default=1000, show_default=True, help="How many.")
@click.option(
    "--mix",
    "weights",
    multiple=True,
    metavar="CLASS=WEIGHT",
    help="How often a class comes: math, qa, ve, chatbot, image or tts. Repeatable.  [default: as in augmented-multi]",
)
@click.option("--seed", type=int, default=0, show_default=True)
@_OUT
@_AS_JSON
def generate_(sessions: int, weights: tuple[str, ...], seed: int, out: Path, as_json: bool) -> None:
    """Make up sessions of InferCept's six classes of requests that call tools.

    Calls and their durations follow InferCept's Table 1, lengths the sessions of augmented-multi. The same seed gives
    the same sessions, and more of them begin with the same ones.
    """
    from engine_adapter.workload.describe import describe
    from engine_adapter.workload.generate import MIX, generate
    from engine_adapter.workload.trace import Trace, TraceError

    try:
        made = generate(dict(map(_weight, weights)) or MIX, sessions, seed)
    except TraceError as problem:
        raise Failure(str(problem)) from None
    save(out, made.sessions)
    _tell(describe(Trace(_stem(out), made.sessions)), as_json)


def _weight(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number or 1)
    except ValueError:
        raise Failure(f"--mix takes CLASS=WEIGHT, like chatbot=2, not {text}") from None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _tell(description: Description, as_json: bool, **more: object) -> None:
    if as_json:
        write_json(asdict(description) | more)
    else:
        write(render(description))


def render(description: Description) -> str:
    """The numbers for a person."""
    kinds = [f"{description.sub_agents:,} of them sub-agents"] if description.sub_agents else []
    kinds += [f"{description.tenants:,} tenants"] if description.tenants else []
    lines = [
        f"{description.name}: {', '.join([f'{description.sessions:,} sessions', *kinds])}, {description.turns:,} turns",
        f"{description.shared:.1%} of the prompt tokens repeat the turn before; the longest turn needs"
        f" {description.longest:,} tokens",
        _arrivals(description),
        "",
        f"{'':<20}{'mean':>11}{'p50':>11}{'p95':>11}{'p99':>11}{'max':>11}",
        _row("turns a session", description.turns_per_session),
        _row("prompt, tokens", description.prompt),
        _row("output, tokens", description.output),
        _row("tools' gaps, s", description.tool_gap_s),
        _row("people's gaps, s", description.person_gap_s),
    ]
    if description.tools:
        lines += ["", "calls  " + ", ".join(f"{name} {count:,}" for name, count in description.tools)]
    return "\n".join(lines)


def _arrivals(description: Description) -> str:
    match description.recorded_s:
        case None:
            return "arrivals are not recorded"
        case 0 if description.sessions > 1:
            return "arrivals are recorded: all at once"
        case recorded_s:
            return f"arrivals are recorded, over {recorded_s:,.1f} s"


def _row(name: str, spread: Spread) -> str:
    cells = (spread.mean, spread.p50, spread.p95, spread.p99, spread.max)
    return f"{name:<20}" + "".join(f"{'-' if math.isnan(cell) else _number(cell):>11}" for cell in cells)


def _number(value: float) -> str:
    """Four digits or the whole number, never an exponent for what is large."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
