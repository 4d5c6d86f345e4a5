"""The exception a command raises to stop with one clear sentence, what to do about it, and an exit status."""

from __future__ import annotations

import click

from lamps_cli.exit_codes import ExitCode


class Failure(Exception):
    """Ends the command: *message* says what is wrong, *hint* (lines) what to do, in words of the user."""

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        # The context that knows the colour is gone when the failure is shown.
        context = click.get_current_context(silent=True)
        self._colour = context.color if context else None

    def show(self) -> None:
        """Print it on stderr."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", err=True, color=self._colour)
        for line in self.hint.splitlines():
            click.echo(f"  {line}", err=True, color=self._colour)
