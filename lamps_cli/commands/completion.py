"""`lamps completion SHELL`: click's own completion script, printed."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lamps_cli.output import write


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  lamps completion bash > ~/.local/share/bash-completion/completions/lamps
    zsh:   lamps completion zsh > "${fpath[1]}/_lamps"
    fish:  lamps completion fish > ~/.config/fish/completions/lamps.fish
    """
    complete = get_completion_class(shell)
    assert complete is not None, shell
    write(complete(ctx.find_root().command, {}, "lamps", "_LAMPS_COMPLETE").source())
