"""`lamps lint FILE...`: check policy files and show everything that is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour, write, write_json

if TYPE_CHECKING:
    from policy_dsl.diagnostics.model import Diagnostic

Format = Literal["full", "concise", "json"]
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one argument: its findings, or why it couldn't be read."""

    findings: tuple[Diagnostic, ...] = ()
    unreadable: str = ""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["full", "concise", "json"]),
    default="full",
    show_default=True,
    help="With the source, one line each, or for machines.",
)
@click.option("--stdin-filename", metavar="NAME", help="What to call the policy read from stdin.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 even with errors in a policy.")
def lint(files: tuple[str, ...], form: Format, stdin_filename: str | None, exit_zero: bool) -> None:
    """Check policy files: syntax, names, types and units.

    FILE is a policy file, a folder of them, the name of a shipped policy, or - for standard input. All files are
    checked and all errors shown.

    Exit status: 0 no errors, 1 errors in a policy, 2 a file that can't be read.
    """
    if stdin_filename is not None and STDIN not in files:
        raise Failure("--stdin-filename is for a policy read from standard input: give - as the file")
    checked = [_check(path, stdin_filename or "<stdin>") for name in dict.fromkeys(files) for path in _expand(name)]
    findings = [finding for result in checked for finding in result.findings]
    _show(findings, form)
    unreadable = [result.unreadable for result in checked if result.unreadable]
    for problem in unreadable:
        Failure(problem).show()
    errors = sum(finding.severity.value == "error" for finding in findings)
    if form != "json":
        talk(_summary(len(checked) - len(unreadable), errors, len(findings) - errors))
    if unreadable:
        raise click.exceptions.Exit(ExitCode.USAGE)
    if errors and not exit_zero:
        raise click.exceptions.Exit(ExitCode.FINDINGS)


def _expand(name: str) -> Iterator[str | Path]:
    """The files that *name* stands for: itself, a folder's policies, or a shipped policy."""
    path = Path(name)
    if name == STDIN or path.is_file():
        yield name if name == STDIN else path
    elif path.is_dir():
        inside = sorted(path.glob("*.lamps"))
        if not inside:
            raise Failure(f"{name} is a folder without *.lamps files")
        yield from inside
    else:
        import policies

        try:
            yield policies.find(name)
        except policies.UnknownPolicy:
            yield path  # reading it says why it can't be read


def _check(path: str | Path, stdin_name: str) -> Checked:
    from policy_dsl.loading import load, load_text

    if path == STDIN:
        # Bytes that aren't UTF-8 are a finding of the checker, as in a file.
        return Checked(load_text(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), stdin_name).diagnostics)
    try:
        return Checked(load(path).diagnostics)
    except FileNotFoundError:
        return Checked(unreadable=f"there is no file and no policy {path}{_nearest(path)}")
    except OSError as problem:
        return Checked(unreadable=f"can't read {path}: {problem.strerror}")


def _nearest(path: str | Path) -> str:
    import policies

    try:
        policies.find(str(path))
    except policies.UnknownPolicy as unknown:
        return f": did you mean {' or '.join(unknown.near)}?" if unknown.near else ""
    return ""


def _show(findings: list[Diagnostic], form: Format) -> None:
    match form:
        case "full":
            from policy_dsl.diagnostics.full import render

            for finding in findings:
                write(render(finding, colour=wants_colour()) + "\n")
        case "concise":
            from policy_dsl.diagnostics.concise import render as render_line

            for finding in findings:
                write(render_line(finding))
        case "json":
            from policy_dsl.diagnostics.json import as_json

            write_json([as_json(finding) for finding in findings])


def _summary(files: int, errors: int, warnings: int) -> str:
    said = [f"checked {_count(files, 'file')}", _count(errors, "error") if errors else "no errors"]
    if warnings:
        said.append(_count(warnings, "warning"))
    return ", ".join(said)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
