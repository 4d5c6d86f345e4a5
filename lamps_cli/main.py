"""The `lamps` command: a table of commands, each in a module of its own that is imported only when it runs.

The short help stands in the table, so that `lamps --help` imports click and nothing else (0.04 s instead of seconds).
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import Colour, choose_colour

# Each is the click command NAME in lamps_cli/commands/NAME.py. In the order of a first day.
COMMANDS = {
    "serve": "Serve a model with vLLM, scheduled by a policy.",
    "status": "What the scheduler of a running server is doing, and by which policy.",
    "reload": "Put another policy in force in a running server, or beside it.",
    "params": "Show and set the params of a running server's policy.",
    "off": "Set the policy of a running server aside: first come, first served.",
    "on": "Put the policy that was set aside back in force.",
    "decisions": "Read a decision log: what was decided, by which rule, from which values.",
    "predictor": "Train, judge and show the model that foretells lengths.",
    "record": "Record a trace of lengths and times from a server's live traffic.",
    "top": "Watch engines work: memory, queue, calls, decisions.",
    "bench": "Replay a trace against servers and measure them.",
    "compare": "Say whether one set of measured runs is worse than another, for CI.",
    "profile": "Measure an engine: the profile that virtual time and the cost model use.",
    "simulate": "Compare policies in virtual time.",
    "trace": "Show, import and generate traces.",
    "lint": "Check policy files.",
    "fmt": "Format policy files.",
    "test": "Run the tests in policy files.",
    "explain": "Say why requests wait, run or are paused as they do.",
    "policy": "List, show, compare and begin policies.",
    "lsp": "The language server that editors start.",
    "rule": "Explain a rule of lint.",
    "doctor": "What is installed, what would fail, and how to mend it.",
    "parity": "Replay a record of a server's steps, and find the first other decision.",
    "completion": "Print the completion script for a shell.",
}


class LazyGroup(click.Group):
    """Finds commands by the table, so that only the one that runs is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"lamps_cli.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        mine = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return mine + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
            asked = f" Did you mean {' or '.join(near)}?" if near else f" There are {', '.join(COMMANDS)}."
            raise click.UsageError(f"no command {name!r}.{asked}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whatever is still buffered has no reader: the interpreter must not try again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(ExitCode.BROKEN_PIPE) from None
        return result


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from lamps_cli.versions import version_lines

    click.echo("\n".join(version_lines()))
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 ok, 1 findings, 2 wrong use or unreadable input, 3 no server, 70 bug, 130 interrupted.",
)
@click.option(
    "--color",
    "--colour",
    "colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour the output. NO_COLOR and FORCE_COLOR are honoured too.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the versions of lamps, of the policy language and of vLLM.",
)
@click.pass_context
def cli(ctx: click.Context, colour: Colour) -> None:
    """Scheduling and KV-cache policies for vLLM, written in a small language."""
    ctx.color = choose_colour(colour)


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit status. Never raises."""
    try:
        result = cli.main(list(arguments), prog_name="lamps", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except Failure as failure:
        failure.show()
        return failure.code
    except click.ClickException as misuse:
        misuse.show()
        return misuse.exit_code
    except Exception as bug:
        if os.environ.get("LAMPS_DEBUG"):
            raise
        click.echo(f"internal error: {type(bug).__name__}: {bug} (set LAMPS_DEBUG=1 for the traceback)", err=True)
        return ExitCode.INTERNAL
    return result if isinstance(result, int) else ExitCode.OK


def main() -> None:
    """Entry point of the `lamps` script."""
    sys.exit(run(sys.argv[1:]))
