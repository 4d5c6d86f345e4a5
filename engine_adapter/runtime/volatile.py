"""Columns of the waiting table that change by themselves while a request waits: seats, and what its tenant was served.

Most signals of a waiting row stay, or follow from the clock. These few are read anew for all rows before each ranking,
and only where the policy orders or promotes by one.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine_adapter.runtime import service
from engine_adapter.runtime.asking import Asking
from engine_adapter.runtime.service import Service
from engine_adapter.runtime.table import WaitingTable
from engine_adapter.runtime.turn import SIGNALS

KEYS = frozenset(
    {
        "request.promoted",
        "session.seated",
        "session.seated_for",
        "tenant.running",
        "tenant.service",
        "tenant.charged_prompt",
        "tenant.charged_output",
        "tenant.queued_before",
    }
)


class Volatile:
    """Those of *keys*, which a policy ranks or promotes by, that change while a request waits."""

    def __init__(self, asking: Asking, given: Service, keys: Iterable[str]) -> None:
        self._asking, self._service = asking, given
        self._keys = sorted(KEYS.intersection(keys))
        self._seats = -1  # as of the last time that they were written

    def __bool__(self) -> bool:
        return bool(self._keys)

    def rewrite(self, table: WaitingTable) -> None:
        """Bring the rows of *table* up to date: O(rows)."""
        if self._keys == ["session.seated"] and self._seats == self._service.seats_changed:
            return  # rows that came since were written as they are
        self._seats = self._service.seats_changed
        turns, now, step = self._asking.turns, self._asking.engine.clock(), self._asking.deciding.step()
        rows = [turns[name] for name in table.ids]
        if "tenant.queued_before" in self._keys:
            service.queue_before(rows)
        if "tenant.charged_output" in self._keys:
            service.generated(self._asking.engine.running(), dict(turns), self._service)
        for key in self._keys:
            if key == "request.promoted":
                table.rewrite(key, [table.is_promoted(name) for name in table.ids])
            else:
                read = SIGNALS[key]
                table.rewrite(key, [float(read(turn, now, step)) for turn in rows])  # type: ignore[arg-type]
