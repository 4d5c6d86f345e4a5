"""`lamps off`: the policy of a running server is set aside."""

from __future__ import annotations

import click

from lamps_cli.server_options import server_options, show, told


@click.command()
@server_options
def off(url: str, api_key: str | None, timeout: float, as_json: bool) -> None:
    """Set the policy aside, at once: first come, first served, and no KV cache is held for paused sessions.

    No request is lost. `lamps on` puts it back."""
    show(told(url, api_key, timeout, "off", {}), as_json)
