"""LMP311: a key behind one that never ties."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.orders import orders, without
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_UNIQUE = ("request.arrival", "request.age")


class KeyAfterArrival(Rule):
    """A key behind `request.arrival`: no two turns arrive at the same instant, so it is never asked.

    ## Why

    It reads like a rule and is none. Put it before the arrival, or remove it.

    ## Avoid

    ```lamps
    rank request.arrival, predict.output
    ```

    ## Prefer

    ```lamps
    rank request.arrival
    ```
    """

    code, name = "LMP311", "key-after-arrival"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for keys in orders(s):
            paths = [k.expr.path if isinstance(k.expr, nodes.Path) else "" for k in keys]
            unique = next((i for i, path in enumerate(paths) if path in _UNIQUE), None)
            if unique is None or unique + 1 >= len(keys):
                continue
            label = (Label(keys[unique].span, "never ties"),)
            key, help = keys[unique + 1], "put it before the arrival, or remove it"
            fix = without(keys, unique + 1)
            yield self.finding("this key is never asked", key.span, "", help, label, fix)


RULE = KeyAfterArrival
