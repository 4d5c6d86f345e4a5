"""Requests that a client sent later than it should have: a run in which that happens measures the client."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from engine_adapter.workload.result import BenchResult
from engine_adapter.workload.summary import client_lag_s

# As long as one turn in a hundred waits for its first token at load 0.9 (augmented-single, docs/results.md).
TOLERABLE_LAG_S = 0.25
_HERE = ("127.0.0.1", "::1", "localhost")


def of_one(result: BenchResult) -> str:
    """A sentence about a run that was too late, and what helps; "" where none was."""
    lag_s = client_lag_s(result.sessions)
    if not lag_s > TOLERABLE_LAG_S:
        return ""
    said = f"a request was sent {lag_s:.2f} s late: this client or machine is too busy to measure"
    if urlsplit(result.url).hostname in _HERE:
        said += "; the server runs here too, and one that --policies starts leaves this client more of the processor"
    return said


def of_several(results: Mapping[str, BenchResult]) -> str:
    """The same of several, by name."""
    lags = {name: client_lag_s(result.sessions) for name, result in results.items()}
    late = {name: lag_s for name, lag_s in lags.items() if lag_s > TOLERABLE_LAG_S}
    if not late:
        return ""
    return (
        f"requests were sent up to {max(late.values()):.2f} s late in {len(late)} of {len(results)} runs, so that the"
        f" client or its machine is part of what they measure: {', '.join(late)}"
    )
