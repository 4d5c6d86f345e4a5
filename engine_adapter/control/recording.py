"""Finished turns as a server tells of them, and the sessions of a trace that they make up.

Sessions, tenants and tools are numbered in the order of their coming, as in imported traces: names are the
clients'. Tools may keep theirs, for who trains a predictor that is to know them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine_adapter.control.client import Unreachable, base_url, stream_events
from engine_adapter.workload.trace import SessionTrace, Turn

TURNS_PATH = "/lamps/turns"
USER = "user"


class FinishedTurn(msgspec.Struct, frozen=True):
    """Lengths in tokens; *gap* and *arrival* in seconds, the latter of the engine's clock. *tool*: what the gap was,
    "user", or "" where nothing is known. *first*: no turn of the session was recorded before."""

    session: str
    arrival: float
    prompt: int
    output: int
    shared: int = 0
    gap: float = 0.0
    tool: str = ""
    tenant: str = ""
    first: bool = False


class EngineTurns(msgspec.Struct, frozen=True):
    """Of one engine: the last *number* it has given, turns that were *missed*, its clock *now*."""

    turns: tuple[FinishedTurn, ...] = ()
    number: int = 0
    missed: int = 0
    now: float = 0.0


class Turns(msgspec.Struct, frozen=True):
    """What the engines of a server tell at once."""

    engines: tuple[EngineTurns, ...] = ()


def stream_turns(url: str, key: str | None = None) -> Iterator[Turns | str]:
    """Finished turns of the server at *url* as they come, until it is lost; a string is why there are none now.

    Raises `Unreachable`.
    """
    for trouble, data in stream_events(url, TURNS_PATH, {}, key):
        try:
            yield data if trouble else msgspec.json.decode(data, type=Turns)
        except msgspec.DecodeError as problem:
            raise Unreachable(f"{base_url(url)} sent something else than turns: {problem}") from problem


class Gathered:
    """The sessions of the turns so far."""

    def __init__(self, tool_names: bool = False) -> None:
        """*tool_names*: tools keep the names that the clients gave them."""
        self._tool_names = tool_names
        self.missed = 0
        self.turns = 0
        self._offsets: dict[int, float] = {}
        self._sessions: dict[tuple[int, str], _Growing] = {}
        self._finished: list[_Growing] = []
        self._tools: dict[str, str] = {}
        self._tenants: dict[str, str] = {}

    def add(self, told: Turns, now_s: float) -> None:
        """What the engines told at *now_s*, on the clock of who records: engines' clocks differ."""
        for number, engine in enumerate(told.engines):
            offset = self._offsets.setdefault(number, now_s - engine.now)
            self.missed += engine.missed
            for turn in engine.turns:
                self._add((number, turn.session), turn, turn.arrival + offset)

    def sessions(self) -> list[SessionTrace]:
        """All sessions, in the order of their arrival; the first arrives at 0."""
        grown = sorted([*self._finished, *self._sessions.values()], key=lambda one: one.start_s)
        first = grown[0].start_s if grown else 0.0
        return [
            SessionTrace(str(number), tuple(one.turns), None, None, one.tenant, max(one.start_s - first, 0.0))
            for number, one in enumerate(grown, 1)
        ]

    def _add(self, key: tuple[int, str], turn: FinishedTurn, arrival_s: float) -> None:
        self.turns += 1
        prompt, output = max(turn.prompt, 1), max(turn.output, 1)
        growing = self._sessions.get(key)
        if growing is None or turn.first:
            if growing is not None:
                self._finished.append(growing)
            self._sessions[key] = _Growing(arrival_s, self._tenant(turn.tenant), [Turn(prompt, 0, output)])
            return
        before = growing.turns[-1]
        shared = min(turn.shared, prompt, before.prompt + before.output)
        called = turn.tool not in ("", USER)
        tool = self._tool(turn.tool) if called else None
        growing.turns.append(Turn(prompt, shared, output, turn.gap, "tool" if called else "user", tool))

    def _tool(self, name: str) -> str:
        return name if self._tool_names else self._tools.setdefault(name, f"tool-{len(self._tools) + 1}")

    def _tenant(self, name: str) -> str | None:
        return self._tenants.setdefault(name, f"tenant-{len(self._tenants) + 1}") if name else None


class _Growing:
    def __init__(self, start_s: float, tenant: str | None, turns: list[Turn]) -> None:
        self.start_s, self.tenant, self.turns = start_s, tenant, turns
