"""What can wait until the engine has nothing to do.

What a turn's end leaves to be noted and learned takes several times as long on an engine that works as in a loop that
does nothing else; while the model computes the next step the engine's thread only waits for it. So the work is put off
till then (docs/decisions/021).
"""

from __future__ import annotations

from collections.abc import Callable


class Later:
    """Work that is done in its order, when `do` is called: by whom there is time, and by whom reads what it leaves."""

    def __init__(self) -> None:
        self._work: list[Callable[[], object]] = []

    def put(self, work: Callable[[], object]) -> None:
        """*work* is to be done. It knows its own instant: the clock has moved on by then."""
        self._work.append(work)

    def do(self) -> None:
        """All that was put off is done. What it asks for in turn sees what came before it."""
        while self._work:
            work, self._work = self._work, []
            for each in work:
                each()
