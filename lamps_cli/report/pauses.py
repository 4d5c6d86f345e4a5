"""How many sessions are between two turns, from what their clients saw: an engine knows it only under a policy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from engine_adapter.workload.result import Sample, SessionResult


def with_paused(timeline: Sequence[Sample], sessions: Sequence[SessionResult]) -> list[Sample]:
    """*timeline* with `paused` as so many sessions that wait for a tool or a person and will come back."""
    pauses = [
        (turn.done_s, following.due_s)
        for session in sessions
        for turn, following in zip(session.turns, session.turns[1:], strict=False)
        if turn.done_s is not None
    ]
    begins, ends = sorted(begin for begin, _ in pauses), sorted(end for _, end in pauses)
    return [replace(s, paused=bisect_right(begins, s.at_s) - bisect_right(ends, s.at_s)) for s in timeline]
