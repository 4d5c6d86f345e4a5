"""Brings verdicts to the engine: without delaying an answer, without limit to what may go wrong.

A lost verdict costs one decision: the engine's provisional hold ends by itself. So nothing is retried, what doesn't
go through is counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from engine_adapter.vllm.api.outcome import Outcome

logger = logging.getLogger("lamps")

# Verdicts under way at once. The engine answers between two steps, so more than this many means that it hangs.
MAX_UNDER_WAY = 4096
TIMEOUT_S = 30.0


class Verdicts:
    """Sends verdicts through *command* (name, JSON payload) and counts what became of them."""

    def __init__(self, command: Callable[[str, str], Awaitable[object]]) -> None:
        self._command = command
        self._under_way: set[asyncio.Task[None]] = set()
        self._counters = {"verdicts_sent": 0, "verdicts_failed": 0, "verdicts_dropped": 0}

    @property
    def counters(self) -> dict[str, int]:
        return {**self._counters, "verdicts_under_way": len(self._under_way)}

    def deliver(self, turn: str, outcome: Outcome) -> None:
        """Send the verdict on *turn* from a task of its own; returns at once. Needs a running event loop."""
        if len(self._under_way) >= MAX_UNDER_WAY:
            self._counters["verdicts_dropped"] += 1
            return
        payload = json.dumps({"turn": turn, "outcome": outcome.ending, "tools": list(outcome.tools)})
        task = asyncio.get_running_loop().create_task(self._send(payload))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, payload: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._command("verdict", payload)
        except Exception as problem:
            self._counters["verdicts_failed"] += 1
            if self._counters["verdicts_failed"] == 1:
                logger.warning("lamps: a verdict did not reach the engine (%s); more are only counted", problem)
        else:
            self._counters["verdicts_sent"] += 1
