"""What requests, sessions and tenants have had: waits, running time, seats, charges.

A session is *seated* while one of its turns runs or KV of its own is held for it. KV that is merely still there,
because nobody has taken its blocks yet, doesn't count: nobody could tell whose it is, and the next step may take it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine_adapter.runtime.engine import Running
from engine_adapter.runtime.moments import NOTHING, Moments
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.tenants import Tenants
from engine_adapter.runtime.turn import Turn

# Waits are averaged by their mean alone; their logarithm needs a floor all the same.
_LEAST_S = 1e-3


class Service:
    """*is_held*: whether KV is held for the session of this key."""

    def __init__(self, is_held: Callable[[str], bool]) -> None:
        self._is_held = is_held
        self._tenants = Tenants()
        self._waits: Moments = NOTHING
        self.seats_changed = 0
        """How often a session has taken or lost its seat."""

    @property
    def queue_time_s(self) -> float:
        """How long the last turns waited to be admitted, on average: what a new one may expect."""
        return self._waits.mean

    def arrives(self, turn: Turn) -> None:
        """A turn begins."""
        turn.account = self._tenants.account(turn.session.tenant)

    def waits(self, turn: Turn, now: float, step: int) -> None:
        """It waits, for the first time or again."""
        turn.waiting_since, turn.waiting_since_step = now, step
        self._tenants.waits(turn.session.tenant, turn.account)

    def waits_no_more(self, turn: Turn, now: float, step: int) -> None:
        """It was taken out of the queue."""
        turn.waited_s, turn.waited_steps = turn.waited(now), turn.steps_waited(step)
        turn.waiting_since = None
        turn.account.waits_no_more()

    def begins(self, turn: Turn, now: float) -> None:
        """It runs. Its tenant is charged for its prompt, once."""
        turn.running_since = now
        turn.planned_tokens = None
        turn.session.running += 1
        turn.account.runs(now)
        if not turn.preemptions:
            turn.account.charged_prompt += turn.prompt_tokens
            self._waits = self._waits.seen(turn.waited_s, _LEAST_S)
        self.seat(turn.session, now)

    def stops(self, turn: Turn, now: float) -> None:
        """It runs no more: finished, aborted or preempted. What it generated is known by now."""
        if turn.running_since is None:
            return
        served_s = now - turn.running_since
        turn.service_s += served_s
        turn.session.service_s += served_s
        turn.running_since = None
        turn.session.running -= 1
        turn.account.runs_no_more(now)
        self.charge_output(turn)

    def ended(self, turn: Turn, now: float) -> None:
        """It is over. vLLM may end one that waits: preempted, and stopped by output that was in flight."""
        if turn.waiting_since is not None:
            turn.waiting_since = None
            turn.account.waits_no_more()
        self._tenants.ended(turn.session.tenant, turn.account)
        self.seat(turn.session, now)

    def seat(self, session: Session, now: float) -> None:
        """See whether the session has its seat still, or has one now."""
        seated = session.running > 0 or self._is_held(session.key)
        if seated is (session.seated_since is not None):
            return
        session.seated_since = now if seated else None
        self.seats_changed += 1

    def charge_output(self, turn: Turn) -> None:
        """Charge the turn's tenant for what it has generated since it was charged last."""
        turn.account.charged_output += max(turn.generated_tokens - turn.charged_tokens, 0)
        turn.charged_tokens = max(turn.generated_tokens, turn.charged_tokens)


def queue_before(turns: Iterable[Turn]) -> None:
    """Count for each of *turns*, which wait, the prompts of its tenant that wait in front of it, by arrival."""
    so_far: dict[str, int] = {}
    for turn in sorted(turns, key=lambda turn: turn.arrival):
        tenant = turn.session.tenant
        turn.queued_before_tokens = so_far.get(tenant, 0)
        if not turn.preemptions:  # else it is charged for already
            so_far[tenant] = turn.queued_before_tokens + turn.prompt_tokens


def generated(running: Iterable[Running], turns: dict[str, Turn], service: Service) -> None:
    """Charge the tenants of *running* for the tokens they have generated so far."""
    for request in running:
        turn = turns.get(request.id)
        if turn is not None:
            turn.progress(request.context_tokens)
            service.charge_output(turn)
