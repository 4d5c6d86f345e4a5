"""Finished turns one by one, as logs and records have them, put together to sessions."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from engine_adapter.runtime.past import USER
from engine_adapter.workload.trace import SessionTrace, Turn


@dataclass(frozen=True, slots=True)
class Finished:
    """One turn. Instants in seconds of one clock, lengths in tokens; *tool*: what it ended in, `USER` for no call.

    *tokens*: the last ones of its prompt, where they are known.
    """

    arrival: float
    ended: float
    prompt: int
    output: int
    tool: str
    tokens: tuple[int, ...] = ()


@dataclass(slots=True)
class Grown:
    """Sessions as they grow, by any key; what a session was called outside isn't kept."""

    _turns: dict[Hashable, list[Finished]] = field(default_factory=dict)

    def add(self, key: Hashable, turn: Finished) -> None:
        """The next turn of the session *key*."""
        self._turns.setdefault(key, []).append(turn)

    def sessions(self) -> tuple[SessionTrace, ...]:
        """All of them, numbered from 1 in the order of their first turn."""
        return tuple(SessionTrace(str(number), _turns(turns)) for number, turns in enumerate(self._turns.values(), 1))

    def tokens(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """The last tokens of the prompts, by session and turn."""
        return {
            (str(number), index): turn.tokens
            for number, turns in enumerate(self._turns.values(), 1)
            for index, turn in enumerate(turns)
            if turn.tokens
        }


def _turns(finished: list[Finished]) -> tuple[Turn, ...]:
    first, *rest = finished
    made = [Turn(max(first.prompt, 1), 0, max(first.output, 1))]
    for before, turn in zip(finished, rest, strict=False):
        called = before.tool != USER
        made.append(
            Turn(
                max(turn.prompt, 1),
                min(before.prompt + before.output, turn.prompt),
                max(turn.output, 1),
                max(turn.arrival - before.ended, 0.0),
                "tool" if called else "user",
                before.tool if called else None,
            )
        )
    return tuple(made)
