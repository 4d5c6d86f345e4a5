"""A finding as plain data, for other programs."""

from __future__ import annotations

from typing import Any

from policy_dsl.diagnostics.model import Diagnostic, Fix, Span


def as_json(finding: Diagnostic) -> dict[str, Any]:
    """What `json.dumps` takes. Lines and columns from 1, counted in characters; the end is exclusive."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "message": finding.message,
        **_place(finding.span),
        "text": finding.text,
        "labels": [{**_place(label.span), "text": label.text} for label in finding.labels],
        "help": finding.help,
        "fix": None if finding.fix is None else _fix(finding.fix),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {"title": fix.title, "edits": [{**_place(edit.span), "text": edit.text} for edit in fix.edits]}


def _place(span: Span) -> dict[str, Any]:
    return {
        "path": span.source.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
