"""The exception a command raises to stop with one clear sentence, what to do about it, and an exit status."""

from __future__ import annotations

from typing import IO, Any

import click

from lamps_cli.exit_codes import ExitCode


class Failure(click.ClickException):
    """Ends the command: *message* says what is wrong, *hint* what to do, in words of the user."""

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = int(code)

    def show(self, file: IO[Any] | None = None) -> None:
        target = file or click.get_text_stream("stderr")
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", file=target)
        for line in self.hint.splitlines():
            click.echo(f"  {line}", file=target)
