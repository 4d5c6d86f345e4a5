"""What an editor can do about a finding: its fix, or what its help says to type, tried out first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from policy_dsl.diagnostics.model import Diagnostic, Edit, Severity
from policy_dsl.editor.document import Document
from policy_dsl.lint.fix import line_starts
from policy_dsl.loading import load_text

_WRITE = re.compile(r'write (?:`([^`]+)`|("[^"]*"))')
_QUOTED = re.compile(r"`([^`]+)`")
MOST_TRIALS = 3  # for one question: each checks the policy once, 30 ms for 300 lines


@dataclass(frozen=True, slots=True)
class Action:
    """*title* says what happens: "write `request.arrival`"."""

    title: str
    edits: tuple[Edit, ...]
    finding: Diagnostic


def actions(doc: Document, first_line: int, last_line: int) -> list[Action]:
    """What can be done about the findings on these lines."""
    found: list[Action] = []
    trials = MOST_TRIALS
    errors = _errors(doc.loaded.diagnostics)
    for finding in doc.findings:
        if finding.span.end_line < first_line or finding.span.line > last_line:
            continue
        if finding.fix is not None:
            found.append(Action(finding.fix.title, finding.fix.edits, finding))
            continue
        for text in _proposals(finding):
            edit = Edit(finding.span, text)
            trials -= 1
            if trials >= 0 and _errors(load_text(apply(doc, (edit,)), doc.source.path).diagnostics) < errors:
                found.append(Action(f"write `{text}`", (edit,), finding))
    return found


def _proposals(finding: Diagnostic) -> Iterator[str]:
    """Texts that may belong in the place of what was found, from its help."""
    if finding.help.startswith("did you mean"):
        question, _, _ = finding.help.partition("?")
        yield from _QUOTED.findall(question)
    elif found := _WRITE.search(finding.help):
        yield found[1] or found[2]


def _errors(diagnostics: tuple[Diagnostic, ...]) -> int:
    return sum(d.severity is Severity.ERROR for d in diagnostics)


def apply(doc: Document, edits: tuple[Edit, ...]) -> str:
    """The text with these edits made; they must not overlap."""
    text = doc.source.text
    starts = [*line_starts(text), len(text)]
    for edit in sorted(edits, key=lambda e: (e.span.line, e.span.column), reverse=True):
        begin = starts[edit.span.line - 1] + edit.span.column - 1
        end = max(begin, starts[edit.span.end_line - 1] + edit.span.end_column - 1)
        text = text[:begin] + edit.text + text[end:]
    return text
