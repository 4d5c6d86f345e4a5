"""Simulations as lines of JSON, so that a comparison spreads over processes: `python -m engine_adapter.virtual`.

A worker reads jobs from its standard input, a line each, and writes lines: {"progress": share} while one runs, at its
end {"measured": {...}}, {"sessions_per_s": rate} or {"error": sentence}. Sent a SIGINT, it answers with what it has and
ends. This module needs no vLLM.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
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
    """A job that couldn't be done. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Search:
    """The job to find the saturation of an engine; see saturation.py."""

    trace: Trace
    profile: Profile


@dataclass(frozen=True, slots=True)
class Saturation:
    """What a search found."""

    sessions_per_s: float


Job = Simulation | Search
Answer = SimResult | Saturation


def encode_job(job: Job) -> bytes:
    """The line a worker reads. The trace goes with it, so that a file that changes meanwhile changes nothing."""
    document: dict[str, Any] = {
        "trace": {"name": job.trace.name, "lines": written(job.trace.sessions).decode()},
        "profile": job.profile.model_dump(mode="json", exclude_none=True),
    }
    if isinstance(job, Simulation):
        document |= _simulation(job)
    return msgspec.json.encode(document) + b"\n"


def _simulation(simulation: Simulation) -> dict[str, Any]:
    load = simulation.load
    return {
        "policy": str(simulation.policy),
        "load": asdict(load) | {"arriving": {"kind": type(load.arriving).__name__, **asdict(load.arriving)}},
        "predict": simulation.predict,
        "params": dict(simulation.params),
        "recording": simulation.recording,
    }


def decode_job(line: bytes) -> Job:
    """What *line* asks for."""
    document = msgspec.json.decode(line)
    name, lines = document["trace"]["name"], document["trace"]["lines"]
    trace, profile = Trace(name, parsed(name, lines.encode())), Profile.model_validate(document["profile"])
    if "policy" not in document:
        return Search(trace, profile)
    load = document["load"]
    return Simulation(
        policy=document["policy"],
        trace=trace,
        load=Load(**(load | {"arriving": _arriving(load["arriving"])})),
        profile=profile,
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


def encode_saturation(sessions_per_s: float) -> bytes:
    return msgspec.json.encode({"sessions_per_s": sessions_per_s}) + b"\n"


def decode_line(job: Job, line: bytes) -> float | Answer:
    """What a worker says about *job*: its progress, or its answer. Raises JobError for an error."""
    said = msgspec.json.decode(line, type=_Line)
    if said.error is not None:
        raise JobError(said.error)
    if said.sessions_per_s is not None:
        return Saturation(said.sessions_per_s)
    if said.measured is None:
        return said.progress
    assert isinstance(job, Simulation)
    return assembled(job, said.measured)


class _Line(msgspec.Struct):
    progress: float = 0.0
    measured: Measured | None = None
    sessions_per_s: float | None = None
    error: str | None = None


def _arriving(document: dict[str, Any]) -> Arriving:
    kind = _ARRIVING[document["kind"]]
    arriving: Arriving = kind(**{name: value for name, value in document.items() if name != "kind"})
    return arriving
