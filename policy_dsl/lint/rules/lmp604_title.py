"""LMP604: a title that is no sentence."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix, Span
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class Title(Rule):
    """A title that is empty, does not begin with a capital or digit, or does not end as a sentence does.

    ## Why

    The title is what `lamps policy list`, `lamps top` and the log show of a policy. "sjf" says
    nothing to the person on call; "Shortest job first, with a bound on waiting." does.

    ## Avoid

    ```lamps
    policy sjf "shortest job"
    ```

    ## Prefer

    ```lamps
    policy sjf "Shortest job first: the turn with the least time left to run."
    ```
    """

    code, name = "LMP604", "title"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement = s.first(nodes.PolicyStatement)
        if statement is None:
            return
        span, title = _quoted(statement), statement.title
        if not title.strip():
            yield self.finding("this policy has no title", span, help="say in a sentence what it does")
            return
        better = title.strip()
        if not better.endswith((".", "!", "?")):
            better += "."
        better = better[0].upper() + better[1:]
        if better != title:
            fix = Fix("write it as a sentence", (Edit(span, f'"{better}"'),))
            yield self.finding("a title is a sentence", span, "", f'write "{better}"', (), fix)


def _quoted(statement: nodes.PolicyStatement) -> Span:
    span = statement.span
    return Span(span.source, span.end_line, span.end_column - len(statement.title) - 2, span.end_line, span.end_column)


RULE = Title
