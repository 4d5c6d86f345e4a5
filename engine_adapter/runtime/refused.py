"""Who was refused when last asked, and what by: for people, and for `engine.gated`.

A step asks about all that wait, and seldom does anybody want to know more of the answer than who may start. So it is
kept as it was given, in columns, and put into words by id only for who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine_adapter.runtime.columns import Column

GATE = "gate"


@dataclass(frozen=True, slots=True)
class AskedAtOnce:
    """An answer about all that waited, by *ids*: whom the gate let in (None: all), and whom each limit kept out."""

    ids: Sequence[str] = ()
    let_in: Column | None = None
    limited: Mapping[str, Column] = field(default_factory=dict)

    def at_the_gate(self) -> Column | None:
        """Who is kept out by the gate, and not by a limit besides, as promoted ones may be; None: nobody."""
        if self.let_in is None:
            return None
        out = ~self.let_in
        for limited in self.limited.values():
            out &= ~limited
        return out


class Refused:
    """What kept each out: as all were asked at once, then as some were one by one."""

    def __init__(self) -> None:
        self._at_once = AskedAtOnce()
        self._words: dict[str, str] = {}  # of those that were asked about one by one
        self._left: set[str] = set()  # of those that were asked about at once, who waits no longer

    def asked(self, about_all: AskedAtOnce) -> None:
        """All that wait were asked about at once."""
        self._at_once, self._left = about_all, set()

    def alone(self, request_id: str, word: str) -> None:
        """One that waits was asked about, and *word* keeps it out."""
        self._words[request_id] = word

    def forget(self, request_id: str) -> None:
        """It waits no longer."""
        self._words.pop(request_id, None)
        if self._at_once.ids:  # nothing is, and nothing would ever be let go again, under a policy without a gate
            self._left.add(request_id)

    @property
    def gated(self) -> int:
        """How many the gate keeps out."""
        if not self._words and not self._left:
            out = self._at_once.at_the_gate()
            return 0 if out is None else int(np.count_nonzero(out))
        return sum(word == GATE for word in self._without_limits().values())

    def words(self) -> dict[str, str]:
        """What keeps each out, by id."""
        limited: dict[str, str] = {}  # these come last: who has no place isn't asked alone any more
        for limit, out in self._at_once.limited.items():
            limited |= dict.fromkeys(self._ids(out), f"limit {limit}")
        return {**self._without_limits(), **limited}

    def _without_limits(self) -> dict[str, str]:
        """What keeps out all but those whom a limit left no place when all were asked at once."""
        return {**dict.fromkeys(self._ids(self._at_once.at_the_gate()), GATE), **self._words}

    def _ids(self, out: Column | None) -> Iterable[str]:
        ids = self._at_once.ids
        if out is None:
            return ()
        return (ids[place] for place in np.flatnonzero(out).tolist() if ids[place] not in self._left)
