"""A finding as a workflow command of GitHub Actions, which shows it beside the line of a pull request."""

from __future__ import annotations

from policy_dsl.diagnostics.model import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(finding: Diagnostic) -> str:
    """One line, without a newline. GitHub takes columns only where a finding stands on one line."""
    span = finding.span
    place = {"file": span.source.path, "line": str(span.line)}
    if span.line == span.end_line:
        # The last column is included there.
        place |= {"col": str(span.column), "endColumn": str(max(span.end_column - 1, span.column))}
    else:
        place |= {"endLine": str(span.end_line)}
    place["title"] = finding.code
    where = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in place.items())
    message = finding.message + (f"\nhelp: {finding.help}" if finding.help else "")
    return f"::{_COMMANDS[finding.severity]} {where}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for c in "%\r\n" + more:
        text = text.replace(c, f"%{ord(c):02X}")
    return text
