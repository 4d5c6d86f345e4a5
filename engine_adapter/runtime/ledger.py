"""The pin ledger: which paused session holds which KV, why, and until when.

Every pin has an owner, a reason and a finite end, and there is no other list of them: what isn't in
the ledger isn't held. Blocks are opaque here; the binding that pinned them gives them back.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from policy_dsl.types import Handling

MAX_HOLD_S = 600.0


@dataclass(frozen=True, slots=True)
class Pin:
    """KV held for one paused session.

    *session*: the owner's id. *blocks*: opaque to us. *tokens*: KV tokens the blocks hold. *since*,
    *until*, *expected* (return of the call): instants, seconds. *chain*: what follows when *until*
    comes, as (handling, lasts_s or None). *reason*: the rule and line that decided, for people.
    """

    session: str
    blocks: tuple[Any, ...]
    tokens: int
    since: float
    until: float
    expected: float = math.inf
    tool: str = ""
    chain: tuple[tuple[Handling, float | None], ...] = ()
    reason: str = ""
    class_name: str = ""


class Ledger:
    """Pins by session, at most one each. add, take, get O(log n); totals exact at any time."""

    def __init__(self, max_hold_s: float = MAX_HOLD_S) -> None:
        self._max_hold_s = max_hold_s
        self._pins: dict[str, Pin] = {}
        self._ends: list[tuple[float, int, Pin]] = []  # a heap; pins that are gone stay until they surface
        self._added = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._pins)

    def __iter__(self) -> Iterator[Pin]:
        """All pins, oldest entry first; the ledger may be changed while iterating."""
        return iter(list(self._pins.values()))

    def __contains__(self, session: str) -> bool:
        return session in self._pins

    def get(self, session: str) -> Pin | None:
        return self._pins.get(session)

    def tokens_of(self, session: str) -> int:
        """KV tokens held for *session*; 0 without a pin."""
        pin = self._pins.get(session)
        return 0 if pin is None else pin.tokens

    def add(self, pin: Pin) -> Pin:
        """Enter *pin*; returns it as entered, its end brought within the longest hold.

        ValueError if the session has one already, tokens are negative or an instant isn't a number.
        """
        if pin.session in self._pins:
            raise ValueError(f"session {pin.session!r} is pinned already")
        if pin.tokens < 0:
            raise ValueError(f"a pin of {pin.tokens} tokens")
        if not math.isfinite(pin.since) or math.isnan(pin.until):
            raise ValueError(f"a pin from {pin.since} until {pin.until}")
        latest = pin.since + self._max_hold_s
        if not pin.until <= latest:
            pin = replace(pin, until=latest)
        self._pins[pin.session] = pin
        self._added += 1
        heapq.heappush(self._ends, (pin.until, self._added, pin))
        self.tokens += pin.tokens
        return pin

    def take(self, session: str) -> Pin | None:
        """Strike out the session's pin and return it for its blocks to be freed; None if there is none."""
        pin = self._pins.pop(session, None)
        if pin is None:
            return None
        self.tokens -= pin.tokens
        if len(self._ends) > 2 * len(self._pins) + 64:
            self._ends = [entry for entry in self._ends if self._pins.get(entry[2].session) is entry[2]]
            heapq.heapify(self._ends)
        return pin

    def due(self, now: float) -> list[Pin]:
        """Pins whose end has come, earliest first. They stay entered until taken."""
        found = []
        while self._ends and self._ends[0][0] <= now:
            entry = heapq.heappop(self._ends)
            if self._pins.get(entry[2].session) is entry[2]:
                found.append(entry)
        for entry in found:
            heapq.heappush(self._ends, entry)
        return [pin for _, _, pin in found]

    def next_due(self) -> float:
        """The instant at which the first pin ends; infinite without one."""
        while self._ends and self._pins.get(self._ends[0][2].session) is not self._ends[0][2]:
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else math.inf

    def yielding(self, key: Callable[[Pin], Any] | None = None) -> list[Pin]:
        """All pins in the order in which they give their memory back.

        *key*: smaller yields first. Without it: latest expected return first, then the youngest.
        """
        return sorted(self._pins.values(), key=key or _latest_return_first)

    def clear(self) -> list[Pin]:
        """Strike out all and return them: for a cache reset, a policy switched off, shutdown."""
        pins = list(self._pins.values())
        self._pins.clear()
        self._ends.clear()
        self.tokens = 0
        return pins


def _latest_return_first(pin: Pin) -> tuple[float, float]:
    return (-pin.expected, -pin.since)
