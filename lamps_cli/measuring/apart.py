"""How far apart in time runs lie that stand beside each other: meanwhile a machine becomes faster or slower."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

# A comparison's own runs of one seed are a minute or two each. Within an hour the speed of a shared machine was seen to
# change by 1.4.
FAR = timedelta(minutes=30)


def apart(runs: Iterable[tuple[str, str]]) -> tuple[str, timedelta]:
    """Of runs as (what they have in common, when they began as ISO 8601), those that lie the furthest apart."""
    began: dict[str, list[datetime]] = {}
    for common, when in runs:
        began.setdefault(common, []).append(datetime.fromisoformat(when))
    spans = {common: max(times) - min(times) for common, times in began.items()}
    furthest = max(spans, key=lambda common: spans[common], default="")
    return furthest, spans.get(furthest, timedelta())


def far_apart(runs: Iterable[tuple[str, str]]) -> str:
    """A sentence where some of them lie so far apart that the machine may not have been the same; else ""."""
    common, span = apart(runs)
    return "" if span <= FAR else f"runs of {common} began {words(span)} apart: the machine may have changed its speed"


def words(span: timedelta) -> str:
    """``45 min``, ``4.1 h``, ``3 days``."""
    hours = span.total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
