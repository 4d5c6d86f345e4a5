"""How long an order stands: the queue that vLLM peeks into, over a ranker that counts how often it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from engine_adapter.vllm.queue import FIRST_RANKED, STANDS_S, RankedQueue


class Ranker:
    """By name, or by name from the last. *asked*: how often for the order."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.asked = 0
        self.backwards = False
        self.as_of = object()

    def enqueue(self, request_id: str) -> None:
        self.names.add(request_id)
        self.as_of = object()

    def dequeue(self, request_id: str) -> None:
        self.names.discard(request_id)

    def first(self, count: int) -> list[str]:
        self.asked += 1
        return sorted(self.names, reverse=self.backwards)[:count]

    def order_as_of(self) -> object:
        return self.as_of


def request(name: str) -> Any:
    return SimpleNamespace(request_id=name)


def queue_of(*names: str) -> tuple[RankedQueue, Ranker]:
    ranker = Ranker()
    queue = RankedQueue(ranker)
    for name in names:
        queue.add_request(request(name))
    queue.new_step(0.0)
    return queue, ranker


def test_an_order_stands_for_some_milliseconds() -> None:
    queue, ranker = queue_of("a", "b", "c")
    assert queue.peek_request().request_id == "a"
    ranker.backwards = True
    queue.new_step(0.9 * STANDS_S)
    assert queue.peek_request().request_id == "a"
    assert ranker.asked == 1
    queue.new_step(STANDS_S)
    assert queue.peek_request().request_id == "c"
    assert ranker.asked == 2


def test_it_stands_while_those_at_its_head_start_or_leave() -> None:
    queue, ranker = queue_of("a", "b", "c", "d")
    assert queue.pop_request().request_id == "a"
    queue.new_step(0.001)
    queue.remove_request(request("b"))
    assert queue.pop_request().request_id == "c"
    assert ranker.asked == 1


def test_who_comes_is_ranked_in_the_next_step_and_not_before() -> None:
    queue, ranker = queue_of("b", "c")
    assert queue.peek_request().request_id == "b"
    queue.add_request(request("a"))
    assert queue.peek_request().request_id == "b"
    queue.new_step(0.001)
    assert queue.peek_request().request_id == "a"
    assert ranker.asked == 2


def test_an_order_that_is_used_up_is_made_anew_in_the_same_step() -> None:
    queue, ranker = queue_of(*(f"{n:03}" for n in range(FIRST_RANKED + 1)))
    taken = [queue.pop_request().request_id for _ in range(FIRST_RANKED + 1)]
    assert taken == sorted(taken)
    assert ranker.asked == 2
