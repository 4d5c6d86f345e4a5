"""Who is preempted when memory runs out: what the policy says, within what the adapter guarantees.

Whatever the policy says, a row that was preempted three times in its turn is spared while another can be taken, and of
the rest those that aren't promoted come first (LANGUAGE.md, S5). A policy without `victim` leaves the choice to the
engine, which takes the one that was admitted last, as long as that is none of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine_adapter.runtime.asking import Asking
from engine_adapter.runtime.engine import Running
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.turn import Turn
from policy_dsl.comparing import comparable
from policy_dsl.places import SPARED_AFTER


class Victims:
    """Chooses among running requests. Only asked when an allocation has failed and no pin could help."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        policy = asking.policy
        self._stated = policy.states("victim")
        self._read = asking.reader(policy.victim_keys)
        self._predicts = any(not key.startswith(("request.", "class.", "hint.")) for key in policy.victim_keys)
        self._spared = {turn.id for turn in asking.turns.values() if _is_spared(turn)}

    @property
    def needed(self) -> bool:
        """Whether the engine's own choice might be another."""
        return self._stated or bool(self._spared)

    def spare(self, turn: Turn) -> None:
        """The turn was promoted, or preempted once more."""
        if _is_spared(turn):
            self._spared.add(turn.id)

    def forget(self, turn: Turn) -> None:
        """The turn is over."""
        self._spared.discard(turn.id)

    def choose(self, running: Sequence[Running]) -> str:
        """The id of the request to preempt. *running*: in the engine's order, the last admitted last; not empty."""
        turns = self._asking.turns
        if not self._stated and not _is_spared(turns[running[-1].id]):
            return running[-1].id
        keys = self._keys(running) if self._stated else None

        def place(position: int) -> tuple[object, ...]:
            turn = turns[running[position].id]
            asked = (-position,) if keys is None else (keys[position], turn.arrival)
            return (turn.preemptions >= SPARED_AFTER, turn.promoted, *asked)

        return running[min(range(len(running)), key=place)].id

    def _keys(self, running: Sequence[Running]) -> list[tuple[tuple[bool, float], ...]] | None:
        """Of every running request; None where the rule fails, which leaves the order of the engine."""
        deciding, engine = self._asking.deciding, self._asking.snapshot()
        ask = self._asking.policy.scalar.victim_keys
        began = deciding.begins("victim")
        try:
            found = []
            for request in running:
                turn = self._asking.turns[request.id]
                self._up_to_date(turn, request.context_tokens)
                found.append(ask(self._read(turn), engine))
        except Exception:
            deciding.fault("victim")
            return None
        finally:
            deciding.asked("victim", began)
        if any(math.isnan(key) for keys in found for key in keys):
            deciding.no_number("victim")
        return [comparable(keys) for keys in found]

    def _up_to_date(self, turn: Turn, context_tokens: int) -> None:
        turn.progress(context_tokens)
        if self._predicts:
            turn.forecast = Predictor.remaining(turn.forecast, turn.generated_tokens)


def _is_spared(turn: Turn) -> bool:
    return turn.promoted or turn.preemptions >= SPARED_AFTER
