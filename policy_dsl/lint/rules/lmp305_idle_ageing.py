"""LMP305: waiting that divides 0."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.codegen.lower import keys_read
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.rules.lmp220_zero_divisor import one
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import text

_CLOCKS = {"request.age", "request.waited", "request.waited_steps", "session.age", "session.waited", "engine.now"}


class IdleAgeing(Rule):
    """A rank divided by the wait, whose dividend can be 0: then waiting changes nothing.

    ## Why

    `0 / anything` is 0. A request of size 0 stays first, and among several of them nothing but the
    last key decides, however long the others have waited. Nothing can be proved of such a rank.

    ## Avoid

    ```lamps
    # lamps: allow unbounded-wait -- to show the other finding
    rank decode_time(predict.output) / (1 + request.age / 50s) ^ 3
    ```

    ## Prefer

    ```lamps
    rank clamp(decode_time(predict.output), 1ms, 10min) / (1 + request.age / 50s) ^ 3
    ```
    """

    code, name = "LMP305", "idle-ageing"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        keys = [k.expr for k in s.policy.rank]
        for e in s.every(nodes.Infix):
            for node in s.made(e, ir.Binary) if e.op == "/" else ():
                if node not in keys or not keys_read((node.right,)) & _CLOCKS:
                    continue
                found = s.ranges.numbers(node.left)
                if found.low <= 0 <= found.high:
                    help = f"write `max({text(e.left.span)}, {one(node.left)})`"
                    message = "this can be 0, and then waiting has no effect"
                    yield self.finding(message, e.left.span, "divided by the wait", help)


RULE = IdleAgeing
