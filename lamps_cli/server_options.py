"""The options of commands that tell a running server something, and the telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import write, write_json

if TYPE_CHECKING:
    from engine_adapter.control.changes import Answer, Standing

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
    if as_json:
        import msgspec

        write_json(msgspec.to_builtins(answer))
        return
    for number, engine in enumerate(answer.engines):
        where = f"engine {number}: " if len(answer.engines) > 1 else ""
        write("\n".join(where + line for line in _lines(engine)))


def _lines(engine: Standing) -> list[str]:
    policy = f"policy {engine.policy.name}, revision {engine.policy.revision}"
    lines = []
    if (trial := engine.trial) is not None:
        lines.append(
            f"tried on {trial.waiting} waiting, {trial.asked} paused: {trial.moved} of the first {trial.compared} "
            f"places and {trial.differing} decisions about calls differ; one ranking takes {1000 * trial.rank_s:.2f} ms"
        )
        if trial.nans:
            lines.append(f"{trial.nans} waiting requests have a rank that is not a number")
    match engine.state:
        case "":
            lines.append(f"{policy}: tried, nothing was changed")
        case "on" if engine.shadow is not None:
            lines.append(f"on: {policy}; shadow {engine.shadow.name}, revision {engine.shadow.revision}")
        case "on":
            lines.append(f"on: {policy}")
        case state:
            lines.append(f"{state}: first come, first served, nothing held for paused sessions; {policy}, is set aside")
            if state == "ejected":
                lines.append(engine.reason)
    return lines
