"""`lamps decisions`: reads the decision log that `lamps serve --decisions` writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import warn, write

if TYPE_CHECKING:
    from engine_adapter.control.decision_log import LoggedDecision


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--request", metavar="NAME", help="Only this request or session, with why: rule, alternatives, values.")
@click.option("--kind", metavar="KIND", help="Only call, admit, preempt, pin, or turn: how turns ended.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, as they were logged.")
@click.option("--follow", is_flag=True, help="Go on with what is logged from now on, until stopped.")
def decisions(file: Path, request: str | None, kind: str | None, as_json: bool, follow: bool) -> None:
    """Show the decisions logged in FILE, oldest first, those of its older files (FILE.1 and so on) included."""
    import msgspec

    from engine_adapter.control.decision_log import Reading
    from lamps_cli.decision_view import explained, line

    reading = Reading(file)
    try:
        for decision in _wanted(reading.following() if follow else reading, request, kind):
            if as_json:
                write(msgspec.json.encode(decision).decode())
            elif request:
                write("\n".join(explained(decision)))
            else:
                write(line(decision))
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        raise Failure(f"can't read {problem.filename}: {problem.strerror}", "", ExitCode.USAGE) from problem
    except KeyboardInterrupt:
        if not follow:
            raise
    if reading.cut:
        lines = "1 line was" if reading.cut == 1 else f"{reading.cut:,} lines were"
        warn(f"{lines} left out: cut by a crash, or no decision")


def _wanted(found: Iterable[LoggedDecision], request: str | None, kind: str | None) -> Iterator[LoggedDecision]:
    from engine_adapter.control.naming import means

    for decision in found:
        named = not request or means(request, decision.request, decision.session)
        if named and (not kind or decision.kind == kind):
            yield decision
