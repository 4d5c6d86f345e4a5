"""The sessions in a record of steps: `lamps serve --record-steps` has the tokens of all prompts and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine_adapter.control import step_record as record
from engine_adapter.control.step_file import Record
from engine_adapter.runtime.past import KEPT_TOKENS, USER
from engine_adapter.training.grown import Finished, Grown
from engine_adapter.workload.trace import SessionTrace

_CUT_OFF = ("FINISHED_ABORTED", "FINISHED_ERROR")


@dataclass(slots=True)
class _Request:
    arrival: float
    prompt: int
    tokens: tuple[int, ...]
    session: str
    tool: str
    output: int = 0
    ended: float | None = None


def sessions_of_steps(path: Path) -> tuple[tuple[SessionTrace, ...], dict[tuple[str, int], tuple[int, ...]]]:
    """The sessions, and the last tokens of their prompts by session and turn. Raises RecordError.

    A turn that was cut off is left out; one of which nobody said how it ended has ended without a call.
    """
    found = _Requests()
    with Record(path) as source:
        for event in source:
            found.take(event)
    grown = Grown()
    for request in found.finished():
        grown.add(
            request.session,
            Finished(
                request.arrival, request.ended or 0.0, request.prompt, request.output, request.tool, request.tokens
            ),
        )
    return grown.sessions(), grown.tokens()


class _Requests:
    """The requests of a record, from event to event."""

    def __init__(self) -> None:
        self._now = 0.0
        self._requests: dict[str, _Request] = {}
        self._labels: dict[str, str] = {}  # request by the name that the API server has for its turn

    def take(self, event: record.Event) -> None:
        if event.clock:
            self._now = event.clock[-1]
        match event.call:
            case record.Add() as add:
                self._added(add)
            case record.Update(_, ids, sampled):
                for name, tokens in zip(ids, sampled, strict=True):
                    if name in self._requests:
                        self._requests[name].output += len(tokens)
            case record.Command("verdict", payload):
                self._judged(json.loads(payload))
            case _:
                pass
        for decision in event.did.decisions:
            if decision.request in self._requests and decision.session:
                self._requests[decision.request].session = decision.session
        for name, how in event.did.finished:
            if name in self._requests and how not in _CUT_OFF:
                self._requests[name].ended = self._now

    def finished(self) -> list[_Request]:
        """Those that were answered, in the order of their arrival."""
        return [request for request in self._requests.values() if request.ended is not None]

    def _added(self, add: record.Add) -> None:
        told = json.loads(add.told)
        session = add.session or told.get("session_id") or f"request {add.id}"
        tool = str(told.get("lamps_call_tool") or USER)
        tokens = tuple(add.prompt[-KEPT_TOKENS:])
        self._requests[add.id] = _Request(self._now, len(add.prompt), tokens, session, tool)
        if label := told.get("lamps_turn"):
            self._labels[label] = add.id

    def _judged(self, verdict: dict[str, object]) -> None:
        request = self._requests.get(self._labels.get(str(verdict.get("turn")), ""))
        if request is not None:
            tools = verdict.get("tools")
            called = verdict.get("outcome") == "call" and isinstance(tools, list) and tools
            request.tool = str(tools[0]) if called and isinstance(tools, list) else USER
