"""`lamps doctor`: what is installed, what would fail, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict

import click

from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import wants_colour, write, write_json

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where `lamps serve` would listen.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(ctx: click.Context, host: str, port: int, as_json: bool) -> None:
    """Say what is installed, what would fail, and how to mend it.

    Exit status 1 when `lamps serve` would fail. Reads metadata only: nothing heavy is imported, no model is loaded.
    """
    from lamps_cli.checkup import check_all

    findings = check_all(host, port)
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        write_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            word, hue = _MARKS[finding.level]
            mark = click.style(f"{word:4}", fg=hue) if wants_colour() else f"{word:4}"
            write(f"{mark}  {finding.subject:{width}}  {finding.found}")
            if finding.mend:
                write(f"      {'':{width}}  -> {finding.mend}")
        write("`lamps serve` would fail" if failed else "`lamps serve` should work")
    ctx.exit(ExitCode.FINDINGS if failed else ExitCode.OK)
