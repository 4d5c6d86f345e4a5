"""A finding on one line, as editors and `grep` like it: `path:line:column: CODE message`."""

from __future__ import annotations

from policy_dsl.diagnostics.model import Diagnostic


def render(finding: Diagnostic) -> str:
    """One line, without a newline."""
    span = finding.span
    line = f"{span.source.path}:{span.line}:{span.column}: {finding.code} {finding.message}"
    return "".join(c if c.isprintable() else "·" for c in line)
