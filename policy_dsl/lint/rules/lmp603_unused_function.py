"""LMP603: a function that nothing calls."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below
from policy_dsl.lint.unused import removal, used


class UnusedFunction(Rule):
    """A function that nothing calls, or an argument that its function does not read.

    ## Why

    An argument without effect misleads every caller: `aged(x, wait)` that forgets `wait` ages
    nothing.

    ## Avoid

    ```lamps
    let weight(x: tokens, wait: duration) = x / 1tok
    rank weight(request.context, request.waited), request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    let weight(x: tokens) = x / 1tok
    rank weight(request.context), request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP603", "unused-function"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for statement in s.every(nodes.LetStatement):
            if not statement.args:
                continue
            if not used(s, statement):
                fix, help = removal(s, statement), "call it or remove it"
                yield self.finding("nothing calls this function", statement.name.span, "", help, (), fix)
            read = {n.name for n in _names(statement.value)}
            for arg in statement.args:
                if arg.name not in read:
                    help = "use it in the function, or remove it here and at the calls"
                    yield self.finding(f"the function does not read `{arg.name}`", arg.span, help=help)


def _names(e: nodes.Syntax) -> Iterator[nodes.Name]:
    return (n for n in below(e) if isinstance(n, nodes.Name))


RULE = UnusedFunction
