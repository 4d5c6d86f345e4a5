"""What a rule is: a code, a name, a severity, a page of documentation and a check."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from policy_dsl.diagnostics.model import Diagnostic, Fix, Label, Severity, Span
from policy_dsl.lint.subject import Subject

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Rule(ABC):
    """One thing that can be wrong with a policy that checks.

    The docstring of the class is the page that `lamps rule` prints: what is reported, `## Why`,
    `## Avoid` and `## Prefer`. The code in the last two is run by the tests: the first makes this
    rule speak and no other, the second makes none speak.
    """

    code: ClassVar[str]
    name: ClassVar[str]  # reads after "allow": `# lamps: allow unbounded-wait -- ...`
    severity: ClassVar[Severity] = WARNING

    @abstractmethod
    def check(self, s: Subject) -> Iterator[Diagnostic]:
        """The findings, each at the smallest span that shows it."""

    def finding(
        self,
        message: str,
        span: Span,
        text: str = "",
        help: str = "",
        labels: tuple[Label, ...] = (),
        fix: Fix | None = None,
    ) -> Diagnostic:
        return Diagnostic(self.code, self.severity, message, span, text, labels, help, fix)

    @classmethod
    def page(cls) -> str:
        """The documentation, in Markdown."""
        return f"# {cls.name} ({cls.code})\n\n{inspect.cleandoc(cls.__doc__ or '')}\n"
