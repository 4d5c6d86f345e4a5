"""`lamps reload`: another policy for a running server, without a restart."""

from __future__ import annotations

from typing import Any

import click

from lamps_cli.completing import policies
from lamps_cli.errors import Failure
from lamps_cli.server_options import server_options, show, told


@click.command()
@click.argument("policy", metavar="[FILE|NAME]", required=False, shell_complete=policies)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a param of the policy.")
@click.option("--dry-run", is_flag=True, help="Try it on what waits and is paused there now; change nothing.")
@click.option("--shadow", is_flag=True, help="Ask it beside the policy in force, without effect.")
@click.option("--promote-shadow", is_flag=True, help="Put the shadow policy in force.")
@click.option("--drop-shadow", is_flag=True, help="Ask the shadow policy no longer.")
@click.option(
    "--trial",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Should it fail repeatedly within this time, the policy before it comes back.",
)
@server_options
def reload(
    policy: str | None,
    params: tuple[str, ...],
    dry_run: bool,
    shadow: bool,
    promote_shadow: bool,
    drop_shadow: bool,
    trial: float,
    url: str,
    api_key: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Put another policy in force in a running server, between two of its steps; no request is lost.

    The policy is checked here first. Then every engine of the server tries it on what waits there now, and takes it
    if none refuses. A policy with errors changes nothing.
    """
    if [policy is not None, promote_shadow, drop_shadow].count(True) != 1:
        raise Failure("give one of a policy, --promote-shadow and --drop-shadow", "lamps reload my.lamps --dry-run")
    if drop_shadow:
        show(told(url, api_key, timeout, "shadow", {"drop": True}), as_json)
        return
    body: dict[str, Any] = {"promote": True} if policy is None else _sent(policy, params)
    body |= {"dry_run": dry_run, "shadow": shadow, "trial_s": trial}
    show(told(url, api_key, timeout, "shadow" if policy is None else "reload", body), as_json)


def _sent(name: str, params: tuple[str, ...]) -> dict[str, Any]:
    """The policy as it is sent: in one file, whatever it is built on."""
    from lamps_cli.chosen_policy import chosen_policy
    from policy_dsl.loading import sendable

    chosen = chosen_policy(name, params, without="nothing was changed")
    return {"text": sendable(chosen.path), "path": str(chosen.path), "params": list(params)}
