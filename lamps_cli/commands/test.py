"""`lamps test`: the tests that stand in policy files, run without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk
from lamps_cli.test_view import FOR_PEOPLE, FORMATS, Format, Tested, counted, show

if TYPE_CHECKING:
    from policy_dsl.coverage import Coverage
    from policy_dsl.loading import Loaded


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|NAME]...")
@click.option("-k", "wanted", metavar="TEXT", help="Only tests with this in their name, in any case.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="full", show_default=True,
    help="Every test with what failed, only what failed, or for machines.",
)  # fmt: skip
@click.option("--coverage", "covering", is_flag=True, help="Say which statements, arms and branches no test reaches.")
def test(files: tuple[str, ...], wanted: str | None, form: Format, covering: bool) -> None:
    """Run the tests in policy files.

    FILE is a policy file or a folder of them, NAME a shipped policy; without any, the policies in this folder, else
    the shipped ones. Beside policy.lamps, tests may stand in a policy_test.lamps that extends it. Time is virtual and
    costs are those of a fixed profile, so a test says the same on every machine.

    Exit status: 0 all passed, 1 a test failed or a policy has errors, 2 a file that can't be read.
    """
    paths = list(dict.fromkeys(path for name in files or _default() for path in _with_tests_beside(name)))
    tested, unreadable = [], False
    for path in paths:
        try:
            tested.append(_run(path, wanted, covering))
        except Failure as failure:
            failure.show()
            unreadable = True
    if wanted is not None:
        tested = [one for one in tested if one.results or one.errors]
        if not tested and not unreadable:
            raise Failure(f"no test has {wanted!r} in its name")
    show(tested, form, _together(tested) if covering else None)
    if form in FOR_PEOPLE:
        talk(counted(tested))
    if unreadable:
        raise click.exceptions.Exit(ExitCode.USAGE)
    if not all(one.passed for one in tested):
        raise click.exceptions.Exit(ExitCode.FINDINGS)


def _default() -> list[str]:
    if any(Path().glob("*.lamps")):
        return ["."]
    import policies

    return [str(path) for path in policies.shipped().values()]


def _with_tests_beside(name: str) -> Iterator[Path]:
    from lamps_cli.policy_files import expand

    for path in expand(name):
        yield path
        beside = path.with_name(f"{path.stem}_test.lamps")
        if beside.is_file():
            yield beside


def _run(path: Path, wanted: str | None, covering: bool) -> Tested:
    """Runs one file; with *covering*, what its tests reach is noted."""
    from lamps_cli.policy_files import read

    loaded = _only(read(path), wanted)
    if loaded.policy is None:
        return Tested(str(path), errors=loaded.diagnostics)
    if covering:
        from policy_dsl.coverage import run_covered

        results, coverage = run_covered(loaded)
        return Tested(str(path), results, coverage=coverage)
    from policy_dsl.testing import run_tests

    return Tested(str(path), run_tests(loaded))


def _only(loaded: Loaded, wanted: str | None) -> Loaded:
    if wanted is None:
        return loaded
    return replace(loaded, tests=tuple(t for t in loaded.tests if wanted.casefold() in t.name.casefold()))


def _together(tested: list[Tested]) -> Coverage:
    """What all tests reach: those of a file that extends another count for that other too."""
    from policy_dsl.coverage import Coverage

    total = Coverage((), frozenset())
    for one in tested:
        if one.coverage is not None:
            total |= one.coverage
    return total
