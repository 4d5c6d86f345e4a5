"""Applying fixes: all that don't touch each other, in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policy_dsl.diagnostics.model import Diagnostic, Edit, Source, Span


def fixed(source: Source, findings: Iterable[Diagnostic]) -> tuple[str, int]:
    """The text of *source* with the fixes of *findings* made, and how many were.

    A fix that overlaps one already taken waits for the next round: it may no longer be needed.
    """
    taken: list[tuple[int, int, str]] = []
    count = 0
    for finding in findings:
        if finding.fix is None:
            continue
        edits = [_offsets(source, edit) for edit in finding.fix.edits]
        if all(e.span.source.path == source.path for e in finding.fix.edits) and not _clash(edits, taken):
            taken += edits
            count += 1
    text = source.text
    for start, end, new in sorted(taken, reverse=True):
        text = text[:start] + new + text[end:]
    return text, count


def _clash(edits: Sequence[tuple[int, int, str]], taken: Sequence[tuple[int, int, str]]) -> bool:
    return any((a < d and c < b) or (a, b) == (c, d) for a, b, _ in edits for c, d, _ in taken)


def _offsets(source: Source, edit: Edit) -> tuple[int, int, str]:
    starts = line_starts(source.text)
    return _offset(starts, edit.span, True), _offset(starts, edit.span, False), edit.text


def line_starts(text: str) -> list[int]:
    """Offset of the first character of each line."""
    return [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]


def _offset(starts: Sequence[int], span: Span, start: bool) -> int:
    line, column = (span.line, span.column) if start else (span.end_line, span.end_column)
    return starts[line - 1] + column - 1
