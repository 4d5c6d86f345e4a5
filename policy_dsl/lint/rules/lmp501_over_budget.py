"""LMP501: a step that costs more than its budget."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class OverBudget(Rule):
    """The estimated cost of ranking is above what `budget` allows.

    ## Why

    Ranking runs before every engine step, while the accelerator waits. The estimate counts the
    operations of a step by a table measured on the machine (`lamps lint --calibrate`; a shipped one
    otherwise), to a factor of two. What changes only with the request costs nothing per step: move
    `engine.*` signals and ages out of long formulas, or compare fewer of them.

    ## Avoid

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    budget 1us at 4096 requests
    ```

    ## Prefer

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    budget 20ms at 4096 requests
    ```
    """

    code, name = "LMP501", "over-budget"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        statement, budget = s.first(nodes.BudgetStatement), s.policy.budget
        if statement is None or budget is None:
            return
        from policy_dsl.analysis.cost import cost_of

        found = cost_of(s.policy)
        needed = found.step(budget.requests)
        allowed = budget.cost_s * 1e6
        if needed > allowed:
            message = f"a step costs about {needed:,.0f} us with {budget.requests:,.0f} requests waiting"
            text = f"the budget is {allowed:,.0f} us"
            help = f"read fewer signals that change every step, or allow {needed * 1.2:,.0f}us ({found.table.machine})"
            yield self.finding(message, statement.cost.span, text, help)


RULE = OverBudget
