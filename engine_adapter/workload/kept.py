"""A run as plain values, every turn of it, and the run again from them: for files that outlive the process.

Turns and sessions are lists under a list of their fields' names, a fifth of the size of objects with names; times are
kept to the microsecond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from engine_adapter.workload.arriving import Arriving, Bursty, Closed, Poisson, Recorded
from engine_adapter.workload.client import ServerInfo
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import BenchResult, SessionResult, TurnResult

_ARRIVALS: dict[str, type[Poisson | Bursty | Recorded | Closed]] = {
    "poisson": Poisson, "bursty": Bursty, "recorded": Recorded, "closed": Closed,
}  # fmt: skip
_TURN = [field.name for field in fields(TurnResult)]
_SESSION = [field.name for field in fields(SessionResult) if field.name != "turns"]


class NotKept(ValueError):
    """Values that aren't those of a run."""


def kept(result: BenchResult) -> dict[str, Any]:
    """The run as values that JSON can hold; all of them finite."""
    return {
        "trace": result.trace,
        "url": result.url,
        "model": result.server.model,
        "max_model_len": result.server.max_model_len,
        "load": load_document(result.load),
        "hints": result.hints,
        "prompts": result.prompts,
        "ended": result.ended,
        "duration_s": round(result.duration_s, 6),
        "counters": result.counters,
        "session_fields": _SESSION,
        "turn_fields": _TURN,
        "sessions": [
            [*_values(session, _SESSION), [_values(turn, _TURN) for turn in session.turns]]
            for session in result.sessions
        ],
    }


def restored(values: Mapping[str, Any]) -> BenchResult:
    """The run that *kept* made them from. Raises NotKept."""
    try:
        sessions = tuple(_session(values, row) for row in values["sessions"])
        return BenchResult(
            trace=values["trace"],
            url=values["url"],
            server=ServerInfo(values["model"], values["max_model_len"]),
            load=load_from(values["load"]),
            hints=values["hints"],
            sessions=sessions,
            ended=values["ended"],
            duration_s=values["duration_s"],
            counters=values["counters"],
            prompts=values["prompts"],
        )
    except (LookupError, TypeError, ValueError) as problem:
        raise NotKept(f"not a run: {problem!r}") from None


def load_document(load: Load) -> dict[str, Any]:
    """A load as plain values; JSON has no number for a rate without bound, so it is the word "inf"."""
    values = asdict(load) | {"arriving": {"kind": type(load.arriving).__name__.lower(), **asdict(load.arriving)}}
    return {name: "inf" if value == math.inf else value for name, value in values.items()}


def load_from(values: Mapping[str, Any]) -> Load:
    """The load that *load_document* made them from. TypeError or LookupError for others."""
    rest: dict[str, Any] = {name: math.inf if value == "inf" else value for name, value in values.items()}
    arriving = dict(rest.pop("arriving"))
    made: Arriving = _ARRIVALS[arriving.pop("kind")](**arriving)
    return Load(arriving=made, **rest)


def _session(values: Mapping[str, Any], row: Sequence[Any]) -> SessionResult:
    *own, turns = row
    session = SessionResult(**dict(zip(values["session_fields"], own, strict=True)))
    session.turns = [TurnResult(**dict(zip(values["turn_fields"], turn, strict=True))) for turn in turns]
    return session


def _values(one: SessionResult | TurnResult, names: Sequence[str]) -> list[Any]:
    found = (getattr(one, name) for name in names)
    return [round(value, 6) if isinstance(value, float) else value for value in found]
