"""LMP690: a suppression that suppresses nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class UnusedAllow(Rule):
    """A suppression for something that is not found where it stands.

    ## Why

    It outlived its cause, stands on the wrong line, or names the wrong rule. A stale one will hide
    the next finding of its kind. Behind a statement it speaks of that line, alone on a line of the
    rule below, behind the last rule of the whole file.

    ## Avoid

    ```lamps
    # lamps: allow unbounded-wait -- short jobs starve long ones, by agreement
    rank request.arrival
    ```

    ## Prefer

    ```lamps
    # lamps: allow unbounded-wait -- short jobs starve long ones, by agreement
    rank predict.output, request.arrival
    ```
    """

    code, name = "LMP690", "unused-allow"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        return iter(())  # found where suppressions are applied


RULE = UnusedAllow
