"""How long a request would wait if requests were served first come, first served: `request.fcfs_wait`.

What waits is measured in token-seconds, the memory each request will hold times how long. All that waits now would be
served before a newcomer, and what runs, with what of the queue there is still room for, says how many token-seconds a
second the engine gets done, whatever limits it: memory, seats, or time. In which order the queue is really served
changes who waits in it, hardly how much work that is, so the estimate stands for a queue that never was.
"""

from __future__ import annotations

from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.turn import Turn


class Backlog:
    """The work that waits. add, remove, wait_s are O(1)."""

    def __init__(self, costs: CostModel) -> None:
        self._costs = costs
        self._areas: dict[str, float] = {}
        self._tokens: dict[str, int] = {}
        self._total = 0.0  # token-seconds
        self._context = 0  # tokens

    def add(self, turn: Turn) -> None:
        """The turn waits."""
        area = self._areas[turn.id] = self._area(turn)
        self._total += area
        self._tokens[turn.id] = turn.context_tokens
        self._context += turn.context_tokens

    def remove(self, request_id: str) -> None:
        """It waits no longer; not being here is fine."""
        self._total -= self._areas.pop(request_id, 0.0)
        self._context -= self._tokens.pop(request_id, 0)
        if not self._areas:
            self._total = 0.0  # what rounding has left

    def wait_s(self, running_tokens: float, room_tokens: float = 0.0) -> float:
        """What a request that comes now would wait, in seconds, while *running_tokens* are being served.

        *room_tokens*: how many more could be: many of those that come at once to an engine that does nothing.
        """
        served = running_tokens + min(room_tokens, self._context)
        return self._total / max(served, 1.0) if self._areas else 0.0

    def _area(self, turn: Turn) -> float:
        """Token-seconds: the context while what is missing of it is computed, then growing token by token."""
        costs, step_s = self._costs.costs, self._costs.step_time_s
        output = turn.forecast.output.mean
        prefill_s = costs.prefill_s_per_tok * max(turn.context_tokens - turn.cached_tokens, 0)
        return turn.context_tokens * (prefill_s + output * step_s) + output * output / 2 * step_s
