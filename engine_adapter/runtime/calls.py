"""What happens to a session's KV when its turn has ended, until it comes back.

A turn ends in a tool call, in an answer to a person (a call of the tool "user"), or for good. The
engine can't see which: it holds the KV for a moment (a provisional pin) until the API side has said
so, then asks the policy, and carries out the answer. While the call runs `while paused` may change it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from engine_adapter.runtime.deciding import Deciding, Possible
from engine_adapter.runtime.engine import Engine
from engine_adapter.runtime.keeping import Hold, Keeping, PinChanged, nothing
from engine_adapter.runtime.paused import Paused
from engine_adapter.runtime.repeats import Askings
from engine_adapter.runtime.turn import CallState, Turn
from policy_dsl.comparing import comparable
from policy_dsl.compiled import Verdict
from policy_dsl.types import Handling

# The API side says how a turn ended within milliseconds of its last token; past this the hold is given up.
PROVISIONAL_S = 0.25
# Verdicts that came before the engine saw the end of their turn, and labels waited for: bounded.
MAX_PENDING = 4096

USER = "user"
BeginCall = Callable[[Turn, tuple[str, ...], float, int], CallState]


@dataclass(frozen=True, slots=True)
class Return:
    """A session that is back: the call it comes from, None where it wasn't paused in one; the tokens that are held of
    it on the device and in host memory."""

    call: CallState | None
    pinned_tokens: int
    copied_tokens: int


class Calls:
    """The paused sessions of one engine.

    *begin_call* says what is known of a call that starts now; *deciding* asks the policy about it; *pin_changed* is
    told how many tokens a session's pin has left. What is held is in `keeping`.
    """

    def __init__(
        self,
        engine: Engine,
        begin_call: BeginCall,
        deciding: Deciding,
        pin_changed: PinChanged,
        counters: Counter[str],
    ) -> None:
        self.keeping = Keeping(engine, deciding, pin_changed, counters)
        self.ledger, self.copies = self.keeping.ledger, self.keeping.copies
        self.paused = self.keeping.paused  # by session key
        self.yield_order, self.shrink = self.keeping.yield_order, self.keeping.shrink
        self.stored, self.copy_lost = self.keeping.stored, self.keeping.copy_lost
        self.askings = _askings(deciding)
        self._engine = engine
        self._begin_call = begin_call
        self._deciding = deciding
        self._counters = counters
        self._step = 0
        self._provisional: OrderedDict[str, str] = OrderedDict()  # turn label -> session key
        self._early: OrderedDict[str, tuple[str, tuple[str, ...]]] = OrderedDict()

    # --- the end of a turn ---------------------------------------------------------------------

    def ended(self, turn: Turn, tools: tuple[str, ...] | None, aborted: bool, hold: Hold, now: float) -> str:
        """A turn has ended at *now*; returns the outcome. *tools*: what it called, where that is known (a hint).

        Outcomes: "call", "end", "gone", or "open" when the API side has yet to say.
        """
        key = turn.session.key
        if key in self.paused or key in self.ledger or key in self.copies:
            self.forget(key)  # another turn of the session has ended before, or this one was never admitted
        if tools is not None and not aborted:
            self._pause(turn, tools, hold, now)
            return "call"
        early = self._early.pop(turn.label, None)
        if early is not None:
            outcome, named = early
            self._settle(turn, outcome, named, hold, now)
            return outcome
        if turn.may_call and turn.label:
            self._hold_provisionally(turn, hold, now)
            return "open"
        outcome = "gone" if aborted else "end"
        self._settle(turn, outcome, (), hold, now)
        return outcome

    def at_once(self, turn: Turn) -> bool:
        """Whether it has to be seen to at once that *turn* has ended: KV of its session is held, or may be."""
        key = turn.session.key
        held = key in self.ledger or key in self.copies or (turn.may_call and bool(turn.label))
        return held or not self._deciding.policy.always_discards or self.keeping.witness is not None

    def verdict(self, label: str, outcome: str, tools: tuple[str, ...]) -> Turn | None:
        """The API side says how the turn *label* ended; returns the turn if it had been waited for."""
        key = self._provisional.pop(label, None)
        if key is None:
            self._early[label] = (outcome, tools)
            _bound(self._early)
            return None
        paused = self.paused.pop(key)
        self._counters["verdicts.late"] += key not in self.ledger
        self._settle(paused.turn, outcome, tools, nothing, self._engine.clock())
        return paused.turn

    def _settle(self, turn: Turn, outcome: str, tools: tuple[str, ...], hold: Hold, now: float) -> None:
        match outcome:
            case "call":
                self._pause(turn, tools, hold, now)
            case "end":
                self._pause(turn, (USER,), hold, now)
            case _:
                self.forget(turn.session.key)

    def _hold_provisionally(self, turn: Turn, hold: Hold, now: float) -> None:
        key = turn.session.key
        self.paused[key] = Paused(turn, Handling.PRESERVE, (), provisional=True)
        self._provisional[turn.label] = key
        self.keeping.hold(turn, hold, now, now + PROVISIONAL_S, "provisional")
        if len(self._provisional) > MAX_PENDING:
            _, oldest = self._provisional.popitem(last=False)
            self.forget(oldest)

    def _pause(self, turn: Turn, tools: tuple[str, ...], hold: Hold, now: float) -> None:
        """The session waits for *tools*: decide what happens to its KV, and do it."""
        key = turn.session.key
        turn.call = self._begin_call(turn, tools, now, self._step)
        verdict = self._deciding.on_call(turn, lambda: self.keeping.possible(turn))
        paused = self.paused[key] = Paused(turn, Handling.DISCARD, ())
        self.keeping.carry_out(paused, verdict.holds, hold, now)
        self._counters[f"decisions.{paused.handling.word}"] += 1
        self._deciding.watch.decided(turn, now, verdict)
        if self.keeping.witness is not None:
            self.keeping.witness.handled(paused)
        if paused.handling is not Handling.DISCARD:
            self.askings.asked(key, now, self._step)

    # --- while the call runs ---------------------------------------------------------------------

    def new_step(self, now: float, step: int) -> None:
        """An engine step begins: what is held is seen to, then `while paused` is asked about those it is due for."""
        self._step = step
        if self.keeping:
            self.keeping.new_step(now)
        if self.askings:
            self._ask_again(now)

    def quiet_until(self) -> float:
        """The instant before which `new_step` only counts, if nothing begins or ends a call until then."""
        return min(self.keeping.next_due(), self.askings.next_due())

    def pass_step(self, step: int) -> None:
        """A step before `quiet_until` begins."""
        self._step = step

    def _ask_again(self, now: float) -> None:
        wishes: list[tuple[Paused, Verdict]] = []
        for key in self.askings.due(now, self._step):
            paused = self.paused[key]
            if paused.handling is Handling.DISCARD:
                continue  # it has yielded, or its time is over: nothing is left to decide about
            verdict = self._ask(paused, swap=self._engine.facts.can_swap)
            if verdict is not None and verdict.holds[0][0] is Handling.SWAP and key not in self.copies:
                wishes.append((paused, verdict))
            else:
                self._change(paused, verdict, now)
        if len(wishes) > 1:
            wishes.sort(key=lambda wish: self._place(wish[0]))
        for paused, verdict in wishes:
            there_is_room = self.keeping.possible(paused.turn).swap
            self._change(paused, verdict if there_is_room else self._ask(paused, swap=False), now)

    def _ask(self, paused: Paused, swap: bool) -> Verdict | None:
        can = self.keeping.possible(paused.turn)
        return self._deciding.while_paused(paused.turn, paused.handling, Possible(can.preserve, swap, can.held_by))

    def _change(self, paused: Paused, verdict: Verdict | None, now: float) -> None:
        """Put the new answer in force; without one, what is in force stays."""
        before = paused.handling
        if verdict is not None:
            self.keeping.carry_out(paused, verdict.holds, nothing, now, "redecided")
        self.keeping.note_change(paused, before, "redecided")
        if paused.handling is not Handling.DISCARD:
            self.askings.asked(paused.turn.session.key, now, self._step)

    def _place(self, paused: Paused) -> list[tuple[tuple[bool, float], ...]]:
        """Among those that wish to swap: as `limit swapping` shares out what it leaves, then as `limit host` does."""
        limits = ("swapping", "host")
        return [comparable(self._deciding.share_keys(limit, paused.turn, paused.handling)) for limit in limits]

    def adopt(self, now: float) -> None:
        """Another policy decides: it is asked about whose call runs as often as it says. What is held stays."""
        self.askings = _askings(self._deciding)
        for key, paused in self.paused.items():
            if paused.handling is not Handling.DISCARD and not paused.provisional:
                self.askings.asked(key, now, self._step)
        self.keeping.limits.adopt()
        self.keeping.keep_limits()

    # --- the return ------------------------------------------------------------------------------

    def returned(self, key: str, now: float) -> Return:
        """The session is back. What is held of it stays until it is admitted."""
        self.askings.forget(key)
        paused = self.paused.pop(key, None)
        if paused is not None and paused.provisional:
            self._provisional.pop(paused.turn.label, None)
        if paused is not None:
            self.keeping.returned(key, now)
        return Return(
            None if paused is None else paused.turn.call,
            self.ledger.tokens_of(key),
            self.copies.ledger.tokens_of(key) if key in self.copies else 0,
        )

    def admitted(self, turn: Turn, cached_tokens: int) -> None:
        """A turn starts to run, with so many tokens found or loaded: what was held for it has done its work.

        Where its own call will probably be swapped, copying begins.
        """
        key = turn.session.key
        again = self._engine.host is not None and self._deciding.foreseen(turn) is Handling.SWAP
        pin = self.ledger.get(key)
        if pin is not None:
            self._counters["pins.tokens_reused"] += min(cached_tokens, pin.tokens)
        elif key in self.copies:
            self._counters["copies.tokens_reused"] += min(cached_tokens, self.copies.ledger.tokens_of(key))
        if pin is not None or key in self.copies:
            self.keeping.admitted(key, keep_copy=again)
        if again:
            self.copies.foresee(turn.id, key)

    def forget(self, key: str) -> None:
        """The session is gone: no paused entry, nothing held."""
        self.askings.forget(key)
        paused = self.paused.pop(key, None)
        if paused is not None and paused.provisional:
            self._provisional.pop(paused.turn.label, None)
        self.keeping.drop(key, "dropped")

    def clear(self) -> int:
        """Drop what is held of all sessions (cache reset, shutdown); returns how many pins there were."""
        return self.keeping.clear()


def _askings(deciding: Deciding) -> Askings:
    scalar = deciding.policy.scalar
    return Askings(scalar.paused_every_s, scalar.paused_every_steps)


def _bound(pending: OrderedDict[str, tuple[str, tuple[str, ...]]]) -> None:
    while len(pending) > MAX_PENDING:
        pending.popitem(last=False)
