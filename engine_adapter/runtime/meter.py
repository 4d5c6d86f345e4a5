"""How turns fared lately: latencies as the engine sees them, and tokens in all."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

# Turns that quantiles are taken over: five samples beyond the 99 % quantile; sorting them takes 30 us.
WINDOW = 512
# A turn that ended longer ago says nothing of now.
RECENT_S = 300.0


class Window:
    """The last values of one kind, with their instants (s), which never go back."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._instants: deque[float] = deque(maxlen=WINDOW)

    def add(self, now: float, value: float) -> None:
        self._instants.append(now)
        self._values.append(value)

    def quantiles(self, now: float) -> dict[str, float]:
        """In the words of `control.frames.Quantiles`; all 0 where nothing is recent."""
        while self._instants and now - self._instants[0] > RECENT_S:
            self._instants.popleft()
            self._values.popleft()
        values = sorted(self._values)
        if not values:
            return {"count": 0}
        return {
            "count": len(values),
            "mean": math.fsum(values) / len(values),
            "p50": quantile(values, 0.5),
            "p90": quantile(values, 0.9),
            "p99": quantile(values, 0.99),
            "most": values[-1],
        }


def quantile(ordered: list[float], share: float) -> float:
    """The smallest of *ordered* values that at least *share* of them don't exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(slots=True)
class Meter:
    """*first_token*, *turn*: seconds from arrival to a turn's first and last token. *queue*: to its first admission."""

    first_token: Window = field(default_factory=Window)
    turn: Window = field(default_factory=Window)
    queue: Window = field(default_factory=Window)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    turns: int = 0
