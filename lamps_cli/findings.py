"""Findings on policies, in every format that `lamps lint` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from lamps_cli.output import wants_colour, write, write_json

if TYPE_CHECKING:
    from policy_dsl.diagnostics.model import Diagnostic

Format = Literal["full", "concise", "json", "github", "sarif", "junit"]
FORMATS: tuple[str, ...] = get_args(Format)
FOR_PEOPLE: tuple[Format, ...] = ("full", "concise")

Level = Literal["error", "warning", "info"]
LEVELS: tuple[str, ...] = get_args(Level)


def show(findings: Mapping[str, Sequence[Diagnostic]], form: Format) -> None:
    """Write the findings, given by path, to stdout. Formats that are one document are written even without any."""
    every = [finding for found in findings.values() for finding in found]
    match form:
        case "full":
            from policy_dsl.diagnostics.full import render

            for finding in every:
                write(render(finding, colour=wants_colour()) + "\n")
        case "concise":
            from policy_dsl.diagnostics.concise import render as render_line

            for finding in every:
                write(render_line(finding))
        case "json":
            from policy_dsl.diagnostics.json import as_json

            write_json([as_json(finding) for finding in every])
        case "github":
            from policy_dsl.diagnostics.github import render as render_command

            for finding in every:
                write(render_command(finding))
        case "sarif":
            from importlib.metadata import version

            from policy_dsl.diagnostics.sarif import as_sarif

            write_json(as_sarif(every, version("vllm-lamps"), _known({finding.code for finding in every})))
        case "junit":
            from policy_dsl.diagnostics.junit import as_junit

            write(as_junit(findings))


def _known(codes: set[str]) -> dict[str, tuple[str, str]]:
    """Name and first sentence of each code."""
    from policy_dsl.diagnostics.codes import TITLES
    from policy_dsl.lint.registry import entries

    known = {code: (code, TITLES[code]) for code in codes if code in TITLES}
    for code in codes & entries().keys():
        entry = entries()[code]
        known[code] = (entry.name, entry.load().page().split("\n\n")[1].replace("\n", " "))
    return known


def reaches(findings: Sequence[Diagnostic], level: Level) -> bool:
    """Whether any finding is at *level* or above."""
    most = LEVELS.index(level)
    return any(LEVELS.index(finding.severity.value) <= most for finding in findings)


def counted(findings: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no errors`; infos are notes."""
    counts = [sum(finding.severity.value == level for finding in findings) for level in LEVELS]
    words = ("error", "warning", "note")
    said = [count(n, word) for n, word in zip(counts, words, strict=True) if n]
    return ", ".join(said if counts[0] else ["no errors", *said])


def count(number: int, thing: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
