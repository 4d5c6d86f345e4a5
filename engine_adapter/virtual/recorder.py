"""Writes down what a virtual engine decides: asked for by `Simulation.recording`, absent otherwise.

It hears of each step from the engine and of each paused session from the runtime, and looks at nothing else, so that a
recorded run is the same run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine_adapter.runtime.held import Holding
from engine_adapter.runtime.ledger import Pin
from engine_adapter.runtime.paused import Paused
from engine_adapter.runtime.state import state
from engine_adapter.workload.record import Decision, Record, Recording, Step, What
from policy_dsl.types import Handling

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput

    from engine_adapter.virtual.engine import VirtualEngine


class MomentReached(Exception):
    """The state that was wanted has been saved: the run needs no end."""


class Recorder:
    """The record of *engine*, from now on."""

    def __init__(self, engine: VirtualEngine, wanted: Recording) -> None:
        self._engine = engine
        self._wanted = wanted
        self._decisions: list[Decision] = []
        self._decided = 0
        self._steps: list[Step] = []
        self._cut_s: float | None = None
        self._turns: dict[str, str] = {}  # the last turn of each session that has a pin
        self._state, self._state_at = "", -1.0
        engine.recorder = self
        if engine.lamps is not None:
            engine.lamps.calls.keeping.witness = self
            if wanted.moment is not None:
                self._watch_ranking()

    def record(self) -> Record:
        """What has been written down so far."""
        return Record(
            tuple(self._decisions), self._decided - len(self._decisions), tuple(self._steps), self._cut_s, self._state
        )

    # --- what it hears ---------------------------------------------------------------------------

    def scheduled(self, output: SchedulerOutput, begin_s: float, end_s: float) -> None:
        """A step was scheduled, and computes from *begin_s* to *end_s*."""
        for name in sorted(output.preempted_req_ids or ()):
            self._note("preempt", name)
        old = output.scheduled_cached_reqs
        for name in old.req_ids:
            if name in old.resumed_req_ids:
                done = self._engine.scheduler.requests[name].num_computed_tokens - output.num_scheduled_tokens[name]
                self._note("resume", name, done)
        for new in output.scheduled_new_reqs:
            self._note("start", new.req_id, new.num_computed_tokens)
        if len(self._steps) < self._wanted.steps:
            counts = list(output.num_scheduled_tokens.values())
            decoding = counts.count(1)
            self._steps.append(Step(begin_s, end_s, output.total_num_scheduled_tokens - decoding, decoding))
        elif self._cut_s is None and self._wanted.steps:
            self._cut_s = begin_s

    def handled(self, paused: Paused) -> None:
        """The KV of a paused session was preserved, swapped or discarded."""
        call, turn = paused.turn.call, paused.turn
        assert call is not None  # it has been decided on
        if paused.handling is not Handling.DISCARD:
            self._turns[turn.session.key] = turn.id
        self._note(_HANDLED[paused.handling.word], turn.id, call.context_tokens, call.tool)

    def unpinned(self, pin: Pin, why: str) -> None:
        """A pin is gone; what only waits for the API's word isn't one yet."""
        turn = self._turns.pop(pin.session, "")
        if pin.reason != "provisional" and turn:
            self._note("unpin", turn, pin.tokens, why)

    # --- inside ----------------------------------------------------------------------------------

    def _note(self, what: What, request: str, tokens: int = 0, why: str = "") -> None:
        number, self._decided = self._decided, self._decided + 1
        if number < self._wanted.decisions:
            now, steps = self._engine.clock(), self._engine.steps
            self._decisions.append(Decision(now, steps, what, request, tokens, why))
        moment = self._wanted.moment
        if moment is not None and number == moment.decision:
            if what in _HANDLED or not self._state:
                self._save()
            raise MomentReached

    def _watch_ranking(self) -> None:
        """Save the state when the wanted step first looks at its queue: later in it, requests have left the queue."""
        lamps, moment = self._engine.lamps, self._wanted.moment
        assert lamps is not None and moment is not None
        first: Callable[[int], list[str]] = lamps.first

        def saved_first(count: int) -> list[str]:
            if self._engine.steps == moment.step - 1 and self._engine.clock() > self._state_at:
                self._save()
            return first(count)

        setattr(lamps, "first", saved_first)  # noqa: B010  mypy: a method

    def _save(self) -> None:
        lamps = self._engine.lamps
        if lamps is None:
            return
        running = [request.request_id for request in self._engine.scheduler.running]
        document: dict[str, Any] = state(lamps, running, Holding())
        self._state, self._state_at = json.dumps(document), self._engine.clock()


_HANDLED: dict[str, What] = {"preserve": "preserve", "swap": "swap", "discard": "discard"}
