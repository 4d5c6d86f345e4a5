"""The waiting queue of a policy with a gate, or with a limit on what runs.

vLLM asks whether the queue has anything, and then peeks. The answer here is whether there is a request that may start
now: who is refused is skipped, but stays in the queue and counts in its length. Without a seat to give nobody is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vllm.v1.request import Request

from engine_adapter.vllm.queue import FIRST_RANKED, RankedQueue, Ranker

# Refusals of single requests in a step: as many as are ranked at once, and as many of the others, by turns. Gate and
# limits are asked about all that wait at once (benchmarks/gate.py): these are those for whom the step's own admissions
# left no room.
MOST_REFUSED = 2 * FIRST_RANKED


class Gate(Protocol):
    """Who was admitted and refused; the runtime's `admission`."""

    @property
    def reserved_for(self) -> str: ...
    def new_step(self) -> None: ...
    def moved(self) -> None: ...


class GatedRanker(Ranker, Protocol):
    """Who knows the order, and who may start: the runtime."""

    @property
    def admission(self) -> Gate: ...
    def may_start(self, request_id: str) -> bool: ...
    def first_open(self, count: int) -> list[str]: ...


class GatedQueue(RankedQueue):
    """A `RankedQueue` that shows only requests which may start. *full*: whether there is no seat."""

    gated = True

    def __init__(self, ranker: GatedRanker, full: Callable[[], bool]) -> None:
        super().__init__(ranker)
        self._gate = ranker
        self._full = full
        self._passed = ""  # the request that may start next
        self._refused: set[str] = set()  # in this step
        self._asked_all = False  # of those that might start now
        self._turn = 0  # where asking the others goes on

    def new_step(self, now: float) -> None:
        self._order.clear()  # whom the gate lets in is another matter in each step
        self._passed = ""
        self._refused.clear()
        self._asked_all = False
        self._gate.admission.new_step()

    def __bool__(self) -> bool:
        if not self._requests or self._full():
            return bool(self._requests)
        return bool(self._next())

    def peek_request(self) -> Request:
        """The request to admit next. IndexError when none may start."""
        name = self._next()
        if not name:
            raise IndexError("peek into a queue of which none may start")
        return self._requests[name]

    def pop_request(self) -> Request:
        """Take out the request that `peek_request` shows. IndexError when none may start."""
        request = self.peek_request()
        self._passed, self._asked_all = "", False
        self._take(request.request_id)
        self._gate.admission.moved()
        return request

    def _next(self) -> str:
        """The first in order that may start; "" when there is none, or the step has asked enough."""
        if self._passed in self._requests:
            return self._passed
        while len(self._refused) < MOST_REFUSED and not self._gate.admission.reserved_for:
            name = self._candidate()
            if not name:
                break
            if self._gate.may_start(name):
                self._passed = name
                return name
            self._refused.add(name)
        return ""

    def _candidate(self) -> str:
        """The next in order that this step has not asked about; "" when there is none."""
        if not self._order:
            self._rank_more()
        while self._order:
            name = self._order.pop()
            if name in self._requests and name not in self._refused:
                return name
        return ""

    def _rank_more(self) -> None:
        """The first; after them the others, beginning where the last step that came so far stopped."""
        if self._asked_all:
            return
        if not self._refused:
            self._order = self._gate.first_open(FIRST_RANKED)[::-1]
            self._asked_all = len(self._order) < FIRST_RANKED
            return
        others = [i for i in self._gate.first_open(len(self._requests)) if i not in self._refused]
        self._asked_all = True
        start = self._turn if self._turn < len(others) else 0
        self._order = [*others[start:], *others[:start]][:FIRST_RANKED][::-1]
        self._turn = start + FIRST_RANKED
