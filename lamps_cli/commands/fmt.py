"""`lamps fmt`: policy files in the one layout. What a policy means stays, and so does every comment."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour, write
from lamps_cli.writing import rewrite

if TYPE_CHECKING:
    from policy_dsl.diagnostics.model import Diagnostic

STDIN = "-"


class Mode(Enum):
    """What happens to a file that isn't formatted."""

    WRITE = "write"
    CHECK = "check"
    DIFF = "diff"


class Outcome(Enum):
    SAME = "left unchanged"
    CHANGED = "changed"
    WRONG = "with errors"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Layout:
    """The bytes of a policy and its text in the one layout; None where *diagnostics* say why it can't be read."""

    before: bytes
    after: str | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def outcome(self) -> Outcome:
        if self.after is None:
            return Outcome.WRONG
        return Outcome.SAME if self.before == self.after.encode() else Outcome.CHANGED


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--check", "mode", flag_value="check", help="Write nothing; exit 1 if a file would change.")
@click.option("--diff", "mode", flag_value="diff", help="Write nothing; show what would change and exit 1.")
@click.option("--stdin-filename", metavar="NAME", help="What to call the policy read from stdin.")
def fmt(files: tuple[str, ...], mode: str | None, stdin_filename: str | None) -> None:
    """Format policy files.

    FILE is a policy file, a folder of them (the present one when none is given), or - to read standard input and
    write standard output. Formatting keeps the meaning and every comment. A file with syntax errors is left as it is.

    Exit status: 0 all formatted, 1 syntax errors, or with --check or --diff files that would change, 2 a file that
    can't be read or written.
    """
    if stdin_filename is not None and STDIN not in files:
        raise Failure("--stdin-filename is for a policy read from standard input: give - as the file")
    chosen = Mode(mode or "write")
    paths = [path for name in dict.fromkeys(files or (".",)) for path in _expand(name)]
    outcomes = [_standard_input(stdin_filename, chosen) if p is None else _file(p, chosen) for p in paths]
    if paths != [None]:
        talk(_summary(outcomes, chosen))
    if Outcome.UNREADABLE in outcomes:
        raise click.exceptions.Exit(ExitCode.USAGE)
    if Outcome.WRONG in outcomes or (Outcome.CHANGED in outcomes and chosen is not Mode.WRITE):
        raise click.exceptions.Exit(ExitCode.FINDINGS)


def _expand(name: str) -> Iterator[Path | None]:
    """The files that *name* stands for; None is standard input."""
    path = Path(name)
    if name == STDIN:
        yield None
    elif path.is_dir():
        inside = sorted(path.glob("*.lamps"))
        if not inside:
            raise Failure(f"{'this' if name == '.' else name} is a folder without *.lamps files")
        yield from inside
    else:
        yield path


def _layout(data: bytes, name: str) -> Layout:
    from policy_dsl.diagnostics.model import Diagnostic
    from policy_dsl.formatting import format_source
    from policy_dsl.reading import decode

    source = decode(data, name)
    if isinstance(source, Diagnostic):
        return Layout(data, None, (source,))
    done = format_source(source)
    return Layout(data, done.text, done.diagnostics)


def _standard_input(name: str | None, mode: Mode) -> Outcome:
    from policy_dsl.reading import LARGEST

    name = name or "<stdin>"
    layout = _layout(sys.stdin.buffer.read(LARGEST + 1), name)
    _show(layout.diagnostics)
    if layout.after is not None and mode is Mode.WRITE:
        click.echo(layout.after.encode(), nl=False)
    elif layout.outcome is Outcome.CHANGED:
        _report(layout, name, mode)
    return layout.outcome


def _file(path: Path, mode: Mode) -> Outcome:
    from policy_dsl.reading import LARGEST

    try:
        with path.open("rb") as file:
            layout = _layout(file.read(LARGEST + 1), str(path))
    except OSError as problem:
        Failure(_unreadable(path, problem)).show()
        return Outcome.UNREADABLE
    _show(layout.diagnostics)
    if layout.after is None or layout.outcome is Outcome.SAME:
        return layout.outcome
    if mode is not Mode.WRITE:
        _report(layout, str(path), mode)
        return Outcome.CHANGED
    try:
        rewrite(path, layout.after.encode())
    except OSError as problem:
        Failure(f"can't write {path}: {problem.strerror}").show()
        return Outcome.UNREADABLE
    talk(f"formatted {path}")
    return Outcome.CHANGED


def _unreadable(path: Path, problem: OSError) -> str:
    if path.is_symlink() and not path.exists():
        return f"{path} is a link that leads nowhere ({path.readlink()})"
    if isinstance(problem, FileNotFoundError):
        return f"there is no file {path}"
    return f"can't read {path}: {problem.strerror}"


def _show(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Findings go to stderr: stdout is for the formatted text."""
    from policy_dsl.diagnostics.full import render

    for finding in diagnostics:
        talk(render(finding, colour=wants_colour(sys.stderr)) + "\n")


def _report(layout: Layout, name: str, mode: Mode) -> None:
    if mode is Mode.CHECK:
        talk(f"would format {name}")
        return
    before, after = layout.before.decode().splitlines(), (layout.after or "").splitlines()
    lines = list(difflib.unified_diff(before, after, name, f"{name} (formatted)", lineterm=""))
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        write(click.style(line, fg=colours.get(line[0])) if wants_colour() else line)
    if not lines:
        talk(f"{name}: only line endings differ")


def _summary(outcomes: list[Outcome], mode: Mode) -> str:
    counts = {outcome: outcomes.count(outcome) for outcome in Outcome}
    words = {Outcome.CHANGED: "formatted" if mode is Mode.WRITE else "to format"}
    said = [
        f"{n} file{'' if n == 1 else 's'} {words.get(outcome, outcome.value)}"
        for outcome, n in counts.items()
        if n
    ]  # fmt: skip
    return ", ".join(said)
