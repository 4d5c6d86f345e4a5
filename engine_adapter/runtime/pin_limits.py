"""How much KV the policy lets be held for paused sessions: `limit pinned` and `limit CLASS.pinned`.

A grant that would break a limit is refused, and the next arm of the decision taken. Who is over a limit that was
lowered gives way at the next step, in `yield` order. `limit ... by` says who gets what is left in a step: one that
comes later in the step, but is first by that order, is granted too, and what comes after it in that order gives way
before the next step begins. Nothing is allocated in between, so the limit holds whenever memory is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine_adapter.runtime.deciding import Deciding
from engine_adapter.runtime.ledger import Ledger, Pin
from engine_adapter.runtime.paused import PRESERVE, Paused
from engine_adapter.runtime.turn import Turn
from policy_dsl.comparing import comparable
from policy_dsl.types import Handling


class PinLimits:
    """The limits of one policy on pins. *paused*: the sessions whose call runs, by key."""

    def __init__(self, deciding: Deciding, ledger: Ledger, paused: Mapping[str, Paused]) -> None:
        self._deciding, self._ledger, self._paused = deciding, ledger, paused
        self.adopt()

    def adopt(self) -> None:
        """Another policy is asked from now on."""
        policy = self._deciding.policy
        self._names = tuple(name for name in policy.scalar.limits if name.rpartition(".")[2] == "pinned")
        self._by = frozenset(name for name in self._names if policy.states(f"limit {name} ... by"))

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def shared(self) -> bool:
        """Whether one is shared out by an order: then a step may begin with more than it allows."""
        return bool(self._by)

    def refuses(self, turn: Turn, more_tokens: int) -> str:
        """The limit that keeps so many tokens more from being held for *turn*: "limit NAME"; "" where none does."""
        for name in self._names:
            of_class = _class_of(name)
            if of_class and of_class != turn.session.class_name:
                continue
            held, bound = self._held(of_class), self._bound(name)
            over = held + more_tokens - bound
            if over > 0 and (name not in self._by or more_tokens > bound or over > self._after(name, turn)):
                return f"limit {name}"
        return ""

    def exceeded(self, yield_order: Callable[[], Sequence[Pin]]) -> Iterator[tuple[float, Sequence[Pin]]]:
        """Of each limit that is exceeded, by how many tokens, and who gives way, first to last.

        To be asked when a step begins. What waits to be judged or admitted stays, and isn't counted.
        """
        for name in self._names:
            bound = self._bound(name)
            if self._ledger.tokens <= bound:
                continue
            given = self._given(_class_of(name))
            over = sum(pin.tokens for pin in given) - bound
            if over > 0:
                yield over, self._giving_way(name, [pin for pin in yield_order() if pin in given])

    # --- inside ----------------------------------------------------------------------------------

    def _giving_way(self, name: str, pins: list[Pin]) -> list[Pin]:
        if name not in self._by:
            return pins
        fresh = self._granted(pins, self._deciding.step() - 1)
        fresh.sort(key=lambda pin: self._keys(name, self._paused[pin.session].turn), reverse=True)
        return [*fresh, *(pin for pin in pins if pin not in fresh)]

    def _after(self, name: str, turn: Turn) -> int:
        """Tokens that were granted in this step to sessions which come after *turn* in the limit's order."""
        own = self._keys(name, turn)
        fresh = self._granted(self._given(_class_of(name)), self._deciding.step())
        return sum(pin.tokens for pin in fresh if self._keys(name, self._paused[pin.session].turn) > own)

    def _granted(self, pins: Sequence[Pin], step: int) -> list[Pin]:
        """Those of *pins* whose call began in *step* or since."""
        calls = ((pin, self._paused[pin.session].turn.call) for pin in pins)
        return [pin for pin, call in calls if call is not None and call.since_step >= step]

    def _keys(self, name: str, turn: Turn) -> tuple[tuple[bool, float], ...]:
        return comparable(self._deciding.share_keys(name, turn, Handling.PRESERVE))

    def _given(self, of_class: str) -> list[Pin]:
        """The pins of a class, or of all, that were decided on."""
        return [
            pin
            for pin in self._ledger
            if pin.reason == PRESERVE and pin.session in self._paused and of_class in ("", pin.class_name)
        ]

    def _held(self, of_class: str) -> int:
        if not of_class:
            return self._ledger.tokens
        return sum(pin.tokens for pin in self._ledger if pin.class_name == of_class)

    def _bound(self, name: str) -> float:
        bound = self._deciding.limit(name)
        return math.inf if bound is None else bound


def _class_of(name: str) -> str:
    return name.rpartition(".")[0]
