"""Findings as JUnit XML: a test case for each file, failed where something was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

from policy_dsl.diagnostics.concise import render as render_line
from policy_dsl.diagnostics.model import Diagnostic

# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(findings: Mapping[str, Iterable[Diagnostic]]) -> str:
    """A whole document; *findings* by path, also of the files that have none."""
    cases, failures = [], 0
    for path, found in findings.items():
        listed = list(found)
        failures += bool(listed)
        cases.append(_case(path, listed))
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0"'
    inside = "".join(cases)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites {counts}>\n  <testsuite name="lamps lint" {counts}>\n{inside}  </testsuite>\n</testsuites>'
    )


def _case(path: str, found: list[Diagnostic]) -> str:
    opening = f"    <testcase name={attribute(path)} classname={attribute('lamps lint')}"
    if not found:
        return f"{opening}/>\n"
    body = "\n".join(render_line(f) + (f"\n  help: {f.help}" if f.help else "") for f in found)
    kinds = ", ".join(sorted({f.code for f in found}))
    message = f"{len(found)} finding{'s' * (len(found) > 1)}"
    failure = f"      <failure message={attribute(message)} type={attribute(kinds)}>{escape(clean(body))}</failure>"
    return f"{opening}>\n{failure}\n    </testcase>\n"


def attribute(text: str) -> str:
    """*text* in quotes, as XML takes it."""
    return quoteattr(clean(text))


def clean(text: str) -> str:
    """*text* without what XML cannot hold."""
    return _FORBIDDEN.sub("·", text)
