"""LMP310: the same key twice."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.orders import orders, without
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class RepeatedKey(Rule):
    """A key that stands in its order already: where it is asked, the two are equal.

    ## Why

    Keys are compared left to right. A second one of the same expression only sees requests that
    tie in it, whatever its direction.

    ## Avoid

    ```lamps
    rank session.turn, predict.output, session.turn, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank session.turn, predict.output, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP310", "repeated-key"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for keys in orders(s):
            first: dict[str, nodes.Key] = {}
            for i, key in enumerate(keys):
                said = text(key.expr.span)
                if said in first:
                    label = (Label(first[said].span, "decided here"),)
                    help = "remove it"
                    message = "this key decides nothing: it stands here already"
                    yield self.finding(message, key.span, "", help, label, without(keys, i))
                first.setdefault(said, key)


RULE = RepeatedKey
