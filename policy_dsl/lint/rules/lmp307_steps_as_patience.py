"""LMP307: patience counted in engine steps."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below


class StepsAsPatience(Rule):
    """A promotion after so many engine steps: how long that is depends on the engine.

    ## Why

    A hundred steps are one second on a large accelerator and five or more on a CPU, and they get
    longer as the batch grows: promotion then comes later exactly when queues are long. Past it the
    order is that of arrival, so the number decides how much of the rank is left.

    ## Avoid

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited_steps >= 100steps
    ```

    ## Prefer

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 5s
    ```
    """

    code, name, severity = "LMP307", "steps-as-patience", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        promote = s.first(nodes.PromoteStatement)
        if promote is None:
            return
        for e in below(promote.when):
            if isinstance(e, nodes.Path) and e.path == "request.waited_steps":
                help = "compare `request.waited` with a duration, or say why steps are meant"
                yield self.finding("how long these steps last depends on the engine", e.span, help=help)


RULE = StepsAsPatience
