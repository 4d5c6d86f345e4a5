"""Token ids for virtual time: no model reads them, so all that counts is which prompts share a beginning."""

from __future__ import annotations

from engine_adapter.workload.trace import Turn

# More than a session ever sends; numbers, not ids of any vocabulary.
_PER_SESSION = 1 << 32


class Tokens:
    """The token ids of one session: its own, every one new unless it repeats the turn before."""

    def __init__(self, session: int) -> None:
        self._next = (session + 1) * _PER_SESSION
        self._known: list[int] = []

    def prompt(self, turn: Turn) -> list[int]:
        """The prompt of the next turn: the shared start of what the session holds, then ids nobody has seen."""
        shared = self._known[: turn.shared]
        begin, self._next = self._next, self._next + turn.prompt - len(shared)
        self._known = []
        return [*shared, *range(begin, self._next)]

    def answered(self, prompt: list[int], token: int, count: int) -> None:
        """Remember the turn: it was answered with *token*, *count* times."""
        self._known = prompt + [token] * count
