"""The waiting queue that vLLM's `schedule()` peeks and pops, in the order a policy gives.

vLLM asks for one request at a time and puts skipped ones back. The order is ranked when vLLM asks:
a step without a free seat never does, and costs nothing. Within a step it is frozen, so that a peek
and the pop after it always mean the same request; and it stands for some milliseconds longer, while
nobody comes (docs/decisions/024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol, Self

from vllm.v1.core.sched.request_queue import RequestQueue
from vllm.v1.request import Request

# Requests ranked at once. A step admits few; when it admits more, the next ones are ranked.
FIRST_RANKED = 32
# For so long an order stands. A small model takes a step in 4 ms, and where memory is full, the first of the queue
# waits through most of them: there ranking anew in every step adds a third to what scheduling takes, 421 us instead of
# 322 under lamps.lamps (benchmarks/overload.py).
STANDS_S = 0.010


class Ranker(Protocol):
    """Who knows the order: the runtime."""

    def enqueue(self, request_id: str) -> None: ...
    def dequeue(self, request_id: str) -> None: ...
    def first(self, count: int) -> list[str]: ...
    def order_as_of(self) -> object: ...


class RankedQueue(RequestQueue):
    """A `RequestQueue` ordered by a `Ranker`. Prepending is adding: place is the policy's to give."""

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._requests: dict[str, Request] = {}
        self._order: list[str] = []  # next to go last, so that pop() is cheap
        self._stands_until = -math.inf
        self._as_of = object()  # what the ranker knew of those that wait

    gated = False
    """Whether some that wait may not start."""

    def instead_of(self, other: RankedQueue) -> Self:
        """This queue with all that wait in *other*; the ranker has them already."""
        self._requests = other._requests
        return self

    def new_step(self, now: float) -> None:
        """A step begins at the instant *now*, in seconds. An order that stands no more is forgotten, and ranked afresh
        when vLLM asks."""
        as_of = self._ranker.order_as_of()
        if now >= self._stands_until or as_of is not self._as_of:
            self._order.clear()
            self._stands_until, self._as_of = now + STANDS_S, as_of

    def add_request(self, request: Request) -> None:
        """Add a request; it takes its place in the next step."""
        self._requests[request.request_id] = request
        self._ranker.enqueue(request.request_id)

    def prepend_request(self, request: Request) -> None:
        """Put back a preempted or skipped request."""
        self.add_request(request)

    def prepend_requests(self, requests: Iterable[Request]) -> None:
        """Put back several requests."""
        for request in requests:
            self.add_request(request)

    def peek_request(self) -> Request:
        """The request to admit next. IndexError when empty."""
        if not self._requests:
            raise IndexError("peek from an empty queue")
        while self._order and self._order[-1] not in self._requests:
            self._order.pop()  # removed since it was ranked
        if not self._order:
            self._rank_more()
        return self._requests[self._order[-1]]

    def pop_request(self) -> Request:
        """Take out the request that `peek_request` shows. IndexError when empty."""
        request = self.peek_request()
        self._order.pop()
        self._take(request.request_id)
        return request

    def remove_request(self, request: Request) -> None:
        """Take out one request; not being here is fine (vLLM asks both queues)."""
        self._take(request.request_id)

    def remove_requests(self, requests: Iterable[Request]) -> None:
        """Take out several requests."""
        for request in requests:
            self._take(request.request_id)

    def __contains__(self, request: object) -> bool:
        return isinstance(request, Request) and request.request_id in self._requests

    def __bool__(self) -> bool:
        return bool(self._requests)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        """All requests in order of rank."""
        return iter([self._requests[i] for i in self._ranker.first(len(self._requests))])

    def _take(self, request_id: str) -> None:
        if self._requests.pop(request_id, None) is not None:
            self._ranker.dequeue(request_id)

    def _rank_more(self) -> None:
        """Rank those still here; the ones taken earlier in this step are no longer in the ranker."""
        ranked = [i for i in self._ranker.first(FIRST_RANKED) if i in self._requests]
        self._order = ranked[::-1] or list(self._requests)[::-1]
