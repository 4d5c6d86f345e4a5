"""The options of commands that tell a running server something, and the telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import write, write_json

if TYPE_CHECKING:
    from engine_adapter.control.changes import Answer

F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """--url, --api-key, --timeout and --json."""
    options = (
        click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server."),
        click.option("--api-key", help="The server's key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]"),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=10.0,
            show_default=True,
            help="Longest wait, in s.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def told(url: str, api_key: str | None, timeout: float, what: str, body: Mapping[str, Any]) -> Answer:
    """What the server answers to the change *what*. Failure says why it has none, or made none."""
    from engine_adapter.control.changes import Refusal, change
    from engine_adapter.control.client import Unreachable, key_from_environment

    try:
        return change(url, what, body, api_key or key_from_environment(), timeout)
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from problem
    except Refusal as problem:
        raise Failure(f"nothing was changed: {problem}", code=ExitCode.FINDINGS) from problem


def show(answer: Answer, as_json: bool) -> None:
    """Write the answer, a line or two for each engine."""
    from engine_adapter.control.changes import sentences

    if as_json:
        import msgspec

        write_json(msgspec.to_builtins(answer))
        return
    for line in sentences(answer):
        write(line)
