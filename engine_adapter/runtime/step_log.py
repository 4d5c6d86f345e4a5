"""What each step of an engine did and how long it took, for whoever measures the engine (`lamps profile`).

Nothing is kept until somebody asks, and nothing more once nobody has asked for a while: the cost model needs one step
in four, and only its shape.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from engine_adapter.runtime.costs import StepSample

# Steps that wait to be fetched: 20 s of the fastest engine seen (400 a second). Those beyond are counted as missed.
KEPT = 8192
# Whoever measures asks every second or two; after so long without it nobody does.
LINGER_S = 10.0


@dataclass(frozen=True, slots=True)
class _Begun:
    """A step that computes. *output*: what stands for it; *began* on the engine's clock."""

    output: object
    began: float
    sample: StepSample


class StepLog:
    """Of one engine. Instants of the engine's clock, seconds."""

    def __init__(self) -> None:
        self.open = False
        """Whether somebody measured a moment ago: else nothing need be told."""
        self._until = -math.inf
        self._number = 0
        self._steps: deque[tuple[float, ...]] = deque(maxlen=KEPT)
        self._under_way: deque[_Begun] = deque(maxlen=8)
        self._came = 0
        self._left: list[float] = []  # instants at which the turns came that have ended since the last step
        self._was_busy = False

    def since(self, number: int | None, now: float) -> dict[str, Any]:
        """The steps after *number*, oldest first, as rows of `control.steps.Step`; None: none yet, from now on."""
        self.open, self._until = True, now + LINGER_S
        after = self._number if number is None else number
        first = self._number - len(self._steps)
        rows = [list(row) for place, row in enumerate(self._steps, first + 1) if place > after]
        missed = max(self._number - after, 0) - len(rows)
        return {"number": self._number, "missed": missed, "now": now, "steps": rows}

    def wanted(self, now: float) -> bool:
        """Whether somebody measures, so that the step that begins *now* is to be told."""
        if self.open and now > self._until:
            self.open, self._was_busy = False, False
            self._came, self._left = 0, []
            self._under_way.clear()
        return self.open

    def came(self) -> None:
        """A request has reached the engine."""
        self._came += 1

    def left(self, came_at: float) -> None:
        """A request has ended that had come at *came_at*."""
        self._came += 1
        self._left.append(came_at)

    def begin(self, output: object, began: float, sample: StepSample) -> None:
        """A step is scheduled; its time is known when it is done."""
        self._under_way.append(_Begun(output, began, sample))

    def end(self, output: object, before: float, now: float, busy: bool) -> None:
        """A step has been computed; the one before it at *before*. *busy*: requests are left.

        Between two steps of a busy engine lies its own work: what came is taken in, what was computed is sent on. An
        idle engine waits there, which is no part of a step.
        """
        begun = next((one for one in self._under_way if one.output is output), None)
        if begun is not None:
            while self._under_way.popleft() is not begun:
                pass
            self._add(begun, before, now)
        self._came, self._left, self._was_busy = 0, [], busy

    def _add(self, step: _Begun, before: float, now: float) -> None:
        gap_s = max(step.began - before, 0.0) if self._was_busy else 0.0
        sample = step.sample
        self._number += 1
        self._steps.append((
            sample.prefill_tokens, sample.prefill_seqs, sample.prefill_context_area, sample.decode_seqs,
            sample.context_tokens, now - max(step.began, before), gap_s, self._came if self._was_busy else 0,
            len(self._left), math.fsum(now - at for at in self._left), not self._was_busy,
        ))  # fmt: skip
