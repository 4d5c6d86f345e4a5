"""A trained model at work in an engine: asked about every turn that arrives, off the scheduling path.

The engine's thread only puts a turn into a queue; a thread of the model's own takes what has gathered, asks the model
once about all of it, and lays the answers down. Between two steps they are picked up. Until then, and where anything
fails, the forecast of the online statistics holds. In virtual time the model answers at once, so that the same run
gives the same result.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.length_model import LengthModel
from engine_adapter.runtime.past import KEPT_TOKENS, Case
from engine_adapter.runtime.trust import Trust
from engine_adapter.runtime.turn import Turn

# Turns that the model is asked about at once. It holds the interpreter's lock for most of the time it takes, so this is
# also how long the engine's thread may have to wait for it (benchmarks/predictor.py).
BATCH = 32
# Turns that wait for an answer; those beyond keep the forecast they have.
MOST_ASKED = 4096
# Forecasts that one step takes up: each means a new forecast and a row of the table anew.
MOST_TOLD = 8

Told = tuple[str, Foretold]


class Asker(Protocol):
    """Takes cases, gives answers some time."""

    def ask(self, name: str, case: Case) -> bool: ...
    def told(self, most: int) -> list[Told]: ...
    def close(self) -> None: ...


class AtOnce:
    """Answers when it is asked."""

    def __init__(self, model: LengthModel) -> None:
        self._model = model
        self._told: deque[Told] = deque()

    def ask(self, name: str, case: Case) -> bool:
        self._told.append((name, self._model.foretell([case])[0]))
        return True

    def told(self, most: int) -> list[Told]:
        return _taken(self._told, most)

    def close(self) -> None:
        """There is nothing to end."""


class InBackground:
    """Answers from a thread of its own. *failed* is called, on that thread, with each batch it could not answer."""

    def __init__(self, model: LengthModel, failed: Callable[[int, Exception], None]) -> None:
        self._model = model
        self._failed = failed
        self._asked: queue.SimpleQueue[tuple[str, Case] | None] = queue.SimpleQueue()
        self._told: deque[Told] = deque()
        self._thread = threading.Thread(target=self._run, name="lamps-predictor", daemon=True)
        self._thread.start()

    def ask(self, name: str, case: Case) -> bool:
        """From the engine's thread; never waits. False: too many wait already."""
        if self._asked.qsize() >= MOST_ASKED:
            return False
        self._asked.put((name, case))
        return True

    def told(self, most: int) -> list[Told]:
        """The answers since the last time, oldest first."""
        return _taken(self._told, most)

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread; does nothing the second time."""
        self._asked.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (batch := self._batch()) is not None:
            try:
                answers = self._model.foretell([case for _, case in batch])
            except Exception as problem:  # the online forecasts hold
                self._failed(len(batch), problem)
            else:
                self._told.extend((name, answer) for (name, _), answer in zip(batch, answers, strict=True))

    def _batch(self) -> list[tuple[str, Case]] | None:
        """What has been asked, at least one; None at the end."""
        batch = []
        item = self._asked.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH or self._asked.empty():
                return batch
            item = self._asked.get()
        return None


class Foretelling:
    """One engine's use of a model. *warn* gets a sentence when the model is set aside or fails."""

    def __init__(
        self, model: LengthModel, in_background: bool, counters: Counter[str], warn: Callable[[str], None]
    ) -> None:
        self._model = model
        self._counters = counters
        self._warn = warn
        # All keys are there before the thread runs: it must not change a dict's size while another one walks it.
        counters.update({"predictor.asked": 0, "predictor.told": 0, "predictor.skipped": 0, "predictor.failed": 0})
        self._asker: Asker = InBackground(model, self._failed) if in_background else AtOnce(model)
        self._reads_tokens = model.about.tokens and in_background  # token ids of virtual time mean nothing
        self._trust = Trust()

    def arrived(self, turn: Turn, tokens: Sequence[int], online_tokens: float) -> None:
        """A turn has arrived: its prompt, and the length that the online statistics expect of its answer."""
        last = list(tokens[-KEPT_TOKENS:]) if self._reads_tokens else ()
        turn.online_tokens = online_tokens
        asked = self._asker.ask(turn.id, Case(turn.session.past, turn.session.output, turn.may_call, last))
        self._counters["predictor.asked" if asked else "predictor.skipped"] += 1

    def news(self, turns: Mapping[str, Turn]) -> list[Turn]:
        """Those of *turns* whose forecast has become the model's since the last time."""
        changed = []
        for name, foretold in self._asker.told(MOST_TOLD):
            turn = turns.get(name)
            if turn is None:
                continue
            turn.foretold = foretold
            if self._trust.deserved:
                self._counters["predictor.told"] += 1
                turn.foresee_with(foretold)
                changed.append(turn)
        return changed

    def ended(self, turn: Turn) -> None:
        """A turn's whole answer is known."""
        if turn.foretold is None:
            return
        if self._trust.compare(turn.foretold.output.mean, turn.online_tokens, turn.generated_tokens):
            self._counters["predictor.changes"] += 1
            if self._counters["predictor.changes"] == 1:
                self._warn(
                    f"the trained predictor {self._model.revision} is set aside: of the last turns the online"
                    f" statistics foretold the length better (its error is {self._trust.ratio:.2f} times theirs)"
                )

    def document(self) -> dict[str, Any]:
        """In the words of `control.frames.PredictorInfo`."""
        return {
            "name": "learned",
            "revision": self._model.revision,
            "source": self._model.about.source,
            "believed": self._trust.deserved,
            "error": self._trust.ratio,
        }

    def close(self) -> None:
        """Nobody is asked any more."""
        self._asker.close()

    def _failed(self, turns: int, problem: Exception) -> None:
        if not self._counters["predictor.failed"]:
            self._warn(f"the trained predictor failed, the online forecasts hold: {type(problem).__name__}: {problem}")
        self._counters["predictor.failed"] += turns


def _taken(told: deque[Told], most: int) -> list[Told]:
    return [told.popleft() for _ in range(min(most, len(told)))]
