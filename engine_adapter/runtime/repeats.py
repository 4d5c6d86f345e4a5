"""When `while paused` is asked about whom: at the first step at least so much after the last asking.

A heap of due times, so that a step costs what is due, not what is paused. A step asks about so many sessions and no
more; those that are due longest go first, so that with thousands of them each is asked every few steps.
"""

from __future__ import annotations

import heapq
import math

# One asking takes 15 to 18 us (benchmarks/paused.py): these stay within the 200 us that a step may spend on decisions.
MOST_ASKED = 8


class Askings:
    """The sessions that `while paused` is to be asked about. Of *every_s* and *every_steps* one is 0; None: never."""

    def __init__(self, every_s: float | None, every_steps: float | None) -> None:
        self._every_s = every_s
        self._every_steps = math.ceil(every_steps or 0.0)
        self._heap: list[tuple[float, int, str]] = []
        self._asked: dict[str, int] = {}  # session -> its entry that counts
        self._count = 0

    def __len__(self) -> int:
        return len(self._asked)

    def asked(self, session: str, now: float, step: int) -> None:
        """The policy has said at *now* what is done with a session's KV: it is asked again after the time between."""
        if self._every_s is None:
            return
        self._count += 1
        self._asked[session] = self._count
        due = step + self._every_steps if self._every_steps else now + self._every_s
        heapq.heappush(self._heap, (due, self._count, session))
        if len(self._heap) > 2 * len(self._asked) + 64:
            self._heap = [entry for entry in self._heap if self._asked.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)

    def next_due(self) -> float:
        """An instant before which nobody is due; already past where that is counted in steps."""
        if not self._asked:
            return math.inf
        return -math.inf if self._every_steps else self._heap[0][0]

    def forget(self, session: str) -> None:
        """There is nothing left to ask about a session."""
        self._asked.pop(session, None)

    def due(self, now: float, step: int, most: int = MOST_ASKED) -> list[str]:
        """At most *most* sessions that are to be asked about now, those due longest first; they are struck out."""
        limit = step if self._every_steps else now
        found: list[str] = []
        while self._heap and self._heap[0][0] <= limit and len(found) < most:
            _, count, session = heapq.heappop(self._heap)
            if self._asked.get(session) == count:
                del self._asked[session]
                found.append(session)
        return found
