"""`limit` statements beside what they mean."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.analysis.intervals import Interval
from policy_dsl.lint.subject import Subject


def limits(s: Subject) -> Iterator[tuple[nodes.LimitStatement, Interval, bool]]:
    """Each limit of the file, what its bound can be, and whether that is a share."""
    written = {x.span.line: x for x in s.every(nodes.LimitStatement)}
    for limit in s.policy.limits:
        statement = written.get(limit.span.line)
        if statement is not None and s.owns(limit.span):
            found = s.ranges.of(limit.bound)
            if isinstance(found, Interval):
                yield statement, found, limit.share
