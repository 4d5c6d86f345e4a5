"""Actions as written beside what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from policy_dsl import ir, nodes
from policy_dsl.diagnostics.model import Span
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import where
from policy_dsl.types import Handling

LONGEST_HOLD_S = 600.0
"""What an engine adapter holds at most, whatever the policy says: nobody may forget a pin."""


def actions(s: Subject) -> Iterator[tuple[nodes.Action, ir.Act]]:
    """Every action of the file with its meaning (where that is known)."""
    acts = {where(act.span): act for act in _acts(s.policy) if s.owns(act.span)}
    for action in s.every(nodes.Action):
        if where(action.span) in acts:
            yield action, acts[where(action.span)]


def held_for_good(action: nodes.Action) -> Iterator[nodes.Link]:
    """The links that hold memory on the device with no end of their own."""
    return (link for link in action.links if link.handling is Handling.PRESERVE and link.lasts is None)


def _acts(value: object) -> Iterator[ir.Act]:
    match value:
        case ir.Act():
            yield value
        case ir.Node() | Span() | str():
            return
        case tuple():
            for item in value:
                yield from _acts(item)
        case _ if is_dataclass(value):
            for f in fields(value):
                yield from _acts(getattr(value, f.name))
