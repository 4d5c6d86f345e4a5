"""What a virtual engine's requests found in the prefix cache, and what it computed once more: a server's counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request


@dataclass(slots=True)
class Live:
    """A request in the engine. *known*: tokens at its start whose KV was computed once."""

    request: Request
    known: int
    cached: int | None = None
    started_s: float | None = None


class Accounts:
    """Of one scheduler, whose preemptions it sees. *counters*: by the names of `workload.client.COUNTERS`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.counters: Counter[str] = Counter()
        self._lost: dict[str, int] = {}  # tokens of KV that a preempted request had
        self._watch_preemptions(scheduler)

    def begins(self, live: Live, cached: int, now: float) -> None:
        """A request is computed for the first time; so many of its tokens were found in the cache."""
        live.cached, live.started_s = cached, now
        self.counters["prompt_tokens"] += live.request.num_prompt_tokens
        self.counters["prefix_cache_queries"] += live.request.num_prompt_tokens
        self.counters["prefix_cache_hits"] += cached
        self.counters["recomputed_after_call"] += max(live.known - cached, 0)

    def resumes(self, request: Request, output: SchedulerOutput) -> None:
        """A preempted request is computed again, from this step on."""
        cached = request.num_computed_tokens - output.num_scheduled_tokens[request.request_id]
        lost = self._lost.pop(request.request_id, 0)
        self.counters["recomputed_after_preemption"] += max(lost - cached, 0)

    def ends(self, live: Live) -> None:
        """A request has all its tokens."""
        self.counters["generation_tokens"] += live.request.num_output_tokens

    def forget(self, name: str) -> None:
        """The client of a request has gone."""
        self._lost.pop(name, None)

    def _watch_preemptions(self, scheduler: Scheduler) -> None:
        preempt = scheduler._preempt_request

        def counted(request: Request, *args: Any, **kwargs: Any) -> None:
            self.counters["preemptions"] += 1
            self._lost[request.request_id] = request.num_computed_tokens
            preempt(request, *args, **kwargs)

        scheduler._preempt_request = counted
