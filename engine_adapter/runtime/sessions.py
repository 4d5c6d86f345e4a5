"""Which session a request belongs to: by the id its client sends, else by its prefix.

A follow-up repeats the last prompt of its session exactly, and the last answer perhaps: chat
templates spell tool calls, thinking and the generation prompt differently the second time. So of a
session without id two ends are remembered when its turn ends: the block that ends its last prompt
(less `SLACK_TOKENS`) and the one that ends its last answer. A new request walks its own block hashes
from the deepest, and the first remembered end that fits is its session.

What is ambiguous, and how it is decided:
- A session known by id is found by id only, one without id by prefix only.
- Two sessions may share their full blocks (one system prompt, short questions). The prompt tokens
  after the last shared block must be repeated too; the longest such tail wins.
- A follow-up is longer than what it follows: the same prompt again is another session.
- Sessions that are alike even so are interchangeable, as their KV is: the longest paused is taken.
- A session in a turn is never found by prefix: a parallel request is another session.
- A prompt shorter than one block (plus slack) leaves no trace: its follow-up is a new session.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from engine_adapter.runtime.moments import NOTHING, Moments
from engine_adapter.runtime.past import NEW, Past
from engine_adapter.runtime.runs import Step

# The generation prompt at the end of a prompt ("<think>\n" and the like) may not come back.
SLACK_TOKENS = 4
# A person who hasn't answered for an hour starts anew: the KV is long gone.
EXPIRY_S = 3600.0
MAX_SESSIONS = 100_000

_Tail = tuple[int, int]  # tokens after the last remembered block: how many, and their hash
_NO_TAIL: _Tail = (0, 0)
_End = tuple[Hashable, _Tail]


@dataclass(slots=True, eq=False)
class Session:
    """A client's conversation or agent run: several turns with calls between them.

    *key*: unique text, for ledger and frames. *arrival*, *last_seen*: instants, seconds. *turn*: of the
    present or last turn, from 1. *waited_s*, *service_s*: over all ended turns, kept by the runtime.
    *output*: moments of tokens per turn. *calls*, *ended*: turns that ended in a call, and at all
    (those that could call). *last_tool*: what the last turn called ("" before any). *opening*: size class
    of its first prompt. *run*: its turns since a person spoke. *past*: all of them. These seven are the predictor's.
    *class_name*: of the policy's class it belongs to, for good ("" before it is known, and without classes), with its
    *attributes* by signal. *running*: its turns that run; *seated_since*: since when one does or KV of its own is held,
    None while neither.
    """

    key: str
    client_id: str | None
    tenant: str
    arrival: float
    last_seen: float
    turn: int = 0
    in_turn: bool = False
    active: int = 0
    waited_s: float = 0.0
    service_s: float = 0.0
    output: Moments = NOTHING
    calls: int = 0
    ended: int = 0
    last_tool: str = ""
    opening: int = 0
    run: list[Step] = field(default_factory=list)
    past: Past = NEW
    class_name: str = ""
    attributes: Mapping[str, float | bool | str] = field(default_factory=dict)
    running: int = 0
    seated_since: float | None = None
    prompt_end: _End | None = None
    ends: list[_End] = field(default_factory=list)


class Sessions:
    """All sessions of one engine. Every operation is O(1) but the walk, which is one look-up a block.

    *block_size* is needed for comparing tails; 0: full blocks alone decide.
    """

    def __init__(self, block_size: int = 0, most: int = MAX_SESSIONS, expiry_s: float = EXPIRY_S) -> None:
        self._block_size = block_size
        self._most = most
        self._expiry_s = expiry_s
        self._by_key: dict[str, Session] = {}
        self._by_client: dict[tuple[str, str], Session] = {}
        self._idle: OrderedDict[str, Session] = OrderedDict()  # not in a turn, longest first
        # Paused sessions without id: tenant -> hash of the last block -> tail -> those alike, by key.
        self._ends: dict[str, dict[Hashable, dict[_Tail, dict[str, Session]]]] = {}
        self._count = itertools.count(1)

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> Session | None:
        return self._by_key.get(key)

    def find(
        self,
        client_id: str | None,
        tenant: str,
        hashes: Sequence[Hashable],
        now: float,
        tokens: Sequence[int] = (),
    ) -> Session:
        """The session a request belongs to, made if there is none.

        *hashes*: chained hashes of the prompt's full blocks, in order; *tokens*: the prompt itself.
        """
        found = self._by_client.get((tenant, client_id)) if client_id else self._by_prefix(tenant, hashes, tokens)
        if found is None:
            found = self._new(client_id or None, tenant, now)
        found.last_seen = now
        return found

    def begin_turn(self, session: Session, now: float) -> None:
        """The session is in a turn, and can't be found by prefix until that ends."""
        session.turn += 1
        session.active += 1
        session.in_turn = True
        session.last_seen = now
        self._idle.pop(session.key, None)
        self._forget_ends(session)

    def remember_prompt(self, session: Session, hashes: Sequence[Hashable], tokens: Sequence[int] = ()) -> None:
        """Note where the prompt of the present turn ends (as for `find`)."""
        size = self._block_size
        if session.client_id is not None or not hashes:
            session.prompt_end = None
        elif not size or not tokens:
            session.prompt_end = (hashes[-1], _NO_TAIL)
        else:
            stable = len(tokens) - SLACK_TOKENS
            full = min(max(stable, 0) // size, len(hashes))
            tail = tuple(tokens[full * size : min(stable, (full + 1) * size)])
            session.prompt_end = (hashes[full - 1], _tail_of(tail)) if full else None

    def end_turn(self, session: Session, hashes: Sequence[Hashable], now: float) -> None:
        """A turn has ended; *hashes* are of all its full blocks, answer included."""
        session.active = max(session.active - 1, 0)
        session.last_seen = now
        if session.active:
            return
        session.in_turn = False
        if session.key not in self._by_key:
            return
        self._idle[session.key] = session
        self._idle.move_to_end(session.key)
        if session.client_id is not None:
            return
        if session.prompt_end is not None:
            self._remember_end(session, session.prompt_end)
        if hashes and (session.prompt_end is None or hashes[-1] != session.prompt_end[0]):
            self._remember_end(session, (hashes[-1], _NO_TAIL))

    def forget(self, session: Session) -> None:
        """The session will not come back."""
        self._forget_ends(session)
        self._by_key.pop(session.key, None)
        self._idle.pop(session.key, None)
        if session.client_id is not None:
            self._by_client.pop((session.tenant, session.client_id), None)

    def expire(self, now: float) -> list[Session]:
        """Forget sessions paused for too long, and the longest paused beyond the most; returns them.

        To be called once a step: costs nothing when none is due. Sessions in a turn stay.
        """
        gone = []
        while self._idle:
            session = next(iter(self._idle.values()))
            if now - session.last_seen < self._expiry_s and len(self._by_key) <= self._most:
                break
            self.forget(session)
            gone.append(session)
        return gone

    def next_expiry(self) -> float:
        """An instant before which `expire` finds none due, if no session comes or ends a turn; a second early."""
        if len(self._by_key) > self._most:
            return -math.inf
        session = next(iter(self._idle.values()), None)
        return math.inf if session is None else session.last_seen + self._expiry_s - 1.0

    # --- inside ----------------------------------------------------------------------------------

    def _new(self, client_id: str | None, tenant: str, now: float) -> Session:
        base = f"{tenant}/{client_id}" if client_id and tenant else client_id or f"#{next(self._count)}"
        key = base
        while key in self._by_key:  # "a/b" of one tenant, or a client's own "#1"
            key = f"{base}~{next(self._count)}"
        session = Session(key, client_id, tenant, arrival=now, last_seen=now)
        self._by_key[key] = session
        self._idle[key] = session
        if client_id is not None:
            self._by_client[tenant, client_id] = session
        return session

    def _by_prefix(self, tenant: str, hashes: Sequence[Hashable], tokens: Sequence[int]) -> Session | None:
        ends = self._ends.get(tenant)
        if not ends:
            return None
        size = self._block_size
        for depth in range(len(hashes), 0, -1):
            tails = ends.get(hashes[depth - 1])
            if tails is None:
                continue
            rest = tokens[depth * size : (depth + 1) * size]
            for length in sorted({length for length, _ in tails}, reverse=True):
                alike = tails.get(_tail_of(rest[:length]))
                if alike and (not size or len(tokens) > depth * size + length + SLACK_TOKENS):
                    return next(iter(alike.values()))
        return None

    def _remember_end(self, session: Session, end: _End) -> None:
        ends = self._ends.setdefault(session.tenant, {})
        ends.setdefault(end[0], {}).setdefault(end[1], {})[session.key] = session
        session.ends.append(end)

    def _forget_ends(self, session: Session) -> None:
        for block, tail in session.ends:
            ends = self._ends[session.tenant]
            del ends[block][tail][session.key]
            if not ends[block][tail]:
                del ends[block][tail]
            if not ends[block]:
                del ends[block]
            if not ends:
                del self._ends[session.tenant]
        session.ends.clear()


def _tail_of(tokens: Sequence[int]) -> _Tail:
    return (len(tokens), hash(tuple(tokens))) if tokens else _NO_TAIL
