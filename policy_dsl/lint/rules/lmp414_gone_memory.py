"""LMP414: keeping what was discarded."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below
from policy_dsl.types import Handling

_GONE = (Handling.DISCARD, Handling.NONE)


class GoneMemory(Rule):
    """`while paused` that keeps or moves the memory of a session whose memory has been discarded.

    ## Why

    While a call runs, what is preserved can be swapped or discarded, what is swapped can be loaded back or
    discarded. From `discard` there is no way back: the branch has no effect. (`none` is never in force.)

    ## Avoid

    ```lamps
    on call if call.context > 512tok { discard } else { preserve for 9s }
    while paused every 1s if handling == discard { preserve for 5s } else { again }
    ```

    ## Prefer

    ```lamps
    on call if call.context > 512tok { discard } else { preserve for 9s }
    while paused every 1s if handling == preserve { swap } else { again }
    ```
    """

    code, name = "LMP414", "gone-memory"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for paused in s.every(nodes.PausedStatement):
            for e in below(paused):
                for where, decision in _when_gone(e):
                    for link in _kept(decision):
                        label = (Label(where.span, "the memory is gone here"),)
                        help = "write `discard`, or leave the branch out"
                        yield self.finding("this has no effect", link.span, "", help, label)


def _when_gone(e: nodes.Syntax) -> Iterator[tuple[nodes.Syntax, nodes.Decision]]:
    """What *e* decides where nothing is held, with the test that says so."""
    match e:
        case nodes.DecideIf(test=nodes.Infix(op="==", left=left, right=right) as test, then=then):
            sides = (left, right)
            words = [x for x in sides if isinstance(x, nodes.HandlingWord) and x.handling in _GONE]
            if words and any(isinstance(x, nodes.Foreseen) for x in sides):
                yield test, then
        case nodes.DecideMatch(subject=nodes.Foreseen(), cases=cases):
            for case in cases:
                gone = [isinstance(p, nodes.HandlingWord) and p.handling in _GONE for p in case.patterns]
                if all(gone) and not isinstance(case.value, nodes.Expr):
                    yield case.patterns[0], case.value


def _kept(decision: nodes.Decision) -> list[nodes.Link]:
    """The links that begin an action and need memory."""
    starts = (a.links[0] for a in below(decision) if isinstance(a, nodes.Action))
    return [link for link in starts if link.handling is not Handling.DISCARD]


RULE = GoneMemory
