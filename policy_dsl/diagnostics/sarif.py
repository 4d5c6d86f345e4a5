"""Findings as SARIF 2.1.0, which code-scanning services read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from policy_dsl.diagnostics.model import Diagnostic, Edit, Severity, Span

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_sarif(findings: Iterable[Diagnostic], version: str, rules: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A whole log of one run. *rules*: name and first sentence of the rules known, by code."""
    found = list(findings)
    codes = sorted({f.code for f in found})
    driver = {
        "name": "lamps",
        "version": version,
        "rules": [_rule(code, *rules.get(code, (code, ""))) for code in codes],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(f, codes.index(f.code)) for f in found],
            }
        ],
    }


def _rule(code: str, name: str, summary: str) -> dict[str, Any]:
    described = {"shortDescription": {"text": summary}} if summary else {}
    return {"id": code, "name": name, **described}


def _result(finding: Diagnostic, index: int) -> dict[str, Any]:
    message = finding.message + (f" ({finding.help})" if finding.help else "")
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": message},
        "locations": [_location(finding.span)],
    }
    if finding.labels:
        result["relatedLocations"] = [_location(x.span) | {"message": {"text": x.text}} for x in finding.labels]
    if finding.fix is not None:
        change = {
            "artifactLocation": {"uri": _uri(finding.span)},
            "replacements": [_replacement(edit) for edit in finding.fix.edits],
        }
        result["fixes"] = [{"description": {"text": finding.fix.title}, "artifactChanges": [change]}]
    return result


def _location(span: Span) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(span)}, "region": _region(span)}}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column,
    }  # fmt: skip


def _replacement(edit: Edit) -> dict[str, Any]:
    inserted = {"insertedContent": {"text": edit.text}} if edit.text else {}
    return {"deletedRegion": _region(edit.span), **inserted}


def _uri(span: Span) -> str:
    from urllib.parse import quote

    return quote(span.source.path.replace("\\", "/"))
