"""Lets vLLM preempt a request of our choice, without a line of its `schedule()` copied.

Seen in 0.31 and 0.32: an allocation for a running request that fails preempts the last of `running`, or, where
`policy` is PRIORITY, the one with the greatest (priority, arrival_time), and takes care of what was scheduled for it in
this step. `policy` is read there and nowhere else once the queues are made. So it is switched for the one preemption
that is under way, and the victim's priority is infinite meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from vllm.v1.core.sched.request_queue import SchedulingPolicy
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request

from engine_adapter.runtime.engine import Running

Choose = Callable[[Sequence[Running]], str]


class VictimMark:
    """The mark on the next victim of one scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._own_policy = scheduler.policy
        self._marked: Request | None = None
        self._own_priority = 0

    def choose(self, victim: Choose) -> None:
        """An allocation has failed: mark whom *victim* names among the running, if vLLM wouldn't take it by itself."""
        self.clear()
        running = self._scheduler.running
        name = victim([Running(request.request_id, request.num_tokens) for request in running])
        if name == running[-1].request_id and self._own_policy is SchedulingPolicy.FCFS:
            return
        self._marked = next(request for request in running if request.request_id == name)
        self._own_priority = self._marked.priority
        self._marked.priority = math.inf
        self._scheduler.policy = SchedulingPolicy.PRIORITY

    def clear(self) -> None:
        """The preemption is done, or didn't come about."""
        if self._marked is not None:
            self._marked.priority = self._own_priority
            self._marked = None
            self._scheduler.policy = self._own_policy
