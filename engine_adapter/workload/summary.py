"""The figures of a replay: percentiles over sessions and turns, tokens, failures.

Percentiles are of what finished; what didn't is counted beside them, never left out silently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine_adapter.workload.result import BenchResult, SessionResult, TurnResult


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution in five numbers, in seconds. NaN when there is nothing to measure."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Summary:
    sessions: int
    finished: int
    failed: int
    failures: tuple[tuple[str, int], ...]
    """Reasons and how many sessions failed for each, the most frequent first."""
    end_to_end_s: Spread
    """First arrival to last token."""
    without_tools_s: Spread
    """The same less the time its tools and people took."""
    ttft_session_s: Spread
    """Arrival of the session to its first token, of every session that got one."""
    ttft_turn_s: Spread
    """The same of every turn that got a token."""
    prompt_tokens: int
    cached_tokens: int | None
    """Prompt tokens that came out of the prefix cache, None when the server doesn't tell."""
    output_tokens: int
    output_tokens_per_s: float
    """Over the time from the run's beginning to the last token."""
    client_lag_s: float
    """How late a request was sent at worst: large means that the client was too slow and the run proves little."""


def summarize(result: BenchResult) -> Summary:
    """The figures of one run."""
    done = [session for session in result.sessions if session.finished]
    turns = [turn for session in result.sessions for turn in session.turns]
    answered = [turn for turn in turns if turn.done_s is not None]
    output = sum(turn.output_tokens for turn in answered)
    last_s = max((turn.done_s for turn in answered if turn.done_s is not None), default=math.nan)
    failures = Counter(session.error or "unfinished" for session in result.sessions if not session.finished)
    return Summary(
        sessions=len(result.sessions),
        finished=len(done),
        failed=len(result.sessions) - len(done),
        failures=tuple(failures.most_common()),
        end_to_end_s=spread([_latency(session) for session in done]),
        without_tools_s=spread([_latency(session) - session.tool_time_s for session in done]),
        ttft_session_s=spread(_first_tokens([s.turns[0] for s in result.sessions if s.turns])),
        ttft_turn_s=spread(_first_tokens(turns)),
        prompt_tokens=sum(turn.prompt_tokens for turn in answered),
        cached_tokens=_cached(answered),
        output_tokens=output,
        output_tokens_per_s=output / last_s if answered else math.nan,
        client_lag_s=max((turn.lag_s for turn in turns), default=math.nan),
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and percentiles of *values*, percentiles interpolated between the two nearest."""
    if not values:
        return Spread(math.nan, math.nan, math.nan, math.nan, math.nan)
    ordered = sorted(values)
    return Spread(
        mean=math.fsum(ordered) / len(ordered),
        p50=quantile(ordered, 0.50),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        max=ordered[-1],
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which *share* of the sorted values lie, interpolated linearly."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def as_document(result: BenchResult) -> dict[str, Any]:
    """The run and its figures as plain values for JSON, without the single turns."""
    return {
        "trace": result.trace,
        "url": result.url,
        "model": result.server.model,
        "hints": result.hints,
        "load": asdict(result.load),
        "ended": result.ended,
        "duration_s": result.duration_s,
        "summary": asdict(summarize(result)),
        "server": result.counters,
    }


def _latency(session: SessionResult) -> float:
    latency = session.end_to_end_s
    assert latency is not None
    return latency


def _first_tokens(turns: Sequence[TurnResult]) -> list[float]:
    return [turn.ttft_s for turn in turns if turn.ttft_s is not None]


def _cached(turns: Sequence[TurnResult]) -> int | None:
    told = [turn.cached_tokens for turn in turns if turn.cached_tokens is not None]
    return sum(told) if told else None
