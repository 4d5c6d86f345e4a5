"""Lengths and times of finished turns, for whoever records a trace from live traffic. No text, no token ids.

Nothing is kept until somebody asks, and nothing more once nobody has asked for a while. How much of a prompt repeats
the turn before is told by the hashes of its blocks, in whole blocks: what vLLM's prefix cache could have found.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine_adapter.runtime.turn import Turn

# Turns that wait to be fetched: half an hour of 4 a second, 1 MB. Those beyond are counted as missed.
KEPT = 8192
# Whoever records asks once a second; after so long without it nobody does.
LINGER_S = 30.0
# Blocks whose hashes are remembered, over all sessions, 8 bytes each. Sessions that haven't been seen for the longest
# are forgotten first: what their next turn repeats is not known then.
MOST_BLOCKS = 4_000_000


@dataclass(frozen=True, slots=True)
class Before:
    """A session's last turn: when it ended, its tokens, what it called, and the hashes of its full blocks."""

    ended_at: float
    tokens: int
    hashes: array[int]


@dataclass(slots=True)
class Begun:
    """A turn that is under way. *tool*: what it comes back from, "" where nothing is known."""

    arrival: float
    shared_tokens: int
    gap_s: float
    tool: str


class Recording:
    """Of one engine. *block_size*: tokens a hash covers. Instants of the engine's clock, seconds."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._until = -math.inf
        self._number = 0
        self._turns: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._before: OrderedDict[str, Before] = OrderedDict()  # by session, the longest unseen first
        self._blocks = 0
        self._begun: dict[str, Begun] = {}

    def since(self, number: int | None, now: float) -> dict[str, Any]:
        """The turns after *number*, oldest first; None: none yet, from now on. Keeps the recording going."""
        self._until = now + LINGER_S
        after = self._number if number is None else number
        found = [turn for turn in self._turns if turn["number"] > after]
        return {"number": self._number, "missed": max(self._number - after, 0) - len(found), "turns": found, "now": now}

    def arrived(self, turn: Turn, tool: str, hashes: Sequence[bytes], now: float) -> None:
        """A request has come; *tool* is what its session's call was, "" where it wasn't in one."""
        if self._until < now:
            if self._begun or self._before:
                self._stop()
            return
        before = self._before.get(turn.session.key)
        if before is None:
            self._begun[turn.id] = Begun(turn.arrival, 0, 0.0, "")
        else:
            shared = min(_common(before.hashes, hashes) * self._block_size, turn.prompt_tokens, before.tokens)
            self._begun[turn.id] = Begun(turn.arrival, shared, max(now - before.ended_at, 0.0), tool)

    def ended(self, turn: Turn, hashes: Sequence[bytes], aborted: bool, now: float) -> None:
        """A request has finished. One that was aborted before its first token leaves nothing."""
        begun = self._begun.pop(turn.id, None)
        if begun is None or (aborted and not turn.generated_tokens):
            return
        self._number += 1
        key = turn.session.key
        self._turns.append({
            "number": self._number,
            "session": key,
            "tenant": turn.session.tenant,
            "arrival": begun.arrival,
            "prompt": turn.prompt_tokens,
            "shared": begun.shared_tokens,
            "output": turn.generated_tokens,
            "gap": begun.gap_s,
            "tool": begun.tool,
            "first": key not in self._before,
        })  # fmt: skip
        self._forget(key)
        remembered = array("q", map(hash, hashes))
        self._before[key] = Before(now, turn.context_tokens, remembered)
        self._blocks += len(remembered)
        while self._blocks > MOST_BLOCKS and len(self._before) > 1:
            self._forget(next(iter(self._before)))

    def _forget(self, key: str) -> None:
        gone = self._before.pop(key, None)
        if gone is not None:
            self._blocks -= len(gone.hashes)

    def _stop(self) -> None:
        self._begun.clear()
        self._before.clear()
        self._turns.clear()
        self._blocks = 0


def _common(before: array[int], hashes: Sequence[bytes]) -> int:
    """How many blocks from the start are the same. A block's hash covers all before it, so halving finds it."""
    same, differs = 0, min(len(before), len(hashes)) + 1
    while differs - same > 1:
        half = (same + differs) // 2
        if before[half - 1] == hash(hashes[half - 1]):
            same = half
        else:
            differs = half
    return same
