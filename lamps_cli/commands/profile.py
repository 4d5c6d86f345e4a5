"""`lamps profile [URL]`: measures an engine and writes the profile that virtual time and the cost model use."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import progress, talk, warn, write, write_json
from lamps_cli.writing import need_folder, save

if TYPE_CHECKING:
    from engine_adapter.profiling.fit import Fitted
    from engine_adapter.profiling.measure import Measured
    from engine_adapter.profiling.phases import Phase

_FILE = click.Path(dir_okay=False, path_type=Path)
# A large model loads for minutes.
_START_S = 1800.0
# What a server is started with: order costs nothing, and where there is host memory it is used.
_SWAPS = """lamps 1
policy measured "First come, first served; what calls is swapped, so that swap is measured."
rank request.arrival
on call swap
"""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
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
@click.option("--model", metavar="FOLDER|NAME", help="Start a server of this model for it, with the flags that follow.")
@click.option("--json", "as_json", is_flag=True, help="Print the profile, and how well it fits, as JSON.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[URL | FLAGS OF LAMPS SERVE]")
def profile(
    out: Path | None,
    page: Path | None,
    name: str | None,
    seconds: float,
    api_key: str | None,
    model: str | None,
    as_json: bool,
    words: tuple[str, ...],
) -> None:
    """Measure an engine: prefill, decode by batch and context, what a step and a request cost.

    The one of the server at URL (http://127.0.0.1:8000), or with --model of one that is started for it and stopped.
    A server must be scheduled by lamps, since its steps are told by its scheduler; `--policy fcfs` is as good as any,
    and swap is measured where its policy swaps. Let nobody else use it meanwhile. Ctrl-C fits what was measured until
    then.

    \b
    lamps profile http://127.0.0.1:8000 -o mine.yaml --html mine.html
    lamps profile --model random --max-model-len 2304 -o mine.yaml
    lamps simulate --profile mine.yaml --against stock

    Exit status: 0 measured, 1 a part of the load failed or too little was measured, 2 wrong use, 3 no server,
    130 interrupted (the profile of what was measured is written).
    """
    from engine_adapter.profiling.document import as_yaml, profile_of
    from engine_adapter.virtual.provenance import Identity
    from lamps_cli.profile_view import document, render

    if page is not None:
        from lamps_cli.report.page import need_packages

        need_packages()
    for path in (out, page):
        if path is not None:
            need_folder(path)
    measured = _of_server(words, api_key, seconds) if model is None else _started(model, words, seconds)
    fitted = _fitted(measured)
    path = (out or Identity(**measured.about.identity).kept_at()).expanduser()
    found = profile_of(measured, fitted, name or path.name.removesuffix(".yaml"), datetime.now(UTC).date().isoformat())
    _keep(path, as_yaml(found))
    if page is not None:
        from lamps_cli.report.profile_page import html

        save(page, html(found, measured, fitted))
    if as_json:
        write_json(document(found, measured) | {"path": str(path)})
    else:
        write(render(found, measured))
    _tell(measured, path, kept=out is None)
    click.get_current_context().exit(_status(measured))


def _of_server(words: tuple[str, ...], api_key: str | None, seconds: float) -> Measured:
    """What was measured of a server that runs already. UsageError where *words* are more than its URL."""
    from engine_adapter.control.client import DEFAULT_URL, key_from_environment

    if len(words) > 1 or (words and words[0].startswith("-")):
        raise click.UsageError(f"no such option or argument: {words[-1]} (flags of `lamps serve` need --model)")
    return _measured(words[0] if words else DEFAULT_URL, api_key or key_from_environment(), seconds)


def _fitted(measured: Measured) -> Fitted:
    """The step times that fit. Failure where too little was measured."""
    from engine_adapter.profiling.fit import FitError, fit_steps

    try:
        return fit_steps(measured.steps, measured.ended == "complete", measured.missed)
    except FitError as problem:
        why = f"{measured.problem}; {problem}" if measured.problem else str(problem)
        raise Failure(why, code=_status(measured) or ExitCode.FINDINGS) from None


def _started(model: str, flags: tuple[str, ...], seconds: float) -> Measured:
    """What was measured of a server that is started for it. Failure where it doesn't start, or can't be measured."""
    from lamps_cli.measuring.command import ending_as_ctrl_c
    from lamps_cli.measuring.servers import DidNotStart, serve_words, serving

    with tempfile.TemporaryDirectory() as folder:
        policy, log = Path(folder) / "measured.lamps", Path(folder) / "server.log"
        policy.write_text(_SWAPS, encoding="utf-8")
        talk(f"starting a server of {model}")
        try:
            words = serve_words(str(policy), (), model, flags)
            with ending_as_ctrl_c(), serving(words, log, _START_S) as server:
                return _measured(server.url, None, seconds)
        except DidNotStart as problem:
            raise Failure(str(problem), code=ExitCode.UNREACHABLE) from None


def _measured(url: str, key: str | None, seconds: float) -> Measured:
    """What was measured. Failure where it can't begin."""
    from engine_adapter.control.client import NotLamps, Unreachable
    from engine_adapter.profiling.measure import measure
    from engine_adapter.profiling.phases import TooSmall
    from engine_adapter.workload.client import ServerError

    try:
        measured = measure(url, key, seconds, _show_progress)
    except NotLamps as problem:
        raise Failure(str(problem), "lamps serve --policy fcfs --model MODEL", ExitCode.UNREACHABLE) from None
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from None
    except ServerError as problem:
        raise Failure(str(problem), code=ExitCode.UNREACHABLE) from None
    except TooSmall as problem:
        raise Failure(str(problem), "give it more, as with --num-gpu-blocks-override", ExitCode.FINDINGS) from None
    progress("")
    return measured


def _show_progress(measured: Measured, phase: Phase) -> None:
    sizes = "" if phase.kind == "mixed" else f", prompts of {phase.jobs[0].prompt}"
    what = f"{phase.kind}, {phase.clients} at once{sizes}"
    text = f"{measured.seconds:6.1f} s  {measured.done}/{measured.planned}  {len(measured.steps):,} steps  {what}"
    progress(text)


def _keep(path: Path, text: str) -> None:
    """In the cache folder too, which may have to be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from None
    save(path, text)


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


def _status(measured: Measured) -> ExitCode:
    match measured.ended:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "failed":
            return ExitCode.FINDINGS
        case _:
            return ExitCode.OK
