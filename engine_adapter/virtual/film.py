"""Status frames of virtual time, as a recording that `lamps top` plays: of a simulation, every so many seconds.

`python -m engine_adapter.virtual.film FILE` makes the recording that `lamps top --demo` shows (make demo).
"""

from __future__ import annotations

import heapq
import json
import lzma
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine_adapter.virtual.driver import Driver
from engine_adapter.virtual.engine import VirtualEngine
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.arriving import Bursty
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import load_trace

EVERY_S = 1.0
LENGTH_S = 190.0
# A head start, so that the curves aren't empty and the predictors have learned something.
FROM_S = 40.0
# Name, policy, rows listed.
ENGINES = ((":8000", "lamps", 30), (":8001", "sjf", 5), (":8002", "fcfs", 5))
# Near what the engines can serve, in bursts.
RATE, BURSTS, GAPS = 6.6, 3.0, 0.5


class _Over(Exception):
    """The film is long enough."""


def frames(simulation: Simulation, every_s: float, until_s: float, rows: int) -> Iterator[tuple[float, bytes]]:
    """Instants of virtual time and the frames taken then, JSON. *rows*: of a kind."""
    taken: list[tuple[float, bytes]] = []
    payload = json.dumps({"rows": rows})
    due_s = 0.0

    def look(engine: VirtualEngine) -> None:
        nonlocal due_s
        now = engine.clock()
        if now >= due_s:
            taken.append((now, engine.scheduler.lamps_command("status", payload).encode()))
            due_s = now - now % every_s + every_s
        if now > until_s:
            raise _Over

    with suppress(_Over):
        Driver(simulation, look).drain()
    yield from taken


def demo(path: Path) -> None:
    """Three engines under the same load and three policies: agents with all six kinds of tools, in bursts."""
    trace, profile = load_trace("augmented-multi"), load_profile("gptj-6b-a100")
    sessions = int(RATE * LENGTH_S)
    load = Load(RATE, sessions, seed=1, replacement=True, gap_scale=GAPS, arriving=Bursty(BURSTS))
    film = []
    for name, policy, rows in ENGINES:
        simulation = Simulation(policy, trace, load, profile)
        taken = (moment for moment in frames(simulation, EVERY_S, LENGTH_S, rows) if moment[0] >= FROM_S)
        film.append([(at, name, frame) for at, frame in lighter(taken)])
    head = {"lamps_recording": 1, "what": "demo: virtual time, three policies under one load"}
    with lzma.open(path, "wb", preset=9) as file:
        file.write(msgspec.json.encode(head) + b"\n")
        for at, name, frame in heapq.merge(*film, key=lambda moment: moment[0]):
            status = {"version": 1, "engines": [frame]}
            file.write(msgspec.json.encode({"at": round(at - FROM_S, 3), "server": name, "status": status}) + b"\n")


def lighter(film: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Frames with decisions that the one before didn't tell, and numbers of four digits."""
    told = 0
    for at, frame in film:
        document = msgspec.json.decode(frame)
        new = [decision for decision in document["decisions"] if decision["number"] > told]
        told = max((decision["number"] for decision in new), default=told)
        document["policy"]["path"] = f"{document['policy']['name']}.lamps"  # not where it lies on this machine
        yield at, _rounded({**document, "decisions": new})


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.4g}") if abs(value) < 1e5 else round(value, 1)
        case dict():
            return {key: _rounded(inner) for key, inner in value.items()}
        case list():
            return [_rounded(inner) for inner in value]
        case _:
            return value


if __name__ == "__main__":
    demo(Path(sys.argv[1]))
