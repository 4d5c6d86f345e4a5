"""A finding with its source lines, carets and labels, for people.

Columns are those of a terminal: tabs reach to the next multiple of four, wide characters take two
columns, and characters that would move the cursor are shown as a dot.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span

TAB = 4
WIDEST = 160  # columns of a source line that are shown


@dataclass(frozen=True, slots=True)
class Style:
    """Escape sequences around the parts of a finding; all empty in plain text."""

    error: str = ""
    warning: str = ""
    info: str = ""
    note: str = ""  # line numbers, secondary labels
    bold: str = ""
    reset: str = ""

    def of(self, severity: Severity) -> str:
        return {Severity.ERROR: self.error, Severity.WARNING: self.warning, Severity.INFO: self.info}[severity]


PLAIN = Style()
COLOUR = Style("\x1b[1;31m", "\x1b[1;33m", "\x1b[1;36m", "\x1b[34m", "\x1b[1m", "\x1b[0m")


@dataclass(frozen=True, slots=True)
class _Mark:
    span: Span
    text: str
    primary: bool


def render(finding: Diagnostic, colour: bool = False) -> str:
    """The finding as a few lines of text, without a newline at the end."""
    style = COLOUR if colour else PLAIN
    marks = [_Mark(finding.span, finding.text, True), *(_Mark(x.span, x.text, False) for x in finding.labels)]
    margin = max(len(str(m.span.line)) for m in marks)
    tint = style.of(finding.severity)
    message = f"{style.bold}: {_safe(finding.message)}{style.reset}"
    lines = [f"{tint}{finding.severity.value}[{finding.code}]{style.reset}{message}"]
    for number, source in enumerate(_sources(marks)):
        here = [m for m in marks if m.span.source.path == source.path]
        start = here[0].span
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * margin}{style.note}{arrow}{style.reset} {_safe(source.path)}:{start.line}:{start.column}")
        lines.extend(_snippet(source, here, margin, style, tint))
    if finding.help:
        lines.append(f"{' ' * margin} {style.note}={style.reset} {style.bold}help{style.reset}: {_safe(finding.help)}")
    return "\n".join(lines)


def _sources(marks: Iterable[_Mark]) -> list[Source]:
    """The sources in order, that of the finding first."""
    return list({m.span.source.path: m.span.source for m in marks}.values())


def _snippet(source: Source, marks: list[_Mark], margin: int, style: Style, tint: str) -> Iterator[str]:
    bar = f"{style.note}|{style.reset}"
    yield f"{' ' * margin} {bar}"
    lines = sorted({m.span.line for m in marks})
    for before, line in zip([lines[0], *lines], lines, strict=False):
        if line - before > 1:
            yield f"{style.note}...{style.reset}"
        text = _line(source, line)
        shown, _ = _cut(text)
        yield f"{style.note}{line:>{margin}}{style.reset} {bar} {shown}".rstrip()
        for mark in sorted((m for m in marks if m.span.line == line), key=lambda m: -m.span.column):
            start, length = _columns(text, mark.span)
            sign = "^" if mark.primary else "-"
            under = f"{tint if mark.primary else style.note}{sign * length}"
            label = " " + _safe(mark.text) if mark.text else ""
            yield f"{' ' * margin} {bar} {' ' * start}{under}{label}{style.reset}"


def _line(source: Source, number: int) -> str:
    lines = source.text.split("\n")
    return lines[number - 1] if number <= len(lines) else ""


def _cut(text: str) -> tuple[str, int]:
    """The line as shown, and its width; long lines end in an ellipsis."""
    shown, width = "", 0
    for c in text:
        size = _width(c, width)
        if width + size > WIDEST:
            return shown + "...", width + 3
        shown += " " * size if c == "\t" else c if _printable(c) else "·"
        width += size
    return shown, width


def _columns(text: str, span: Span) -> tuple[int, int]:
    """Where the marks under *span* begin and how many there are; a span over several lines is cut at the first."""
    end = span.end_column - 1 if span.end_line == span.line else len(text)
    start = _width_of(text[: span.column - 1])
    stop = _width_of(text[:end]) + max(end - len(text), 0)
    start, stop = min(start, WIDEST), min(stop, WIDEST + 3)
    return start, max(stop - start, 1)


def _width_of(text: str) -> int:
    width = 0
    for c in text:
        width += _width(c, width)
    return width


def _width(c: str, column: int) -> int:
    if c == "\t":
        return TAB - column % TAB
    if not _printable(c):
        return 1
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def _printable(c: str) -> bool:
    return c.isprintable() or unicodedata.combining(c) != 0


def _safe(text: str) -> str:
    """*text* without characters that would move the cursor."""
    return "".join(c if _printable(c) else "·" for c in text)
