"""What a replay measured: every turn of every session, finished or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine_adapter.workload.client import ServerInfo
from engine_adapter.workload.load import Load

Hints = Literal["tool", "oracle", "none"]
Prompts = Literal["tokens", "text"]
Ended = Literal["finished", "interrupted", "server gone", "stalled"]


@dataclass(slots=True)
class TurnResult:
    """One request. Times in seconds since the run began, None for what didn't happen."""

    prompt_tokens: int
    output_tokens: int
    gap_s: float
    due_s: float
    """When it should have been sent: the session's arrival, or the end of its gap."""
    lag_s: float
    """How much later than possible it was sent: the client's own slowness."""
    cached_tokens: int | None = None
    first_token_s: float | None = None
    done_s: float | None = None
    shared_tokens: int = 0
    """Prompt tokens that repeat the turn before with its answer: what a kept KV cache spares."""
    started_s: float | None = None
    """When the engine first computed something of it. This and the next two are known in virtual time only."""
    preemptions: int | None = None
    handling: str | None = None
    """What was decided for its KV while its session waits for the next turn: preserve, swap, discard."""

    @property
    def ttft_s(self) -> float | None:
        """Time to first token, from when it was due."""
        return None if self.first_token_s is None else self.first_token_s - self.due_s


@dataclass(slots=True)
class SessionResult:
    """One session, filled while it is replayed."""

    name: str
    tool: str | None
    arrival_s: float
    planned_turns: int
    turns: list[TurnResult] = field(default_factory=list)
    error: str = ""
    """Why it failed; empty while it hasn't."""
    tenant: str | None = None

    @property
    def finished(self) -> bool:
        """Whether every planned turn was answered."""
        return len(self.turns) == self.planned_turns and self.turns[-1].done_s is not None and not self.error

    @property
    def tool_time_s(self) -> float:
        """What its tools and people took."""
        return sum(turn.gap_s for turn in self.turns)

    @property
    def end_to_end_s(self) -> float | None:
        """From its arrival to its last token; None unless it finished."""
        last = self.turns[-1].done_s if self.finished else None
        return None if last is None else last - self.arrival_s


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run. *counters* is what the server counted meanwhile, by the names of client.COUNTERS; None without any."""

    trace: str
    url: str
    server: ServerInfo
    load: Load
    hints: Hints
    sessions: tuple[SessionResult, ...]
    ended: Ended
    duration_s: float
    counters: dict[str, float] | None
    prompts: Prompts = "tokens"


@dataclass(frozen=True, slots=True)
class Sample:
    """The engine at one instant: requests by state, paused sessions, and KV memory by state in tokens."""

    at_s: float
    running: int
    waiting: int
    paused: int
    kv_running: int
    kv_pinned: int
    kv_free: int
