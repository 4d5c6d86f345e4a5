"""Made-up runs: what is kept, shown and judged of them, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine_adapter.workload.client import ServerInfo
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import BenchResult, Ended, SessionResult, TurnResult
from engine_adapter.workload.trace import SessionTrace, Trace, Turn
from lamps_cli.measuring.asked import Asked, Point, System, document, load_of
from lamps_cli.measuring.machine import Disturbance
from lamps_cli.measuring.runs_file import Line

TRACE = Trace("made", (SessionTrace("s", (Turn(100, 0, 50), Turn(200, 150, 50, 4.0, "tool"))),))
MACHINE = {"processor": "made", "cores": 2, "system": "Linux"}
CALM = Disturbance(0.0, 0.01, 0.0, 1.0, 1.0)
BUSY = Disturbance(0.0, 0.7, 0.0, 1.0, 1.0)
SESSION = {
    "tool": "math",
    "turns": [
        {"prompt": 30, "shared": 0, "output": 8, "gap": None, "after": None},
        {"prompt": 45, "shared": 38, "output": 4, "gap": 0.02, "after": "tool"},
    ],
}


def write_trace(path: Path, sessions: int = 6) -> Path:
    """A trace file of so many short sessions."""
    path.write_text("".join(json.dumps({"session": f"s{number}", **SESSION}) + "\n" for number in range(sessions)))
    return path


def result(seed: int, slower: float, failed: int = 0, ended: Ended = "finished", rate: float = 2.0) -> BenchResult:
    """Ten sessions whose times without tools are *slower* times what they are with 1."""
    sessions = []
    for number in range(10):
        arrival_s = number / 2
        turns = [TurnResult(100, 50, 0.0, arrival_s, 0.0, 0, arrival_s + 0.2 * slower, arrival_s + 1.5 * slower)]
        due_s = arrival_s + 1.5 * slower + 4.0
        turns.append(TurnResult(200, 50, 4.0, due_s, 0.0, 120, due_s + 0.3 * slower, due_s + slower, 150))
        sessions.append(SessionResult(f"{seed}-{number}", "search", arrival_s, 2, turns))
    for lost in sessions[10 - failed :]:
        del lost.turns[1]
        lost.error = "connection lost"
    server = ServerInfo("random", 2304)
    return BenchResult("made", "http://x", server, Load(rate, 10, seed), "tool", tuple(sessions), ended, 12.0, None)


def asked(*systems: str, points: tuple[Point, ...] = (Point("rate", 2.0),), seeds: int = 3) -> Asked:
    named = tuple(System(name, name, revision="" if name == "stock" else "r1") for name in systems)
    return Asked(named, TRACE, Load(sessions=10, replacement=True), points, tuple(range(seeds)))


def line(
    system: str = "lamps",
    seed: int = 0,
    slower: float = 1.0,
    *,
    code: str = "c1",
    rate: float = 2.0,
    machine: dict[str, Any] | None = None,
    disturbance: Disturbance | None = CALM,
    lost: str = "",
    began: str = "2026-01-01T00:00:00+00:00",
    **of_result: Any,
) -> Line:
    """A run of *system* at *rate* as it stands in a file."""
    about = asked(system)
    point = Point("rate", rate)
    load = load_of(about, point, seed, None)
    made = {"lamps": "0.1.0", "python": "3.11", "machine": machine or MACHINE, "vllm": "0.32.0", "code": code}
    found = None if lost else result(seed, slower, rate=rate, **of_result)
    asked_for = document(about, about.systems[0], point, load)
    return Line(asked_for, made, began, ("bench",), found, disturbance, lost)
