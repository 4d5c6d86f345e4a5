"""What a source says first, for scripts: without a screen."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence

from tui.advice import advise
from tui.model import Delivery, EngineView, Moment
from tui.sources import Source


def first_of(source: Source, longest_s: float) -> list[Delivery]:
    """The first delivery of each server of *source*, by name; those that are silent for *longest_s* are missing.

    Of a recording, all servers that speak within the first second count.
    """
    told: queue.SimpleQueue[Sequence[Delivery]] = queue.SimpleQueue()
    source.start(told.put)
    found: dict[str, Delivery] = {}
    wanted = len(getattr(source, "urls", ())) or None
    end = time.monotonic() + (longest_s if wanted else 1.0)
    while wanted is None or len(found) < wanted:
        try:
            batch = told.get(timeout=max(end - time.monotonic(), 0.0))
        except queue.Empty:
            break
        for delivery in batch:
            found.setdefault(delivery.server, delivery)
    source.stop()
    return [found[server] for server in sorted(found)]


def advice_of(delivery: Delivery) -> list[str]:
    """What stands out in one status, a line each."""
    assert delivery.status is not None
    lines = []
    for frame in delivery.status.engines:
        for advice in advise(Moment((EngineView(delivery.server, frame, delivery.server),))):
            lines.append(f"{advice.code}  {advice.headline}: {advice.what_to_do}")
    return lines
