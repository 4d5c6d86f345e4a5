"""`lamps on`: the policy of a running server decides again."""

from __future__ import annotations

import click

from lamps_cli.server_options import server_options, show, told


@click.command()
@server_options
def on(url: str, api_key: str | None, timeout: float, as_json: bool) -> None:
    """Put the policy back in force that was set aside by `lamps off`, or ejected for its faults."""
    show(told(url, api_key, timeout, "on", {}), as_json)
