"""LMP611: arithmetic that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text


class IdleArithmetic(Rule):
    """`x * 1`, `x + 0`, `x / 1`, `x ^ 1`: plain numbers that leave everything as it is.

    ## Why

    The reader asks what the 1 was. (A 1 with a unit is something else: `x / 1s` takes the unit off.)

    ## Avoid

    ```lamps
    rank 1 * predict.output + 0tok, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank predict.output, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP611", "idle-arithmetic"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Infix):
            kept = _kept(e)
            if kept is not None:
                simple = isinstance(kept, nodes.Path | nodes.Name | nodes.Apply | nodes.Number)
                fix = Fix("remove it", (Edit(e.span, text(kept.span)),)) if simple else None
                yield self.finding("this changes nothing", e.span, "", f"write `{text(kept.span)}`", (), fix)


def _kept(e: nodes.Infix) -> nodes.Expr | None:
    """The operand that the whole equals."""
    if (e.op in ("*", "/", "^") and _is(e.right, 1)) or (e.op in ("+", "-") and _is_zero(e.right)):
        return e.left
    if (e.op == "*" and _is(e.left, 1)) or (e.op == "+" and _is_zero(e.left)):
        return e.right
    return None


def _is(e: nodes.Expr, value: float) -> bool:
    return isinstance(e, nodes.Number) and e.value == value and e.unit == ""


def _is_zero(e: nodes.Expr) -> bool:
    return isinstance(e, nodes.Number) and e.value == 0


RULE = IdleArithmetic
