"""Definitions that nothing uses."""

from __future__ import annotations

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Fix
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below, whole_lines


def used(s: Subject, statement: nodes.ParamStatement | nodes.LetStatement) -> bool:
    """Whether a rule or another definition reads it; one that replaces a parent's is read there."""
    return statement.name.name in s.names_used or statement.override


def removal(s: Subject, statement: nodes.ParamStatement | nodes.LetStatement) -> Fix | None:
    """Removes the definition; None where a test mentions it."""
    name = statement.name.name
    for test in s.statements:
        if isinstance(test, nodes.TestStatement):
            for n in below(test):
                if isinstance(n, nodes.Ident | nodes.Name) and n.name == name:
                    return None
                if isinstance(n, nodes.Path) and n.path.rpartition(".")[2] == name:
                    return None
    return Fix(f"remove `{name}`", (whole_lines(statement.span),))
