"""`lamps params`: the params of a running server's policy, shown and set."""

from __future__ import annotations

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import write, write_json
from lamps_cli.server_options import server_options, told
from lamps_cli.server_options import show as show_answer


@click.group(invoke_without_command=True)
@click.pass_context
@server_options
def params(ctx: click.Context, url: str, api_key: str | None, timeout: float, as_json: bool) -> None:
    """Show the params of a running server's policy with their ranges, or set them."""
    if ctx.invoked_subcommand is None:
        _show(url, api_key, timeout, as_json)


@params.command("set")
@click.argument("words", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--dry-run", is_flag=True, help="Try it on what waits and is paused there now; change nothing.")
@server_options
def set_params(
    words: tuple[str, ...], dry_run: bool, url: str, api_key: str | None, timeout: float, as_json: bool
) -> None:
    """Set params, as in patience=5s; without a unit in seconds, tokens... The others stay as they are."""
    show_answer(told(url, api_key, timeout, "params", {"params": list(words), "dry_run": dry_run}), as_json)


def _show(url: str, api_key: str | None, timeout: float, as_json: bool) -> None:
    from engine_adapter.control.client import Unreachable, fetch_status, key_from_environment

    try:
        engines = fetch_status(url, api_key or key_from_environment(), timeout).engines
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from problem
    policies = [engine.policy for engine in engines]
    if as_json:
        write_json([{"policy": p.name, "revision": p.revision, "params": p.params} for p in policies])
        return
    for number, policy in enumerate(policies):
        where = f", engine {number}" if len(policies) > 1 else ""
        write(f"{policy.name}, revision {policy.revision}{where}")
        for name, info in policy.ranges.items():
            unit = "" if info.unit in ("", "1") else f" {info.unit}"
            write(f"  {name} = {info.value:g}{unit}, of {info.low:g}..{info.high:g}")
        if not policy.ranges:
            write("  it has no params")
