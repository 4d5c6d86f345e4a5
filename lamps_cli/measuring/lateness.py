"""Requests that a client sent later than it should have: a run in which that happens measures the client."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from engine_adapter.workload.result import BenchResult

# As long as one turn in a hundred waits for its first token at load 0.9 (augmented-single, docs/results.md).
TOLERABLE_LAG_S = 0.25
_HERE = ("127.0.0.1", "::1", "localhost")


def lag_s(result: BenchResult) -> float:
    """How late a request of the run was sent at worst; 0 for none."""
    return max((turn.lag_s for session in result.sessions for turn in session.turns), default=0.0)


def of_one(result: BenchResult) -> str:
    """A sentence about a run that was too late, and what helps; "" where none was."""
    if lag_s(result) <= TOLERABLE_LAG_S:
        return ""
    said = f"a request was sent {lag_s(result):.2f} s late: this client or machine is too busy to measure"
    if urlsplit(result.url).hostname in _HERE:
        said += "; the server runs here too, and one that --policies starts leaves this client more of the processor"
    return said


def of_several(results: Mapping[str, BenchResult]) -> str:
    """The same of several, by name."""
    late = {name: lag for name, result in results.items() if (lag := lag_s(result)) > TOLERABLE_LAG_S}
    if not late:
        return ""
    return (
        f"requests were sent up to {max(late.values()):.2f} s late in {len(late)} of {len(results)} runs, so that the"
        f" client or its machine is part of what they measure: {', '.join(late)}"
    )
