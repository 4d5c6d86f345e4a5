"""KV of paused sessions in host memory: the port to what moves it, and the ledger of what is there.

The runtime decides *that* a session's KV is swapped and keeps the account: each copy has an owner, a reason, an end and
a size, no step moves more than the policy's `limit swapping`, no more lies in host memory than `limit host`. How the
bytes move is the binding's (`HostMemory`). In order:

1. `foresee`, while the turn still runs, where its call will probably be swapped: its blocks may be copied as they are
   computed. It is followed by `store` or `drop`, never by nothing.
2. `store`, once or in several parts, when the turn has ended and it is decided. The blocks stay held on the device
   (a pin of reason "swap") until the binding has said `Calls.stored` of all of them; then the pin is given back.
3. The follow-up arrives and finds its copy by its prefix, as the binding does that; the copy stays until the follow-up
   is admitted, loaded by then.
4. `drop`, then or at any time before: the session is gone, its pin had to yield, its end has come.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine_adapter.runtime.ledger import Ledger, Pin

# A copy lasts as long as its session is remembered (sessions.EXPIRY_S): host memory is not what an engine stalls for.
MAX_COPY_S = 3600.0
_ALL = 2**62  # blocks

Blocks = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What moves KV to host memory and back. None of these calls waits, or raises.

    *total_tokens*: KV tokens that it holds.

    *foresee(request_id, session)*: the KV of this request will probably be stored; to store it as it is computed saves
    the wait at the end of the turn. May do nothing.

    *store(session, request_id, blocks)*: begin to copy *blocks*, full and hashed ones of the turn *request_id* (which
    ends now or has ended), as the engine's `Held` has them. The first call names the session's first blocks, each
    further one those that follow. Returns how many of them must really be moved, 0 where all are there already: of all
    of *blocks* `Calls.stored(session, n)` is told then, in one or more calls, or once `Calls.copy_lost(session)`; later
    or at once, but not before this has returned. None: refused, nothing of this call was begun.

    *drop(session)*: its copy isn't wanted any more. The blocks may be reused as soon as this returns, so what is under
    way must never be found. Blocks that are shared with another session's copy stay. Nothing is told of it afterwards.
    """

    total_tokens: int
    foresee: Callable[[str, str], None]
    store: Callable[[str, str, Blocks], int | None]
    drop: Callable[[str], None]


@dataclass(slots=True)
class _Storing:
    """A copy under way: blocks told to the port, and those that it has reported."""

    request_id: str
    blocks: Blocks
    sent: int = 0
    stored: int = 0


