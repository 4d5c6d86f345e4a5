"""LMP691: a suppression that does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class MalformedAllow(Rule):
    """A suppression without a reason, of an unknown rule, or of none.

    ## Why

    A finding that is waived without a word is a finding that the next person waives too. The
    reason stands behind ` -- ` and is printed with the verdict.

    ## Avoid

    ```lamps
    # lamps: allow steps-as-patience
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    # lamps: allow steps-as-patience -- the paper counts iterations
    promote when request.waited_steps >= 100steps
    ```
    """

    code, name = "LMP691", "malformed-allow"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        return iter(())  # found where suppressions are applied


RULE = MalformedAllow
