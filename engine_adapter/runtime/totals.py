"""Sums over what runs and what is held: the engine's signals that need a look at every running request.

They are read by few policies, so they are summed up only where one does, and where somebody wants to see them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from engine_adapter.runtime.engine import Running
from engine_adapter.runtime.ledger import Pin
from engine_adapter.runtime.turn import Turn

SEATED = "engine.seated_tokens"


def seated_tokens(running: Iterable[Running], turns: Mapping[str, Turn], pinned_tokens: int) -> float:
    """KV tokens of seated sessions; a running request counts with the output that was expected when it began."""
    total = float(pinned_tokens)
    for name, tokens in running:
        turn = turns.get(name)
        if turn is not None:
            planned = turn.planned_tokens
            if planned is None:
                planned = turn.planned_tokens = turn.context_tokens + turn.forecast.output.mean
            if planned > tokens:
                total += planned
                continue
        total += tokens
    return total


def running_by_class(running: Iterable[Running], turns: Mapping[str, Turn]) -> Counter[str]:
    """Running requests, by the class of their session."""
    return Counter(turns[request.id].session.class_name for request in running if request.id in turns)


def tokens_by_class(running: Iterable[Running], turns: Mapping[str, Turn], pins: Iterable[Pin]) -> Mapping[str, int]:
    """KV tokens of running requests and of pins, by the class of their session."""
    found: dict[str, int] = {}
    for name, context_tokens in running:
        turn = turns.get(name)
        if turn is not None:
            class_name = turn.session.class_name
            found[class_name] = found.get(class_name, 0) + context_tokens
    for pin in pins:
        found[pin.class_name] = found.get(pin.class_name, 0) + pin.tokens
    return found


def reserved_elsewhere(
    own: str, reserves: Mapping[str, float], held_tokens: Mapping[str, int], total_tokens: int
) -> float:
    """The share of the memory that classes other than *own* reserve and don't use. *reserves*: shares, by class."""
    return sum(
        max(share - held_tokens.get(name, 0) / total_tokens, 0.0) for name, share in reserves.items() if name != own
    )
