"""What happens when an allocation fails: pins yield, or the policy names who is preempted."""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from engine_adapter.runtime.core import Runtime
from engine_adapter.vllm import internals
from engine_adapter.vllm.victims import VictimMark


class Room:
    """The memory of one scheduler, where it is short. *lamps* decides who gives way."""

    def __init__(self, scheduler: Scheduler, lamps: Runtime) -> None:
        self._scheduler, self._lamps = scheduler, lamps
        self._victim = VictimMark(scheduler)
        self._allocation = internals.Allocation(scheduler, self._make)
        self._short_at = 0  # the last step in which memory was short

    @property
    def was_short(self) -> bool:
        """Whether an allocation failed in the last step, that was seen."""
        return self._short_at == self._lamps.step

    @property
    def watches(self) -> bool:
        """Whether a failing allocation is seen."""
        return self._allocation.watched

    def new_step(self) -> None:
        """vLLM is about to schedule. Only pins can make room, and none comes to be meanwhile; and one may be victim."""
        self._allocation.watch(bool(self._lamps.calls.ledger) or self._lamps.victims.needed)

    def preempts(self) -> None:
        """vLLM preempts a request: memory was short, and the victim that was named is taken."""
        self._short_at = self._lamps.step
        self._victim.clear()

    def _make(self, request: Request, new_tokens: int, computed: Any) -> bool:
        """Whether memory could be made for *request*, whose allocation failed; where not, that is remembered."""
        made = self._pins_yield(request, new_tokens, computed)
        if not made:
            self._short_at = self._lamps.step
            if request.status is RequestStatus.RUNNING:
                self._victim.choose(self._lamps.victim)
        return made

    def _pins_yield(self, request: Request, new_tokens: int, computed: Any) -> bool:
        """Let pins yield to *request*, whose allocation failed; False when none may or none helps.

        A pin yields before a running request would be preempted, when nothing runs, and to a
        promoted request; to one that merely waits it doesn't (pins that yield to everyone are worth
        nothing past saturation).
        """
        calls = self._lamps.calls
        why = self._reason_to_yield(request) if calls.ledger else None
        if why is None:
            return False
        own = self._lamps.turns[request.request_id].session.key
        pins = [pin for pin in calls.yield_order(spare=own) if pin.session != own]
        freeable = [internals.frees_on_release(pin.blocks) for pin in pins]
        missing = max(internals.missing_blocks(self._scheduler, request, new_tokens, computed), 1)
        if sum(freeable) < missing and why == "yielded_promoted":
            return False  # it starts as soon as it fits; nothing is spent before
        yielded = False
        for pin, frees in zip(pins, freeable, strict=True):
            if missing <= 0:
                break
            if frees:
                missing -= calls.shrink(pin, missing, internals.frees_on_release, why)
                yielded = True
        return yielded

    def _reason_to_yield(self, request: Request) -> str | None:
        if request.status is RequestStatus.RUNNING:
            return "yielded_running"
        if not self._scheduler.running:
            return "yielded_idle"
        if self._lamps.is_promoted(request.request_id):
            return "yielded_promoted"
        return None
