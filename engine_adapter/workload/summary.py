"""The figures of a replay: percentiles over sessions and turns, tokens, failures.

Percentiles are of what finished; what didn't is counted beside them, never left out silently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine_adapter.workload.result import BenchResult, SessionResult, TurnResult


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution in five numbers, in the unit of what is measured. NaN when there is nothing."""

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
    recomputed_tokens: int | None
    """Prompt tokens that repeat the session's turn before and weren't in the prefix cache any more: computed twice.
    None when the server doesn't tell."""
    preemptions: float | None
    """Of the whole run; None when the server doesn't tell, as for the next."""
    prefix_hit_rate: float | None
    """Share of the prompt tokens looked up in the prefix cache that were found there."""
    tenant_fairness: float | None
    """Jain's index over the tenants' rates of service; None with fewer than two tenants."""


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
        client_lag_s=client_lag_s(result.sessions),
        recomputed_tokens=_recomputed(answered),
        preemptions=(result.counters or {}).get("preemptions"),
        prefix_hit_rate=_hit_rate(result.counters or {}),
        tenant_fairness=_fairness(result),
    )


def client_lag_s(sessions: Iterable[SessionResult]) -> float:
    """How late a request was sent at worst; NaN where none was sent."""
    return max((turn.lag_s for session in sessions for turn in session.turns), default=math.nan)


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness of what each of n got: 1 when all got the same, 1/n when one got everything.

    (sum x)^2 / (n sum x^2), from R. Jain, D. Chiu, W. Hawe, DEC TR-301 (1984). NaN for nobody, 1 when nobody got any.
    """
    if not values:
        return math.nan
    largest = max(values)
    if largest == 0:
        return 1.0
    shares = [value / largest for value in values]  # the squares of very small or large values would be 0 or infinite
    return math.fsum(shares) ** 2 / (len(shares) * math.fsum(share * share for share in shares))


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
        "prompts": result.prompts,
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


def _recomputed(turns: Sequence[TurnResult]) -> int | None:
    known = [(turn.shared_tokens, turn.cached_tokens) for turn in turns if turn.cached_tokens is not None]
    return sum(max(0, shared - cached) for shared, cached in known) if known else None


def _hit_rate(counters: Mapping[str, float]) -> float | None:
    queries = counters.get("prefix_cache_queries")
    return counters["prefix_cache_hits"] / queries if queries and "prefix_cache_hits" in counters else None


def _fairness(result: BenchResult) -> float | None:
    """Over tenants: tokens served a second that the tenant's turns spent in the server, waiting included.

    A turn without an answer was there until the run ended and was served nothing.
    """
    served: dict[str, float] = {}
    spent_s: dict[str, float] = {}
    for session in result.sessions:
        if session.tenant is None:
            continue
        for turn in session.turns:
            until_s = result.duration_s if turn.done_s is None else turn.done_s
            tokens = 0 if turn.done_s is None else turn.prompt_tokens + turn.output_tokens
            served[session.tenant] = served.get(session.tenant, 0.0) + tokens
            spent_s[session.tenant] = spent_s.get(session.tenant, 0.0) + max(0.0, until_s - turn.due_s)
    rates = [served[tenant] / spent_s[tenant] for tenant in served if spent_s[tenant] > 0]
    return jain(rates) if len(rates) > 1 else None
