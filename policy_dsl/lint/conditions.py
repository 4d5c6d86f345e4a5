"""Where the language asks whether something holds."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.lint.subject import Subject


def conditions(s: Subject) -> Iterator[nodes.Expr]:
    """Every whole condition: of `if`, `when`, `promote`, `admit`, `class`."""
    for e in s.every(nodes.Syntax):
        match e:
            case nodes.Cond(test=test) | nodes.DecideIf(test=test):
                yield test
            case nodes.Arm(when=when) | nodes.ClassStatement(when=when):
                if when is not None:
                    yield when
            case nodes.PromoteStatement(when=when) | nodes.AdmitStatement(when=when):
                yield when
