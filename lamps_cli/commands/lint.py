"""`lamps lint FILE...`: check policy files, show everything that is wrong with them, and mend what is certain."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.findings import FOR_PEOPLE, FORMATS, LEVELS, Format, Level, count, counted, reaches, show
from lamps_cli.output import talk, wants_colour, write

if TYPE_CHECKING:
    from policy_dsl.diagnostics.model import Diagnostic
    from policy_dsl.lint.registry import Selection
    from policy_dsl.loading import Loaded

STDIN = "-"
POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one argument: what was read and found, or why it couldn't be read. *name* is what is shown."""

    name: str
    loaded: Loaded | None = None
    findings: tuple[Diagnostic, ...] = ()
    verdict: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to check and to show."""

    form: Format
    selection: Selection
    fail_level: Level
    verbose: bool
    stdin_name: str


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="full", show_default=True,
    help="With the source, one line each, or for machines.",
)  # fmt: skip
@click.option("--select", metavar="RULES", help="Only these rules: codes, beginnings of codes, names, with commas.")
@click.option("--ignore", metavar="RULES", help="Not these rules.")
@click.option("--fix", "mending", flag_value="fix", help="Mend what is certain, in the files.")
@click.option("--diff", "mending", flag_value="diff", help="Write nothing; show what --fix would change.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes.")
@click.option(
    "--fail-level", type=click.Choice(LEVELS), default="warning", show_default=True,
    help="The least finding that makes the exit status 1.",
)  # fmt: skip
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is proved about starvation, and what a step costs.")
@click.option("--calibrate", is_flag=True, help="Measure the costs that --verbose and `budget` count with; 10 s.")
@click.option("--stdin-filename", metavar="NAME", help="What to call the policy read from stdin.")
def lint(
    files: tuple[str, ...],
    form: Format,
    select: str | None,
    ignore: str | None,
    mending: str | None,
    watch: bool,
    fail_level: Level,
    exit_zero: bool,
    verbose: bool,
    calibrate: bool,
    stdin_filename: str | None,
) -> None:
    """Check policy files: syntax, names, types and units, and some forty rules (lamps rule --all).

    FILE is a policy file, a folder of them, the name of a shipped policy, or - for standard input. All files are
    checked and everything found is shown.

    Exit status: 0 nothing at the fail level, 1 findings, 2 a file that can't be read.
    """
    if calibrate:
        _calibrate()
    elif not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    if stdin_filename is not None and STDIN not in files:
        raise Failure("--stdin-filename is for a policy read from standard input: give - as the file")
    if watch and (STDIN in files or mending):
        raise Failure("--watch reads files, again and again: it goes with neither - nor --fix and --diff")
    wishes = Wishes(form, _selection(select, ignore), fail_level, verbose, stdin_filename or "<stdin>")
    if watch:
        _watch(files, wishes)
    elif mending:
        _mend(files, wishes, mending == "diff", exit_zero)
    elif files:
        _leave(_run(files, wishes), wishes, exit_zero)


def _selection(select: str | None, ignore: str | None) -> Selection:
    from policy_dsl.lint.registry import Selection, UnknownRule

    chosen, left = (tuple(n.strip() for n in (text or "").split(",") if n.strip()) for text in (select, ignore))
    try:
        return Selection(chosen, left)
    except UnknownRule as unknown:
        near = f"did you mean {' or '.join(unknown.near)}?" if unknown.near else "`lamps rule --all` lists them"
        raise Failure(str(unknown), near) from None


def _run(files: Sequence[str], wishes: Wishes) -> list[Checked]:
    """Check and show."""
    checked = [_check(path, wishes) for name in dict.fromkeys(files) for path in _expand(name)]
    show({c.name: c.findings for c in checked if not c.unreadable}, wishes.form)
    for one in checked:
        if one.unreadable:
            Failure(one.unreadable).show()
        elif wishes.verbose and one.verdict:
            _explain(one)
    if wishes.form in FOR_PEOPLE:
        findings = [finding for one in checked for finding in one.findings]
        read = sum(not one.unreadable for one in checked)
        talk(f"checked {count(read, 'file')}, {counted(findings)}")
    return checked


def _leave(checked: Sequence[Checked], wishes: Wishes, exit_zero: bool) -> None:
    if any(one.unreadable for one in checked):
        raise click.exceptions.Exit(ExitCode.USAGE)
    if not exit_zero and reaches([f for one in checked for f in one.findings], wishes.fail_level):
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


def _check(path: str | Path, wishes: Wishes) -> Checked:
    from policy_dsl.lint.run import lint as find
    from policy_dsl.loading import load, load_text

    name = wishes.stdin_name if path == STDIN else str(path)
    try:
        if path == STDIN:
            # Bytes that aren't UTF-8 are a finding of the checker, as in a file.
            loaded = load_text(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), name)
        else:
            loaded = load(path)
    except FileNotFoundError:
        return Checked(name, unreadable=f"there is no file and no policy {path}{_nearest(path)}")
    except OSError as problem:
        return Checked(name, unreadable=f"can't read {path}: {problem.strerror}")
    linted = find(loaded, wishes.selection)
    return Checked(name, loaded, linted.findings, linted.overtaking)


def _nearest(path: str | Path) -> str:
    import policies

    try:
        policies.find(str(path))
    except policies.UnknownPolicy as unknown:
        return f": did you mean {' or '.join(unknown.near)}?" if unknown.near else ""
    return ""


def _explain(one: Checked) -> None:
    """What was proved and what it costs, for the person."""
    from policy_dsl.analysis.cost import cost_of, said

    talk(f"{one.name}: overtaking: {one.verdict}")
    if one.loaded is not None and one.loaded.policy is not None:
        talk(f"{one.name}: cost: {said(cost_of(one.loaded.policy))}")


def _calibrate() -> None:
    from lamps_cli.calibration import calibrate

    talk("measuring what operations cost on this machine")
    talk(f"wrote {calibrate()}")


# --- mending


def _mend(files: Sequence[str], wishes: Wishes, diff: bool, exit_zero: bool) -> None:
    from policy_dsl.lint.run import fix

    changed = total = 0
    rest = []
    for path in (path for name in dict.fromkeys(files) for path in _expand(name)):
        one = _check(path, wishes)
        if one.unreadable or one.loaded is None:
            rest.append(one)
            Failure(one.unreadable).show()
            continue
        text, fixes = fix(one.loaded, wishes.selection)
        changed += bool(fixes)
        total += fixes
        if diff:
            _print_diff(one, text)
            continue
        if path == STDIN:
            click.echo(text.encode(), nl=False)
        elif fixes:
            _write(path, one.loaded, text)
        rest.append(_recheck(one, text, wishes))
    if diff:
        talk(f"{count(total, 'fix').replace('fixs', 'fixes')} in {count(changed, 'file')}")
        if changed and not exit_zero:
            raise click.exceptions.Exit(ExitCode.FINDINGS)
        return
    readable = [one for one in rest if not one.unreadable]
    if STDIN not in files:
        show({one.name: one.findings for one in readable}, wishes.form)
    if wishes.form in FOR_PEOPLE:
        left = counted([finding for one in readable for finding in one.findings])
        talk(f"{count(total, 'fix').replace('fixs', 'fixes')} in {count(changed, 'file')}; left: {left}")
    _leave(rest, wishes, exit_zero)


def _write(path: str | Path, loaded: Loaded, text: str) -> None:
    from lamps_cli.writing import rewrite

    before = Path(path).read_bytes()
    if b"\r\n" in before:
        text = text.replace("\n", "\r\n")
    try:
        rewrite(Path(path), text.encode())
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from None


def _recheck(one: Checked, text: str, wishes: Wishes) -> Checked:
    """What is left of the findings after mending."""
    from policy_dsl.lint.run import lint as find
    from policy_dsl.loading import load_text

    loaded = load_text(text, one.name)
    return Checked(one.name, loaded, find(loaded, wishes.selection).findings)


def _print_diff(one: Checked, text: str) -> None:
    assert one.loaded is not None
    before, after = one.loaded.source.text.splitlines(), text.splitlines()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in difflib.unified_diff(before, after, one.name, f"{one.name} (fixed)", lineterm=""):
        write(click.style(line, fg=colours.get(line[0])) if wants_colour() else line)


# --- watching


def _watch(files: Sequence[str], wishes: Wishes) -> None:
    """Until interrupted. Files that appear or go, in folders, are noticed too."""
    seen: dict[str, tuple[float, int]] | None = None
    while True:
        now = _state(files)
        if now != seen:
            if seen is not None:
                talk(f"--- {time.strftime('%H:%M:%S')}")
            seen = now
            _run(files, wishes)
            sys.stdout.flush()
        time.sleep(POLL_S)


def _state(files: Sequence[str]) -> dict[str, tuple[float, int]]:
    found = {}
    for name in files:
        for path in _expand(name):
            try:
                status = Path(path).stat()
            except OSError:
                continue
            found[str(path)] = (status.st_mtime, status.st_size)
    return found
