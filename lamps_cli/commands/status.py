"""`lamps status`: what the scheduler of a running server is doing, and by which policy."""

from __future__ import annotations

import json

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import wants_colour, write, write_json


@click.command()
@click.argument("server", metavar="[URL]", required=False)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server, as URL says it too.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON, as the server gives it.")
@click.option("--api-key", help="The server's key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Longest wait, in s."
)
def status(server: str | None, url: str, as_json: bool, api_key: str | None, timeout: float) -> None:
    """Show what the scheduler at URL is doing.

    Its policy, what runs, what waits and in which order, and the sessions paused on a tool with what became of their
    KV cache.
    """
    from engine_adapter.control.client import Unreachable, base_url, fetch_status_text, key_from_environment
    from engine_adapter.control.frames import FrameError, parse_status

    url = server or url
    try:
        text = fetch_status_text(url, api_key or key_from_environment(), timeout)
        parsed = parse_status(text)
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from problem
    except FrameError as problem:
        raise Failure(f"{base_url(url)}: {problem}", "", ExitCode.UNREACHABLE) from problem
    if as_json:
        write_json(json.loads(text))
        return
    from lamps_cli.status_view import show

    write(show(parsed, base_url(url), colour=wants_colour()))
