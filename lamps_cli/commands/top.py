"""`lamps top`: watch engines work, live, from a recording, or in a demo."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour, warn, write, write_json

if TYPE_CHECKING:
    from tui.model import Delivery
    from tui.sources import Source

VIEWS = ("overview", "queue", "calls", "policy", "decisions", "predictors", "fleet")
THEMES = ("lamps-dark", "lamps-light", "lamps-safe-dark", "lamps-safe-light")
KEYS = "lamps-top.toml"
_FILE = click.Path(dir_okay=False, path_type=Path)
# What --once waits for at most, beyond the interval of frames.
ONCE_S = 10.0


@click.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--demo", is_flag=True, help="Three policies under one load in virtual time, recorded. Needs no server.")
@click.option("--replay", type=_FILE, help="Play a recording.")
@click.option("--record", type=_FILE, help="Record into FILE (.jsonl or .jsonl.gz).")
@click.option("--api-key", help="The servers' key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]")
@click.option(
    "--every", type=click.FloatRange(0.25, 60), default=1.0, show_default=True, help="Seconds between frames."
)
@click.option("--rows", type=click.IntRange(1, 1000), default=50, show_default=True, help="Rows of a kind asked for.")
@click.option("--view", type=click.Choice(VIEWS), default="overview", show_default=True, help="The first screen.")
@click.option(
    "--theme", type=click.Choice(THEMES), default="lamps-dark", show_default=True, help="Colours; also key t."
)
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII characters only.")
@click.option("--keys", type=_FILE, help=f"Keys of your own.  [default: {KEYS} here or in ~/.config/lamps]")
@click.option("--once", is_flag=True, help="Print what is there now as text, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: as JSON.")
@click.option("--read-only", is_flag=True, help="Only watch: the server is told nothing.")
@click.option("--web", is_flag=True, help="Serve the monitor to browsers (needs textual-serve).")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --web: the address.")
@click.option("--port", type=click.IntRange(1, 65535), default=8900, show_default=True, help="With --web: the port.")
def top(
    urls: tuple[str, ...],
    demo: bool,
    replay: Path | None,
    record: Path | None,
    api_key: str | None,
    every: float,
    rows: int,
    view: str,
    theme: str,
    ascii_only: bool,
    keys: Path | None,
    once: bool,
    as_json: bool,
    read_only: bool,
    web: bool,
    host: str,
    port: int,
) -> None:
    """Watch the engines of the servers at URLS (http://127.0.0.1:8000 when none is given).

    Where the KV memory goes, which requests wait and why, what was decided about paused sessions, how fast answers
    come, how predictions fare. ? lists the keys, : has a palette of commands, q leaves.

    On the policy screen, params are set, another policy is tried and put in force, one is asked beside it, and all is
    switched off; each asks first. A browser (--web) only watches.

    --demo and --replay play a recording: space pauses, arrow keys step, + and - change the speed, @ goes to a time.
    """
    if as_json and not once:
        raise Failure("--json goes with --once")
    if web and (once or record is not None):
        raise Failure("--once and --record go without --web")
    source, own = _source(urls, demo, replay, api_key, every, rows), _keys(keys)
    if web:  # what is wrong with source and keys has been said here, not in the browser
        words = [*urls, "--every", every, "--rows", rows, "--view", view, "--theme", theme]
        words += [*(["--demo"] if demo else []), *(["--ascii"] if ascii_only else [])]
        words += [*(["--replay", replay] if replay else []), *(["--keys", keys] if keys else [])]
        _serve([str(word) for word in words], api_key, host, port)
        return
    if once:
        _print_once(source, every, as_json)
        return
    from lamps_cli.watched import Watched, explain_recorded
    from tui.app import Options, Top

    options = Options(theme, ascii_only, record, view, own)
    if demo or replay:
        app = Top(source, options, explain_recorded)
    else:
        watched = Watched(urls, api_key)
        app = Top(source, options, watched.explain, None if read_only else watched.commands())
    app.run()
    raise click.exceptions.Exit(ExitCode.OK if app.return_code is None else app.return_code)


def _source(urls: tuple[str, ...], demo: bool, replay: Path | None, key: str | None, every: float, rows: int) -> Source:
    from engine_adapter.control.client import DEFAULT_URL, key_from_environment
    from tui.recording import RecordingError

    if demo + (replay is not None) + bool(urls) > 1:
        raise Failure("give URLs, --replay or --demo, only one of them")
    if not demo and replay is None:
        from tui.sources.live import Live

        return Live(urls or (DEFAULT_URL,), key or key_from_environment(), every, rows)
    from tui.sources.replay import Replay

    try:
        if demo:
            return Replay(Path(str(files("tui") / "demo.jsonl.xz")), again=True)
        assert replay is not None
        return Replay(replay)
    except RecordingError as problem:
        raise Failure(str(problem)) from None


# --- once


def _print_once(source: Source, every_s: float, as_json: bool) -> None:
    """What each server says first. Exit status UNREACHABLE where one says nothing."""
    from tui.once import advice_of, first_of

    told = first_of(source, ONCE_S + every_s)
    if as_json:
        import msgspec

        write_json({one.server: _document(one, msgspec.to_builtins) for one in told})
    else:
        from lamps_cli.status_view import show

        for one in told:
            if one.status is not None:
                write(show(one.status, one.server, colour=wants_colour()))
                for line in advice_of(one):
                    write(line)
    lost = [one for one in told if one.status is None]
    for one in lost:
        warn(one.trouble + (f": {one.hint}" if one.hint else ""))
    if lost or not told:
        raise click.exceptions.Exit(ExitCode.UNREACHABLE)


def _document(one: Delivery, plain: object) -> object:
    assert callable(plain)
    return {"error": one.trouble} if one.status is None else plain(one.status)


# --- keys


def _keys(path: Path | None) -> dict[str, str]:
    """Keys by the name of what they do. Failure for a file that can't be read or names what isn't there."""
    import tomllib

    from policy_dsl.names import nearest
    from tui.keys import ids

    places = [Path(KEYS), Path.home() / ".config" / "lamps" / KEYS]
    found = path or next((place for place in places if place.is_file()), None)
    if found is None:
        return {}
    try:
        given = tomllib.loads(found.read_text(encoding="utf-8")).get("keys", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Failure(f"can't read {found}: {problem}") from None
    for name, key in given.items():
        if name not in ids():
            near = nearest(name, ids())
            raise Failure(
                f"{found}: there is no key for {name!r}", f"did you mean {near[0]}?" if near else "? lists them"
            )
        if not isinstance(key, str):
            raise Failure(f"{found}: {name} wants text, as 'ctrl+p' or 'x,y'")
    return dict(given)


# --- in a browser


def _serve(arguments: list[str], api_key: str | None, host: str, port: int) -> None:
    """The same command line, but for --web, for every visitor."""
    from tui.web import LOOPBACK, NoWeb, serve

    if api_key is not None:
        os.environ["LAMPS_API_KEY"] = api_key  # a command line is read by everybody on this machine
    if host not in LOOPBACK:
        warn("everybody who reaches this address sees what the monitor shows, without a key")
    try:
        serve(arguments, host, port, talk)
    except NoWeb as problem:
        raise Failure(str(problem), "pip install 'vllm-lamps[web]'") from None
    except OSError as problem:
        raise Failure(f"can't serve on {host}:{port}: {problem.strerror or problem}") from None
    sys.stdout.flush()
