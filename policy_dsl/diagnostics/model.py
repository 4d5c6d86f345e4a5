"""What a finding is: a code, a message, the smallest span that shows it, labels, and what to type instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


@lru_cache(maxsize=32)
def _lines(text: str) -> list[str]:
    """Asked once for each statement and finding: splitting anew would make long files quadratic."""
    return text.split("\n")


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one policy file. *path* is what messages show (`<stdin>`, `<prelude>` are fine)."""

    path: str
    text: str

    def line(self, number: int) -> str:
        """Line *number*, from 1, without its newline."""
        return _lines(self.text)[number - 1]


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of one source. Lines and columns from 1; *end_column* is one past the last character."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def text(self) -> str:
        """What stands there, line breaks included."""
        lines = _lines(self.source.text)[self.line - 1 : self.end_line]
        lines[-1] = lines[-1][: self.end_column - 1]
        lines[0] = lines[0][self.column - 1 :]
        return "\n".join(lines)


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that explains the first, such as the declaration of a name."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """*text* in place of what stands at *span*. Spans are half-open: an empty one inserts."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that is certain to keep what the policy does. *title* says it as an order: "remove the param"."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    code: str  # LMP001: 0xx syntax, 1xx names, 2xx types and units, 3xx fairness, 4xx KV and calls, 5xx cost, 6xx style
    severity: Severity
    message: str  # lower case, no full stop
    span: Span
    text: str = ""  # shown at the caret
    labels: tuple[Label, ...] = ()
    help: str = ""  # says what to type
    fix: Fix | None = None
