"""Simulations as lines of JSON, so that a comparison spreads over processes: `python -m engine_adapter.virtual`.

A worker reads one job from its standard input and writes lines: {"progress": share} while it runs, at last either
{"measured": {...}} or {"error": sentence}. Sent a SIGINT, it answers with what it has. This module needs no vLLM.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import msgspec

from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.simulate import Measured, SimResult, Simulation, assembled
from engine_adapter.workload.arriving import Arriving, Bursty, Closed, Poisson, Recorded
from engine_adapter.workload.load import Load
from engine_adapter.workload.record import Recording
from engine_adapter.workload.trace import Trace, parsed, written

COMMAND = (sys.executable, "-m", "engine_adapter.virtual")
"""Starts a worker."""
_ARRIVING: dict[str, type[Any]] = {kind.__name__: kind for kind in (Poisson, Bursty, Recorded, Closed)}


class JobError(Exception):
    """A simulation that couldn't begin. The message is the worker's sentence."""


def encode_job(simulation: Simulation) -> bytes:
    """The line a worker reads. The trace goes with it, so that a file that changes meanwhile changes nothing."""
    load = simulation.load
    document = {
        "policy": str(simulation.policy),
        "trace": {"name": simulation.trace.name, "lines": written(simulation.trace.sessions).decode()},
        "load": asdict(load) | {"arriving": {"kind": type(load.arriving).__name__, **asdict(load.arriving)}},
        "profile": simulation.profile.model_dump(mode="json", exclude_none=True),
        "predict": simulation.predict,
        "params": dict(simulation.params),
        "recording": simulation.recording,
    }
    return msgspec.json.encode(document) + b"\n"


def decode_job(line: bytes) -> Simulation:
    """The simulation that *line* asks for."""
    document = msgspec.json.decode(line)
    trace, load = document["trace"], document["load"]
    return Simulation(
        policy=document["policy"],
        trace=Trace(trace["name"], parsed(trace["name"], trace["lines"].encode())),
        load=Load(**(load | {"arriving": _arriving(load["arriving"])})),
        profile=Profile.model_validate(document["profile"]),
        predict=document["predict"],
        params=document["params"],
        recording=msgspec.convert(document["recording"], Recording | None),
    )


def encode_progress(share: float) -> bytes:
    return msgspec.json.encode({"progress": share}) + b"\n"


def encode_error(sentence: str) -> bytes:
    return msgspec.json.encode({"error": sentence}) + b"\n"


def encode_measured(measured: Measured) -> bytes:
    return msgspec.json.encode({"measured": measured}) + b"\n"


def decode_line(simulation: Simulation, line: bytes) -> float | SimResult:
    """What a worker says about *simulation*: its progress, or its result. Raises JobError for an error."""
    said = msgspec.json.decode(line, type=_Line)
    if said.error is not None:
        raise JobError(said.error)
    return said.progress if said.measured is None else assembled(simulation, said.measured)


class _Line(msgspec.Struct):
    progress: float = 0.0
    measured: Measured | None = None
    error: str | None = None


def _arriving(document: dict[str, Any]) -> Arriving:
    kind = _ARRIVING[document["kind"]]
    arriving: Arriving = kind(**{name: value for name, value in document.items() if name != "kind"})
    return arriving
