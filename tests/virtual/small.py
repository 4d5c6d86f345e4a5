"""A small engine and a small load: a second of computing each, with memory that runs short."""

from __future__ import annotations

from typing import Any

from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import SessionTrace, Trace, Turn

SMALL: dict[str, Any] = {
    "name": "small",
    "title": "an engine for tests",
    "source": "made up",
    "token_bytes": 64,
    "kv_tokens": 1600,
    "max_num_seqs": 16,
    "max_num_batched_tokens": 256,
    "max_model_len": 1024,
    "async_scheduling": False,
    "step": {"step_s": 0.01, "prefill_token_s": 1e-4, "decode_seq_s": 1e-4},
}


def profile(**changes: Any) -> Profile:
    return Profile.model_validate(SMALL | changes)


def session(name: str, *turns: tuple[int, int], gap_s: float = 0.5, tool: str = "search") -> SessionTrace:
    """Turns of (new prompt tokens, output): each repeats all that was before it."""
    made: list[Turn] = []
    known = 0
    for fresh, output in turns:
        after: dict[str, Any] = {"gap_s": gap_s, "after": "tool"} if made else {}
        made.append(Turn(known + fresh, known, output, **after))
        known += fresh + output
    return SessionTrace(name, tuple(made), tool)


def trace(sessions: int = 40) -> Trace:
    """Sessions of one to four turns, no two alike."""
    made = []
    for n in range(sessions):
        turns = [(30 + (n * 37 + k * 11) % 150, 5 + (n * 13 + k * 7) % 40) for k in range(1 + n % 4)]
        made.append(session(f"s{n}", *turns, gap_s=0.1 + (n * 17 % 50) / 10, tool=("search", "python")[n % 2]))
    return Trace("small", tuple(made))


def simulation(policy: str = "lamps", **changes: Any) -> Simulation:
    """40 sessions at four a second: more than the engine can take."""
    given: dict[str, Any] = {"trace": trace(), "load": Load(rate=4.0, seed=3), "profile": profile()}
    return Simulation(policy, **(given | changes))
