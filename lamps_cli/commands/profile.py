"""`lamps profile [URL]`: measures an engine and writes the profile that virtual time and the cost model use."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, warn, write, write_json

if TYPE_CHECKING:
    from engine_adapter.profiling.measure import Measured
    from engine_adapter.profiling.phases import Phase

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("url", default="http://127.0.0.1:8000")
@click.option("-o", "--out", type=_FILE, metavar="FILE", help="The profile.  [default: where `lamps serve` finds it]")
@click.option("--html", "page", type=_FILE, metavar="FILE", help="Write how well it fits, with plots, as one page.")
@click.option("--name", help="Of the profile.  [default: the name of FILE]")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 86_400),
    default=180.0,
    show_default=True,
    help="Stop measuring after so long; what was measured until then is fitted.",
)
@click.option("--api-key", help="The server's key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]")
@click.option("--json", "as_json", is_flag=True, help="Print the profile, and how well it fits, as JSON.")
def profile(
    url: str, out: Path | None, page: Path | None, name: str | None, seconds: float, api_key: str | None, as_json: bool
) -> None:
    """Measure the engine of the server at URL: prefill, decode by batch and context, what a step and a request cost.

    The server must be scheduled by lamps, since its steps are told by its scheduler; `--policy fcfs` is as good as any,
    and swap is measured where its policy swaps. Let nobody else use it meanwhile. Ctrl-C fits what was measured until
    then.

    \b
    lamps serve --policy fcfs --model random &
    lamps profile -o mine.yaml --html mine.html
    lamps simulate --profile mine.yaml --against stock

    Exit status: 0 measured, 1 a part of the load failed or too little was measured, 2 wrong use, 3 no server,
    130 interrupted (the profile of what was measured is written).
    """
    from engine_adapter.control.client import key_from_environment
    from engine_adapter.profiling.document import as_yaml, profile_of
    from engine_adapter.profiling.fit import FitError, fit_steps
    from engine_adapter.virtual.provenance import Identity
    from lamps_cli.profile_view import document, render

    if page is not None:
        from lamps_cli.report.page import need_packages

        need_packages()
    for path in (out, page):
        if path is not None and not path.expanduser().parent.is_dir():
            raise Failure(f"can't write {path}: there is no folder {path.parent}")
    measured = _measured(url, api_key or key_from_environment(), seconds)
    try:
        fitted = fit_steps(measured.steps, measured.ended == "complete", measured.missed)
    except FitError as problem:
        raise Failure(_sentence(measured, str(problem)), code=_status(measured) or ExitCode.FINDINGS) from None
    path = (out or Identity(**measured.about.identity).kept_at()).expanduser()
    found = profile_of(measured, fitted, name or path.name.removesuffix(".yaml"), datetime.now(UTC).date().isoformat())
    _save(path, as_yaml(found))
    if page is not None:
        from lamps_cli.report.profile_page import html

        _save(page, html(found, measured, fitted))
    if as_json:
        write_json(document(found, measured) | {"path": str(path)})
    else:
        write(render(found, measured))
    _tell(measured, path, kept=out is None)
    click.get_current_context().exit(_status(measured))


def _measured(url: str, key: str | None, seconds: float) -> Measured:
    """What was measured. Failure where it can't begin."""
    from engine_adapter.control.client import NotLamps, Unreachable
    from engine_adapter.profiling.measure import measure
    from engine_adapter.profiling.phases import TooSmall
    from engine_adapter.workload.client import ServerError

    try:
        measured = measure(url, key, seconds, _show_progress if sys.stderr.isatty() else None)
    except NotLamps as problem:
        raise Failure(str(problem), "lamps serve --policy fcfs --model MODEL", ExitCode.UNREACHABLE) from None
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from None
    except ServerError as problem:
        raise Failure(str(problem), code=ExitCode.UNREACHABLE) from None
    except TooSmall as problem:
        raise Failure(str(problem), "give it more, as with --num-gpu-blocks-override", ExitCode.FINDINGS) from None
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    return measured


def _show_progress(measured: Measured, phase: Phase) -> None:
    sizes = "" if phase.kind == "mixed" else f", prompts of {phase.jobs[0].prompt}"
    what = f"{phase.kind}, {phase.clients} at once{sizes}"
    text = f"{measured.seconds:6.1f} s  {measured.done}/{measured.planned}  {len(measured.steps):,} steps  {what}"
    click.echo(f"\r\033[K{text}", err=True, nl=False)


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"can't write {path}: {error.strerror}") from None


def _tell(measured: Measured, path: Path, kept: bool) -> None:
    match measured.ended:
        case "complete":
            pass
        case "failed":
            warn(f"the load failed, the profile is of what was measured until then: {measured.problem}")
        case why:
            warn(f"{why}: the profile is of {measured.done} of {measured.planned} phases of load")
    if measured.swapped.why_not:
        talk(f"swap wasn't measured: {measured.swapped.why_not}")
    talk(f"wrote {path}" + (": `lamps serve` begins with it for this engine" if kept else ""))


def _sentence(measured: Measured, problem: str) -> str:
    return f"{measured.problem}; {problem}" if measured.problem else problem


def _status(measured: Measured) -> ExitCode:
    match measured.ended:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "failed":
            return ExitCode.FINDINGS
        case _:
            return ExitCode.OK
