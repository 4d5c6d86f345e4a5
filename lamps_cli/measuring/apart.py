"""How far apart runs lie that stand beside each other: in time, and in the speed that the machine had."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from lamps_cli.measuring.machine import MOST_SLOWED

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


def at_other_speeds(runs: Iterable[tuple[str, str, float | None]]) -> str:
    """A sentence where the processor was not as fast in all of those that stand beside each other; else "".

    *runs*: what they have in common, what they are called, how long the same work took.
    """
    beside: dict[str, list[tuple[float, str]]] = {}
    for common, name, work_ms in runs:
        if work_ms is not None:
            beside.setdefault(common, []).append((work_ms, name))
    ratios = {common: max(took)[0] / min(took)[0] for common, took in beside.items()}
    most = max(ratios, key=lambda common: ratios[common], default="")
    if ratios.get(most, 1.0) <= MOST_SLOWED:
        return ""
    return (
        f"runs that stand beside each other had machines of other speeds: {max(beside[most])[1]} one"
        f" {ratios[most]:.2f} times as slow as {min(beside[most])[1]} ({most})"
    )


def words(span: timedelta) -> str:
    """``45 min``, ``4.1 h``, ``3 days``."""
    hours = span.total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
