"""The sessions that a decision log tells of: `lamps serve --decisions` logs how each turn ended."""

from __future__ import annotations

from pathlib import Path

from engine_adapter.control.decision_log import Reading
from engine_adapter.control.frames import Decision
from engine_adapter.training.grown import Finished, Grown
from engine_adapter.workload.trace import SessionTrace

KIND = "turn"
_NUMBERS = ("request.arrival", "request.prompt", "request.generated")


def sessions_of_decisions(path: Path) -> tuple[tuple[SessionTrace, ...], int]:
    """The sessions in the log at *path* and its older files, and how many lines had to be left out."""
    grown, reading, broken = Grown(), Reading(path), 0
    for decision in reading:
        if decision.kind != KIND:
            continue
        turn = _finished(decision)
        if turn is None:
            broken += 1
        else:
            grown.add((decision.engine, decision.session), turn)
    return grown.sessions(), reading.cut + broken


def _finished(decision: Decision) -> Finished | None:
    numbers = [decision.values.get(name) for name in _NUMBERS]
    if not all(isinstance(number, int | float) for number in numbers):
        return None
    arrival, prompt, output = (float(number) for number in numbers if number is not None)
    return Finished(arrival, decision.at, int(prompt), int(output), decision.note)
