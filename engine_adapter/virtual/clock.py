"""The one clock of a virtual engine: seconds since its start, moved by steps and by waiting, by nothing else."""

from __future__ import annotations


class VirtualClock:
    """Call it for the time. It never goes back."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance_to(self, instant: float) -> None:
        """Move to *instant*; an instant that has passed changes nothing."""
        self.now = max(self.now, instant)
