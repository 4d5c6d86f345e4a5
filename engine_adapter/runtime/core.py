"""The decisions of one engine: requests come in, are ranked, run, pause in a call, and come back.

`Runtime` composes the request table, the sessions, the predictor, the cost model and the paused
calls with one compiled policy. It knows no engine: the binding tells it what happens, and asks it
what to do. Nothing here reads a clock but `Engine.clock`. No decision raises: a rule that fails
costs that decision only, is counted, and the built-in answer stands (arrival order, discard).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from engine_adapter.runtime.admission import Admission
from engine_adapter.runtime.asking import Asking
from engine_adapter.runtime.calls import Calls
from engine_adapter.runtime.classes import Classes
from engine_adapter.runtime.costs import CostModel, StepSample
from engine_adapter.runtime.deciding import Deciding
from engine_adapter.runtime.engine import Engine, Running
from engine_adapter.runtime.expecting import Expecting
from engine_adapter.runtime.foretelling import Foretelling
from engine_adapter.runtime.guard import Guard
from engine_adapter.runtime.hints import parse
from engine_adapter.runtime.in_force import InForce
from engine_adapter.runtime.keeping import Hold, nothing
from engine_adapter.runtime.later import Later
from engine_adapter.runtime.overtaking import OrderKept
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.present import Present, Signals
from engine_adapter.runtime.recording import Recording
from engine_adapter.runtime.requests import Arrival, Ended
from engine_adapter.runtime.rows import reads
from engine_adapter.runtime.service import Service
from engine_adapter.runtime.sessions import Sessions
from engine_adapter.runtime.shadow import Shadow
from engine_adapter.runtime.store import Store
from engine_adapter.runtime.table import Place, WaitingTable
from engine_adapter.runtime.turn import Turn
from engine_adapter.runtime.victims import Victims
from engine_adapter.runtime.waiting import Waiting
from engine_adapter.runtime.watch import Watch
from policy_dsl.compiled import CompiledPolicy


class Runtime:
    """One engine's decisions under one policy. Not thread-safe: all calls come from the scheduler's thread."""

    def __init__(
        self,
        policy: CompiledPolicy,
        engine: Engine,
        predictor: Predictor,
        costs: CostModel,
        store: Store | None = None,
    ) -> None:
        self.engine = engine
        self.costs = costs
        self._store = store
        self.profile = ""  # a sentence about the profile that step costs began with
        self.counters: Counter[str] = Counter()
        self.watch = Watch()
        self.later = Later()
        self.expecting = Expecting(predictor, self.watch, self.later)
        self.recording = Recording(engine.facts.hash_block_size)
        self.sessions = Sessions(engine.facts.hash_block_size)
        self.turns: dict[str, Turn] = {}
        self._pinned_turns: dict[str, Turn] = {}  # follow-ups that wait with a pin, by session
        self.guard = Guard(engine.in_real_time)
        self.deciding = Deciding(
            policy, engine, self.engine_now, lambda: self.step, self.counters, self.watch, self.guard
        )
        self.calls = Calls(engine, self.expecting.begin_call, self.deciding, self._pin_changed, self.counters)
        self.step = 0
        self._service = Service(self.calls.ledger.__contains__)
        self._present = Present(engine, costs, self.calls, self._service, self.turns)
        self._watch_at = -math.inf
        self._last_arrival = -math.inf
        self._govern(policy)
        self.shadow: Shadow | None = None
        self.in_force = InForce(policy, self.adopt, self.calls.clear, self.guard, self.counters, engine.clock)

    def _govern(self, policy: CompiledPolicy, waiting: Sequence[Turn] = ()) -> None:
        """What follows from the policy. Raises what reading the rows of those that wait does, before any change."""
        asking = Asking(policy, self.deciding, self.engine, self.turns, self.calls, self.engine_now)
        self.waiting = Waiting(asking, self._service, self.costs, waiting)
        self.policy = policy
        self._classes = Classes(policy, self.deciding.fault)
        self._order = OrderKept(policy, self.guard)
        self.admission, self.victims = Admission(asking), Victims(asking)
        self._present.govern(policy, self.waiting, self.admission)
        self.guard.begin(policy.budget)

    def adopt(self, policy: CompiledPolicy) -> None:
        """*policy* decides from the next step on; between two steps. Sessions, pins, predictions and promotions stay.

        Raises what reading the waiting rows does; then nothing has changed.
        """
        self.later.do()
        now = self.engine.clock()
        waiting = self.waiting.turns()
        had_cached = self.waiting.reads_cached
        present = [*self.turns.values(), *(paused.turn for paused in self.calls.paused.values())]
        Classes(policy, self.deciding.fault).adopt(present, now)
        try:
            self._govern(policy, waiting)
        except Exception:
            self._classes.adopt(present, now)
            raise
        self.deciding.adopt(policy, self.turns.values())
        if reads(policy, "call.decided"):  # which was the policy's before, or nothing
            for turn in waiting:
                self.waiting.reread(turn)
        self.calls.adopt(now)
        if self.waiting.reads_cached and not had_cached:
            self.waiting.look_up()

    @property
    def table(self) -> WaitingTable:
        """The rows of those that wait."""
        return self.waiting.table

    # --- requests ------------------------------------------------------------------------------

    def arrive(self, arrival: Arrival) -> Turn:
        """A request has reached the engine: find its session, learn from its return, predict."""
        self.later.do()
        now = self.engine.clock()
        hints, problems = parse(arrival.extra_args)
        self.counters["hints.broken"] += bool(problems)
        session = self.sessions.find(
            arrival.session_id or hints.session_id, hints.tenant, arrival.hashes, now, arrival.tokens
        )
        prompt_tokens = len(arrival.tokens)
        back = self.calls.returned(session.key, now)
        call, pinned_tokens = back.call, min(back.pinned_tokens, prompt_tokens)
        self.sessions.begin_turn(session, now)
        self.expecting.begin_turn(session, prompt_tokens, call, now)
        turn = Turn(
            id=arrival.id,
            session=session,
            hints=hints,
            foresee=partial(self.expecting.forecast, session, hints, arrival.max_tokens),
            arrival=self._arrival_instant(now),
            prompt_tokens=prompt_tokens,
            block_size=self.engine.facts.block_size,
            may_call=hints.may_call,
            label=hints.turn,
            priority=arrival.priority,
            context_tokens=prompt_tokens,
            cached_tokens=max(arrival.cached_tokens, pinned_tokens, min(back.copied_tokens, prompt_tokens)),
            pinned_tokens=pinned_tokens,
        )
        self._service.arrives(turn)
        self._classes.assign(turn, now)
        self.waiting.foresee(turn)
        self.turns[arrival.id] = turn
        if pinned_tokens or back.copied_tokens:
            self._pinned_turns[session.key] = turn
        if (foretelling := self.expecting.foretelling) is not None:
            foretelling.arrived(turn, arrival.tokens, self.expecting.predictor.output_tokens(session))
            self._take_up_forecasts(foretelling)
        self.deciding.foresee(turn)
        self.recording.arrived(turn, "" if call is None else call.tool, arrival.hashes, now)
        self.sessions.remember_prompt(session, arrival.hashes, arrival.tokens)
        return turn

    def _arrival_instant(self, now: float) -> float:
        """*now*, or just after the last arrival: ties in rank go by arrival, so no two are the same."""
        self._last_arrival = max(now, math.nextafter(self._last_arrival, math.inf))
        return self._last_arrival

    def enqueue(self, request_id: str) -> None:
        """The request waits (again)."""
        self.waiting.enter(self.turns[request_id])

    def dequeue(self, request_id: str) -> None:
        """The request waits no longer (admitted, skipped for now, or gone)."""
        promoted = self.waiting.leave(request_id)
        self.admission.forget(request_id)
        turn = self.turns.get(request_id)
        if turn is None:
            return  # vLLM may free a request first: preempted, and stopped by output that was in flight
        if promoted:
            turn.promoted = True
            self.victims.spare(turn)
        self._service.waits_no_more(turn, self.engine.clock(), self.step)

    def first(self, count: int) -> list[str]:
        """The *count* waiting requests that go next, in order. A failing rule: arrival order, counted."""
        return self.waiting.first(count)

    def order_as_of(self) -> object:
        """Another whenever the order may have changed by more than time and the engine's doing."""
        return self.waiting.as_of

    def first_open(self, count: int) -> list[str]:
        """The *count* that go next of those to be asked about: whom the gate would let in now, and who is promoted; of
        them whom the limits leave a place."""
        return self.waiting.first(count, self.admission.lets_in)

    def admitted(self, cached_tokens: Mapping[str, int]) -> None:
        """These requests started to run, with so many tokens found in the prefix cache."""
        now = self.engine.clock()
        for request_id, cached in cached_tokens.items():
            turn = self.turns[request_id]
            self._service.begins(turn, now)
            self._order.started(turn)
            self.counters["promotions"] += turn.promoted
            self.later.put(partial(self.watch.admitted, turn, now, cached))
            self.calls.admitted(turn, cached)
            self._service.seat(turn.session, now)

    def preempted(self, request_id: str, context_tokens: int) -> None:
        """A running request lost its KV and waits again."""
        self.later.do()
        turn = self.turns[request_id]
        turn.preemptions += 1
        turn.generated_tokens = context_tokens - turn.prompt_tokens
        turn.context_tokens = context_tokens
        turn.cached_tokens = 0
        turn.forecast = Predictor.remaining(turn.forecast, turn.generated_tokens)
        self._service.stops(turn, self.engine.clock())
        self._service.seat(turn.session, self.engine.clock())
        self.victims.spare(turn)
        self.counters["preemptions"] += 1
        self.watch.preempted(turn, self.engine.clock())

    def ended(self, ended: Ended, hold: Hold) -> None:
        """A request has finished or was aborted; *hold* keeps its blocks when the policy wants them."""
        turn = self.turns.pop(ended.id, None)
        if turn is None:
            return
        now = self.engine.clock()
        turn.context_tokens = ended.context_tokens
        turn.generated_tokens = ended.output_tokens
        turn.session.waited_s += turn.waited_s
        self.victims.forget(turn)
        self._service.stops(turn, now)
        self._present.forget()  # what this turn's call is judged by doesn't count the turn itself
        if self.shadow is not None or self.calls.at_once(turn):
            self._pause(turn, ended, hold, now)
        else:
            self.later.put(partial(self._pause, turn, ended, nothing, now))
        self._service.ended(turn, now)
        self.counters["turns"] += 1

    def _pause(self, turn: Turn, ended: Ended, hold: Hold, now: float) -> None:
        """The session has no turn any more, at the instant *now*, and pauses or is gone."""
        self.watch.ended(turn, now, ended.aborted)
        self.recording.ended(turn, ended.hashes, ended.aborted, now)
        self.sessions.end_turn(turn.session, ended.hashes, now)
        announced = (turn.hints.call_tool or "",) if turn.hints.announces_call else None
        outcome = self.calls.ended(turn, announced, ended.aborted, hold, now)
        if not ended.aborted and outcome != "open":
            self.expecting.ended(turn, outcome)

    def verdict(self, label: str, outcome: str, tools: tuple[str, ...]) -> None:
        """The API side says how a turn ended: "call" of *tools*, "end", or "gone"."""
        self.later.do()
        self.counters[f"verdicts.{outcome}"] += 1
        self._present.forget()  # an idle engine has taken none since the turn ended
        turn = self.calls.verdict(label, outcome, tools)
        if turn is not None:
            self._service.seat(turn.session, self.engine.clock())
        if turn is not None and outcome != "gone":
            self.expecting.ended(turn, outcome)

    def is_promoted(self, request_id: str) -> bool:
        """Whether a waiting request goes before all that aren't promoted."""
        return self.table.is_promoted(request_id)

    def may_start(self, request_id: str) -> bool:
        """Whether the request that is next in order may start now (asked only where `admission.needed`)."""
        return self.admission.ask(request_id, self.table.is_promoted(request_id))

    def victim(self, running: Sequence[Running]) -> str:
        """Who of *running*, in the engine's order, is to be preempted."""
        return self.victims.choose(running)

    def places(self, count: int) -> list[Place]:
        """The first *count* waiting requests with what put them there, for people. A failing rule: none."""
        return self.waiting.places(count)

    def close(self) -> None:
        """Give back all pins and save what was learned."""
        self.later.do()
        self.calls.clear()
        self.watch.close()
        if self.expecting.foretelling is not None:
            self.expecting.foretelling.close()
        if self._store is not None:
            self._store.close()

    # --- steps ---------------------------------------------------------------------------------

    def begin_step(self) -> None:
        """A new engine step: a new snapshot, and pins whose time is over are let go."""
        if self.guard.tripped:
            self.in_force.new_step()
        if self.shadow is not None:
            self.shadow.new_step()
        self.step += 1
        self._present.forget()
        now = self.engine.clock()
        if self.expecting.foretelling is not None:
            self._take_up_forecasts(self.expecting.foretelling)
        self.calls.new_step(now, self.step)
        if self._begins_second(now):
            self.later.do()
            # vLLM may have freed one that leaves the queue only later.
            promoted = self.waiting.promote_forgotten(now)
            forgotten = [self.turns[name] for name in promoted if name in self.turns]
            self.counters["promoted.watchdog"] += len(forgotten)
            self._order.look(forgotten)
            for session in self.sessions.expire(now):
                self.calls.forget(session.key)
                self.expecting.lost(session)

    def _begins_second(self, now: float) -> bool:
        """Whether this step is the first of a second: what needn't be looked at in every step is looked at then.

        With eight sessions a second, one expires somewhere in every sixth step.
        """
        if now < self._watch_at:
            return False
        self._watch_at = math.floor(now) + 1.0
        return True

    def quiet_until(self) -> float:
        """The instant before which `begin_step` does nothing but count, as long as no request waits, comes or ends.

        Whatever begins to act on its own at a step has to be in here: virtual time asks no `begin_step` before.
        """
        if self.guard.tripped or self.shadow is not None:
            return -math.inf
        return min(self.calls.quiet_until(), max(self._watch_at, self.sessions.next_expiry()))

    def pass_step(self) -> None:
        """A step before `quiet_until`, in which no request waited."""
        self.step += 1
        self._present.forget()
        self._begins_second(self.engine.clock())
        self.calls.pass_step(self.step)

    def engine_now(self) -> Signals:
        """The engine as of this step, or since the last end of a turn."""
        self.later.do()
        return self._present.signals()

    def observe(self, sample: StepSample) -> None:
        """What a step did and how long it took."""
        self.later.put(partial(self.costs.observe, sample))

    def transferred(self, direction: str, tokens: float, seconds: float) -> None:
        """KV was moved to host memory ("out") or back ("in"). *seconds*: from its first byte to its last."""
        self.later.do()
        self.counters[f"transfers.tokens_{direction}"] += round(tokens)
        self.counters[f"transfers.us_{direction}"] += round(1e6 * seconds)
        self.costs.observe_transfer(tokens, seconds)

    def _pin_changed(self, key: str, tokens: int) -> None:
        """The pin of a session now holds *tokens*; a follow-up that waits for it is ranked anew."""
        session = self.sessions.get(key)
        if session is not None and not tokens:
            self._service.seat(session, self.engine.clock())
        turn = self._pinned_turns.get(key)
        if turn is None:
            return
        turn.pinned_tokens = turn.cached_tokens = min(tokens, turn.prompt_tokens)
        if not tokens:
            del self._pinned_turns[key]
        self.waiting.reread(turn)

    # --- inside --------------------------------------------------------------------------------

    def _take_up_forecasts(self, foretelling: Foretelling) -> None:
        """What the trained model has answered meanwhile; those that wait are ranked anew."""
        for turn in foretelling.news(self.turns):
            self.waiting.reread(turn)
