"""The last decisions, for whoever watches, and how often each rule was asked and for how long.

Times are the machine's own, whatever clock the engine runs by: they are about this process, and nothing is decided
by them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

# Decisions that a frame can still tell of: a monitor that looks once a second misses none below so many a second.
KEPT = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, in the words of `control.frames.Decision`. *arms*: (text, cost, allowed, chosen)."""

    number: int
    at: float
    kind: str
    what: str
    request: str = ""
    session: str = ""
    line: int = 0
    note: str = ""
    arms: Sequence[tuple[str, float, bool, bool]] = ()
    values: Mapping[str, float | bool | str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON-ready, but for infinite numbers."""
        return {
            "number": self.number,
            "at": self.at,
            "kind": self.kind,
            "what": self.what,
            "request": self.request,
            "session": self.session,
            "line": self.line,
            "note": self.note,
            "arms": [dict(zip(("text", "cost", "allowed", "chosen"), arm, strict=True)) for arm in self.arms],
            "values": dict(self.values),
        }


@dataclass(slots=True)
class Use:
    """Of one rule, or of one line of its answers: how often, seconds in all, failures."""

    count: int = 0
    seconds: float = 0.0
    faults: int = 0


class Journal:
    """A ring of the last decisions, and the use of rules by (rule, line); line 0 is the rule as a whole."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._number = 0
        self.sinks: list[Callable[[Entry], None]] = []  # told of each entry
        self.uses: dict[tuple[str, int], Use] = {}

    def note(self, at: float, kind: str, what: str, **more: Any) -> None:
        """Something was decided; *more* are the other fields of an `Entry`."""
        self._number += 1
        entry = Entry(self._number, at, kind, what, **more)
        self._entries.append(entry)
        for sink in self.sinks:
            sink(entry)

    def since(self, number: int, most: int = KEPT) -> list[Entry]:
        """The entries after *number*, oldest first, at most the last *most*."""
        found = [entry for entry in self._entries if entry.number > number]
        return found[-most:]

    def use(self, rule: str, line: int = 0) -> Use:
        use = self.uses.get((rule, line))
        if use is None:
            use = self.uses[rule, line] = Use()
        return use

    def asked(self, rule: str, began: float) -> float:
        """*rule* was asked, from the instant *began* of `perf_counter` until now; returns the seconds."""
        use = self.use(rule)
        seconds = perf_counter() - began
        use.count += 1
        use.seconds += seconds
        return seconds

    def rows(self) -> list[dict[str, Any]]:
        """In the words of `control.frames.RuleUse`."""
        return [
            {"rule": rule, "line": line, "count": use.count, "seconds": use.seconds, "faults": use.faults}
            for (rule, line), use in sorted(self.uses.items())
        ]
