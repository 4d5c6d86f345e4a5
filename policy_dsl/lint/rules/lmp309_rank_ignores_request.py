"""LMP309: a rank key that is the same for all."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.catalogue import signal_of
from policy_dsl.codegen.lower import keys_read
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class RankIgnoresRequest(Rule):
    """A key of an order that reads nothing of the request: all requests have the same value.

    ## Why

    It orders nothing. Usually an `engine.*` signal was written for the `request.*` one of the same
    name, or a let lost its argument.

    ## Avoid

    ```lamps
    rank engine.running_tokens, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    rank request.context, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP309", "rank-ignores-request"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for key in s.every(nodes.Key):
            for node in s.at(key.expr)[:1]:
                if not any(per_row(k) for k in keys_read((node,))):
                    help = "order by something of the request, such as `request.arrival`"
                    yield self.finding("this is the same for all requests", key.expr.span, help=help)


def per_row(key: str) -> bool:
    """Whether each request has its own value."""
    try:
        return signal_of(key).per_row
    except KeyError:
        return True  # hints and class attributes


RULE = RankIgnoresRequest