class Copies:
    """The copies of one engine in host memory, whole and under way, and how much may be moved in this step.

    *block_tokens*: tokens of one block. *limit*: the policy's bound by name, in tokens; None where it has none. Without
    a port nothing is ever taken.
    """

    def __init__(
        self,
        port: HostMemory | None,
        block_tokens: int,
        limit: Callable[[str], float | None],
        counters: Counter[str],
    ) -> None:
        self.ledger = Ledger(MAX_COPY_S)
        self.total_tokens = 0 if port is None else port.total_tokens
        self._port = port
        self._block_tokens = block_tokens
        self._limit = limit
        self._counters = counters
        self._storing: dict[str, _Storing] = {}
        self._foreseen: set[str] = set()  # sessions whose turn is copied while it runs
        self._moved = 0.0  # tokens moved in this step, and what of the last one was over its share

    @property
    def free_tokens(self) -> int:
        """What host memory can still take."""
        return max(self.total_tokens - self.ledger.tokens, 0)

    def __bool__(self) -> bool:
        """Whether there is a copy, or one foreseen."""
        return bool(self.ledger) or bool(self._foreseen)

    def __contains__(self, session: str) -> bool:
        """Whether the session has a copy of its last turn, whole or under way."""
        return session in self.ledger and session not in self._foreseen

    def under_way(self, session: str) -> bool:
        """Whether its copy isn't whole yet: its blocks must stay on the device."""
        return session in self._storing

    # --- before and while it is made

    def foresee(self, request_id: str, session: str) -> None:
        """A turn begins whose call will probably be swapped. A copy that there is, is kept for it."""
        if self._port is not None:
            self._foreseen.add(session)
            self._counters["swap.foreseen"] += 1
            self._port.foresee(request_id, session)

    def has_room(self, session: str, tokens: int) -> bool:
        """Whether a copy of *tokens* can be begun in this step."""
        others = self.ledger.tokens - self.ledger.tokens_of(session)
        limit = self._limit("host")
        most = self.total_tokens if limit is None else min(limit, self.total_tokens)
        return others + tokens <= most and self._budget_blocks() > 0

    def begin(self, copy: Pin, request_id: str) -> bool:
        """Copy the blocks of *copy*, as far as this step's share goes at first; False when it can't be begun now."""
        if self._port is None or not copy.blocks or not self.has_room(copy.session, copy.tokens):
            return False
        storing = _Storing(request_id, copy.blocks)
        if not self._send(copy.session, storing):
            return False
        self.ledger.take(copy.session)  # of the turn before, kept since this one's was foreseen
        self.ledger.add(copy)
        self._storing[copy.session] = storing
        self._foreseen.discard(copy.session)
        self._counters["swap.begun"] += 1
        return True

    def new_step(self) -> list[str]:
        """The copies under way go on with this step's share, oldest first; returns those that the port refuses."""
        if self._moved:
            limit = self._limit("swapping")
            self._moved = 0.0 if limit is None else max(self._moved - max(limit, 0.0), 0.0)
        refused = []
        for session, storing in list(self._storing.items()):
            if storing.sent < len(storing.blocks):
                if not self._budget_blocks():
                    break
                if not self._send(session, storing):
                    refused.append(session)
        return refused

    def next_due(self) -> float:
        """The instant before which `new_step` does nothing, and no copy ends; already past while copies are made."""
        return -math.inf if self._moved or self._storing else self.ledger.next_due()

    def stored(self, session: str, blocks: int) -> bool:
        """The port has copied so many more blocks; whether that makes the copy whole."""
        storing = self._storing.get(session)
        if storing is None:
            return False
        storing.stored += blocks
        if storing.stored < len(storing.blocks):
            return False
        del self._storing[session]
        return True

    def _budget_blocks(self) -> int:
        """Blocks that may still be moved in this step. Only whole blocks move: what the last one of a step has of the
        next step's share is taken off that."""
        limit = self._limit("swapping")
        if limit is None or limit == math.inf:
            return _ALL
        return max(math.ceil((limit - self._moved) / self._block_tokens), 0)

    def _send(self, session: str, storing: _Storing) -> bool:
        assert self._port is not None
        while storing.sent < len(storing.blocks) and (budget := self._budget_blocks()):
            part = storing.blocks[storing.sent : storing.sent + budget]
            moved = self._port.store(session, storing.request_id, part)
            if moved is None:
                self._counters["swap.refused"] += 1
                return False
            storing.sent += len(part)
            self._moved += moved * self._block_tokens
            self._counters["swap.tokens_out"] += moved * self._block_tokens
        return True

    # --- its end

    def drop(self, session: str, why: str) -> bool:
        """The copy, or what is foreseen of one, isn't wanted any more; whether there was a copy."""
        if self._port is None:
            return False
        copy = self.ledger.take(session)
        self._storing.pop(session, None)
        if copy is not None:
            self._counters[f"copies.{why}"] += 1
        if copy is not None or session in self._foreseen:
            self._port.drop(session)
        self._foreseen.discard(session)
        return copy is not None

    def keep_until(self, session: str, until: float) -> None:
        """The copy of *session* ends at another instant."""
        copy = self.ledger.get(session)
        assert copy is not None
        if copy.until != until:
            self.ledger.take(session)
            self.ledger.add(replace(copy, until=until))

    def lost(self, session: str) -> None:
        """The port doesn't have the session's copy any more."""
        if self.ledger.take(session) is not None:
            self._counters["copies.lost"] += 1
        self._storing.pop(session, None)

    def clear(self) -> None:
        """Drop all."""
        for session in [*(copy.session for copy in self.ledger), *self._foreseen]:
            self.drop(session, "dropped")
