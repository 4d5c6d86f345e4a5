"""`lamps lsp`: the language server that editors start."""

from __future__ import annotations

import click

from lamps_cli.errors import Failure


@click.command()
@click.option("--stdio", is_flag=True, help="Talk over stdin and stdout, as it does anyway: some editors say so.")
def lsp(stdio: bool) -> None:
    """Serve an editor: findings, hover, completion, definitions, formatting, quick fixes.

    Talks the Language Server Protocol over stdin and stdout. Editors start it; docs/editors says how.
    """
    try:
        from lamps_cli.lsp import serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("pygls", "lsprotocol"):
            raise
        raise Failure("the language server needs pygls", "pip install 'vllm-lamps[lsp]'") from missing
    serve()
