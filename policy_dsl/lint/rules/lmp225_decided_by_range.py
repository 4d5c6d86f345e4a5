"""LMP225: a comparison that the ranges decide."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.analysis.intervals import Interval, Truth
from policy_dsl.analysis.ranges import Ranges, ranges_of
from policy_dsl.analysis.signals import extreme
from policy_dsl.codegen.lower import postorder
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class DecidedByRange(Rule):
    """A comparison that always holds, or never, by the ranges of what it compares.

    ## Why

    A chance is never above 1 and a wait never below 0. Such a comparison usually has its sides
    swapped, its unit mistaken (`50` for `50%`), or a param's range in its way.

    ## Avoid

    ```lamps
    on call if call.chance > 50 { preserve for 10s } else { discard }
    ```

    ## Prefer

    ```lamps
    on call if call.chance > 50% { preserve for 10s } else { discard }
    ```
    """

    code, name = "LMP225", "decided-by-range"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        promised = ranges_of(s.policy, extreme)
        for e in s.every(nodes.Infix):
            if e.op not in _COMPARISONS:
                continue
            # In a function, one node for each use: what one use decides is the caller's affair.
            made = [node for node in s.made(e, ir.Binary) if s.ranges.reached(node)]
            words = {_decided(s, node, promised) for node in made}
            if len(words) == 1 and "" not in words:
                yield self.finding(f"this {words.pop()} holds", e.span, help=_help(s, made[0]))


def _decided(s: Subject, node: ir.Binary, promised: Ranges) -> str:
    """`always` or `never`; "" where it can be both, or reads nothing."""
    here, always = s.ranges.of(node), promised.of(node)
    if not isinstance(here, Truth) or not isinstance(always, Truth) or here.can_hold == here.can_fail:
        return ""
    # Sizes that no engine reaches are no promise.
    if always.can_hold == always.can_fail and not _local(s, node):
        return ""
    if not any(isinstance(n, ir.Read | ir.Param) for n in postorder((node,))):
        return ""
    return "always" if here.can_hold else "never"


def _local(s: Subject, node: ir.Binary) -> bool:
    """Whether what surrounds it decides it, by a test before it."""
    return s.ranges.of(node) != ranges_of(s.policy).of(node)


def _help(s: Subject, node: ir.Binary) -> str:
    if _local(s, node):
        return "a test around it has decided it"
    left, right = s.ranges.of(node.left), s.ranges.of(node.right)
    if not isinstance(left, Interval) or not isinstance(right, Interval):
        return ""
    promised = ranges_of(s.policy, extreme)
    a, b = promised.of(node.left), promised.of(node.right)
    return f"the left side is {_said(a)}, the right side {_said(b)}"


def _said(value: object) -> str:
    if not isinstance(value, Interval) or value.empty:
        return "no number"
    if value.low == value.high:
        return f"{value.low:g}"
    if value.high == float("inf"):
        return f"at least {value.low:g}"
    return f"at most {value.high:g}" if value.low == float("-inf") else f"in {value.low:g}..{value.high:g}"


RULE = DecidedByRange
