"""LMP605: two names that look alike."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.names import distance

_SHORTEST = 5


class SimilarNames(Rule):
    """Two params or lets whose names differ in one letter.

    ## Why

    Both exist, so a slip from one to the other is no error: the policy runs, with the wrong value.

    ## Avoid

    ```lamps
    let waste_hold = call.duration * call.context
    let waste_held = call.response * 1s
    rank waste_hold + waste_held, request.arrival
    promote when request.waited >= 1min
    ```

    ## Prefer

    ```lamps
    let held     = call.duration * call.context
    let answered = call.response * 1s
    rank held + answered, request.arrival
    promote when request.waited >= 1min
    ```
    """

    code, name = "LMP605", "similar-names"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        defined = [x.name for x in s.rules if isinstance(x, nodes.ParamStatement | nodes.LetStatement)]
        by_first: dict[str, list[nodes.Ident]] = {}
        for name in defined:
            for key in {name.name[:2], name.name[-2:]}:  # a single edit leaves one end alone
                for other in by_first.get(key, ()):
                    if _alike(name.name, other.name):
                        label = (Label(other.span, "the other one"),)
                        message = f"`{name.name}` and `{other.name}` are easily mistaken"
                        yield self.finding(message, name.span, "", "rename one of them", label)
                        break
                by_first.setdefault(key, []).append(name)


def _alike(a: str, b: str) -> bool:
    if min(len(a), len(b)) < _SHORTEST or a == b or distance(a, b, 1) > 1:
        return False
    return a.rstrip("0123456789") != b.rstrip("0123456789")  # level1, level2 are meant


RULE = SimilarNames
