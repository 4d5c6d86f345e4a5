"""`lamps record`: a trace of lengths and times from the live traffic of a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, warn
from lamps_cli.trace_file import save

if TYPE_CHECKING:
    pass

# What a recording that dies without a word may lose.
SAVE_EVERY_S = 30.0


@click.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The trace; gzipped if FILE ends in .gz.",
)
@click.option("--for", "for_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop after S seconds.")
@click.option("--tool-names", is_flag=True, help="Keep the tools' names: a predictor trained on it knows them again.")
@click.option("--force", is_flag=True, help="Write over FILE.")
@click.option("--api-key", help="The server's key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]")
def record(url: str, output: Path, for_s: float | None, tool_names: bool, force: bool, api_key: str | None) -> None:
    """Record the sessions that the server at URL serves, until Ctrl-C.

    Lengths and times only: sessions, tenants and tools (but for --tool-names) are numbered, and there is no text.
    `lamps simulate` and `lamps bench` replay the trace. A session that had turns before begins with the first one that
    is recorded.
    """
    from engine_adapter.control.client import Unreachable, key_from_environment
    from engine_adapter.control.recording import Gathered, stream_turns

    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: choose another name, or --force")
    gathered = Gathered(tool_names)
    end = time.monotonic() + (for_s or float("inf"))
    saved_at = time.monotonic()
    lost: Unreachable | None = None
    talk(f"recording {url} until {'Ctrl-C' if for_s is None else f'{for_s:g} s are over'}")
    try:
        for told in stream_turns(url, api_key or key_from_environment()):
            now = time.monotonic()
            if isinstance(told, str):
                warn(told)
            else:
                gathered.add(told, now)
            if now >= end:
                break
            if now - saved_at >= SAVE_EVERY_S and gathered.turns:
                save(output, gathered.sessions())
                saved_at = now
    except KeyboardInterrupt:
        pass
    except Unreachable as problem:
        lost = problem
    if gathered.turns:
        save(output, gathered.sessions())
        talk(f"{output}: {len(gathered.sessions()):,} sessions, {gathered.turns:,} turns")
    if gathered.missed:
        warn(f"{gathered.missed:,} turns were missed: they finished faster than they were fetched")
    if lost is not None:
        raise Failure(str(lost), lost.hint, ExitCode.UNREACHABLE) from lost
    if not gathered.turns:
        raise Failure("no turn finished while recording", "", ExitCode.FINDINGS)
