"""LMP613: `lowest`, which is how orders go anyway."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix, Span
from policy_dsl.lint.orders import orders
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject


class SaidDirection(Rule):
    """`lowest x` as the key of a rank.

    ## Why

    Lowest first is what a rank means; only `highest` needs saying. In `yield` and `victim`, where
    nobody remembers the direction, `lowest` is good style and not reported.

    ## Avoid

    ```lamps
    rank lowest predict.output, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name, severity = "LMP613", "said-direction", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        ranks = [k.expr for k in s.policy.rank]
        for keys in orders(s):
            for key in keys:
                written = key.span.source.line(key.span.line)[key.span.column - 1 :]
                if written.startswith("lowest") and any(n in ranks for n in s.at(key.expr)):
                    start, e = key.span, key.expr.span
                    gone = Span(start.source, start.line, start.column, e.line, e.column)
                    fix = Fix("remove `lowest`", (Edit(gone, ""),))
                    word = Span(start.source, start.line, start.column, start.line, start.column + 6)
                    yield self.finding("a rank is lowest first by itself", word, "", "remove `lowest`", (), fix)


RULE = SaidDirection
