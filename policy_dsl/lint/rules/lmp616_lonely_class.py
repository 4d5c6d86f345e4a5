"""LMP616: one class for all."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject


class LonelyClass(Rule):
    """A policy with a single class: every session is in it.

    ## Why

    Its attributes are constants under a longer name; params have ranges and can be turned.

    ## Avoid

    ```lamps
    class all { patience: 1min }
    rank predict.output, request.arrival
    promote when request.waited >= class.patience
    ```

    ## Prefer

    ```lamps
    param patience = 1min in 1s..1h       # a request that waited this long goes first
    rank predict.output, request.arrival
    promote when request.waited >= patience
    ```
    """

    code, name, severity = "LMP616", "lonely-class", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        classes = list(s.every(nodes.ClassStatement))
        if len(classes) == 1 and len(s.policy.classes) == 1:
            yield self.finding("every session is in this class", classes[0].name.span, help="make it a `param`")


RULE = LonelyClass
