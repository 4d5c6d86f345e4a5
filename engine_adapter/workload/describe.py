"""What a trace holds, in numbers: for choosing one, and for seeing that an import is what it should be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from engine_adapter.workload.summary import Spread, spread
from engine_adapter.workload.trace import Trace


@dataclass(frozen=True, slots=True)
class Description:
    """The numbers of one trace. Lengths in tokens, times in seconds."""

    name: str
    sessions: int
    sub_agents: int
    """Sessions that another one of the trace started."""
    tenants: int
    turns: int
    turns_per_session: Spread
    prompt: Spread
    output: Spread
    longest: int
    """Most tokens that a turn needs, prompt and output."""
    shared: float
    """Share of all prompt tokens that repeat the session's turn before."""
    tool_gap_s: Spread
    person_gap_s: Spread
    tools: tuple[tuple[str, int], ...]
    """Names and how many calls each has, the most frequent first."""
    recorded_s: float | None
    """Time from the first recorded arrival to the last; None where the trace doesn't tell."""


def describe(trace: Trace) -> Description:
    """The numbers of *trace*."""
    sessions = trace.sessions
    names = {session.name for session in sessions}
    turns = [turn for session in sessions for turn in session.turns]
    calls = Counter(
        called
        for session in sessions
        for index in range(len(session.turns))
        if (called := session.calls_after(index)) is not None
    )
    starts = [session.start_s for session in sessions if session.parent not in names]
    known = [start for start in starts if start is not None]
    return Description(
        name=trace.name,
        sessions=len(sessions),
        sub_agents=len(sessions) - len(starts),
        tenants=len({session.tenant for session in sessions if session.tenant is not None}),
        turns=len(turns),
        turns_per_session=spread([len(session.turns) for session in sessions]),
        prompt=spread([turn.prompt for turn in turns]),
        output=spread([turn.output for turn in turns]),
        longest=max(session.longest for session in sessions),
        shared=sum(turn.shared for turn in turns) / sum(turn.prompt for turn in turns),
        tool_gap_s=spread([turn.gap_s for turn in turns if turn.after == "tool"]),
        person_gap_s=spread([turn.gap_s for turn in turns if turn.after == "user"]),
        tools=tuple(calls.most_common()),
        recorded_s=max(known) - min(known) if known and len(known) == len(starts) else None,
    )
