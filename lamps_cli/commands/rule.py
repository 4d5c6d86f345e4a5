"""`lamps rule`: what a rule of the linter reports, why, and how to write it better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.output import wants_colour, write, write_json

if TYPE_CHECKING:
    from policy_dsl.lint.registry import Entry


@click.command()
@click.argument("rules", nargs=-1, metavar="[CODE|NAME]...")
@click.option("--all", "every", is_flag=True, help="List all rules, one line each.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the whole page.")
def rule(rules: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Explain rules of `lamps lint`, by code (LMP301) or name (unbounded-wait)."""
    from policy_dsl.lint import registry

    if every == bool(rules):
        raise Failure("give a rule, or --all", "lamps rule LMP301")
    try:
        found = list(registry.entries().values()) if every else [registry.find(name) for name in rules]
    except registry.UnknownRule as unknown:
        near = f"did you mean {' or '.join(unknown.near)}?" if unknown.near else "`lamps rule --all` lists them"
        raise Failure(str(unknown), near) from None
    if as_json:
        write_json([_as_json(entry) for entry in found])
    elif every:
        width = max(len(entry.name) for entry in found)
        for entry in found:
            write(f"{entry.code}  {entry.name:<{width}}  {_summary(entry)}")
    else:
        write("\n".join(_page(entry) for entry in found).rstrip())


def _summary(entry: Entry) -> str:
    page: str = entry.load().page()
    return page.split("\n\n")[1].replace("\n", " ")


def _page(entry: Entry) -> str:
    """The page, its headings in bold on a terminal."""
    page: str = entry.load().page()
    if not wants_colour():
        return page
    return "\n".join(click.style(line, bold=True) if line.startswith("#") else line for line in page.splitlines())


def _as_json(entry: Entry) -> dict[str, str]:
    loaded = entry.load()
    return {
        "code": entry.code,
        "name": entry.name,
        "severity": loaded.severity.value,
        "summary": _summary(entry),
        "page": loaded.page(),
    }
