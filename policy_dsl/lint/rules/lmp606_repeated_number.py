"""LMP606: the same quantity written twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below, text
from policy_dsl.units import Dim


class RepeatedNumber(Rule):
    """A quantity with a unit that stands in several places of the rules.

    ## Why

    Two `30s` that mean the same must be changed together, and one day will not be. As a param it
    has a name, a range and a place in `lamps policy show`.

    ## Avoid

    ```lamps
    on call if call.duration.known and call.duration <= 30s { preserve for 30s } else { discard }
    ```

    ## Prefer

    ```lamps
    param longest = 30s in 1s..10min      # no pin lasts longer
    on call if call.duration.known and call.duration <= longest { preserve for longest } else { discard }
    ```
    """

    code, name, severity = "LMP606", "repeated-number", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        places: dict[tuple[float, Dim], list[nodes.Number]] = defaultdict(list)
        for statement in s.rules:
            if isinstance(statement, nodes.ParamStatement | nodes.ClassStatement | nodes.BudgetStatement):
                continue
            for e in below(statement):
                # One of a unit is how units are taken off (`x / 1s`) and floors are written.
                if isinstance(e, nodes.Number) and e.unit not in ("", "%") and e.value and not _is_one(e):
                    places[e.value, e.dim].append(e)
        for same in places.values():
            if len(same) > 1:
                labels = tuple(Label(e.span, "and here") for e in same[1:4])
                help = f"give it a name: `param NAME = {text(same[0].span)} in LOW..HIGH`"
                yield self.finding(
                    f"`{text(same[0].span)}` stands in {len(same)} places", same[0].span, "", help, labels
                )


def _is_one(e: nodes.Number) -> bool:
    written = text(e.span)
    return written.removesuffix(e.unit) == "1"


RULE = RepeatedNumber
