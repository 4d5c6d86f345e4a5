"""Lists of keys, and how to take one out."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.diagnostics.model import Edit, Fix, Span
from policy_dsl.lint.subject import Subject

Pair = tuple[nodes.Key, ir.Node | None]


def orders(s: Subject) -> Iterator[tuple[nodes.Key, ...]]:
    """The keys of each order written in the file: `rank`, `yield`, `victim`, and every `by`."""
    for statement in s.rules:
        for name in ("keys", "by"):
            keys = getattr(statement, name, ())
            if keys:
                yield keys


def without(keys: tuple[nodes.Key, ...], i: int) -> Fix:
    """Takes key *i* (not the first) out of its list, with the comma before it."""
    before, key = keys[i - 1].span, keys[i].span
    span = Span(key.source, before.end_line, before.end_column, key.end_line, key.end_column)
    return Fix("remove the key", (Edit(span, ""),))
