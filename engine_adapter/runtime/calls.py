"""What happens to a session's KV when its turn has ended, until it comes back.

A turn ends in a tool call, in an answer to a person (a call of the tool "user"), or for good. The
engine can't see which: it holds the KV for a moment (a provisional pin) until the API side has said
so, then asks the policy, and carries out the answer. Pins yield under pressure, in the order of the
longest expected wait; the blocks of a pin are given back from its tail, so that what stays is a prefix.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engine_adapter.runtime.engine import Engine, Held
from engine_adapter.runtime.ledger import Ledger, Pin
from engine_adapter.runtime.turn import CallState, Turn
from policy_dsl.compiled import Verdict
from policy_dsl.types import Handling

# The API side says how a turn ended within milliseconds of its last token; past this the hold is given up.
PROVISIONAL_S = 0.25
# No pin lasts longer than this, whatever the policy says (DESIGN.md, guarantee 2).
MAX_PIN_S = 600.0
# Verdicts that came before the engine saw the end of their turn, and labels waited for: bounded.
MAX_PENDING = 4096

USER = "user"
Hold = Callable[[], Held | None]
Decide = Callable[[Turn], Verdict]
BeginCall = Callable[[Turn, tuple[str, ...], float], CallState]
PinChanged = Callable[[str, int], None]
YieldKeys = Callable[["Paused"], "tuple[float, ...] | None"]


class Witness(Protocol):
    """Who writes down what becomes of the KV of paused sessions."""

    def handled(self, paused: Paused) -> None:
        """Its handling was decided and carried out."""

    def unpinned(self, pin: Pin, why: str) -> None:
        """A pin is gone, for a reason in the words of the counters."""


@dataclass(slots=True)
class Paused:
    """A session between two turns. *handling* is what is in force, *plan* what follows it.

    *lost*: why its pin is gone, in the words of the counters ("expired", "yielded_running"); "" where it isn't.
    """

    turn: Turn
    handling: Handling
    plan: tuple[tuple[Handling, float | None], ...]
    provisional: bool = False
    lost: str = ""


class Calls:
    """The paused sessions of one engine, and their pins.

    *begin_call* says what is known of a call that starts now; *decide* asks the policy about a turn
    whose `call` is set, and never raises; *yield_keys* asks it who gives way first, None where it doesn't
    say; *pin_changed* is told how many tokens a session's pin has left.
    """

    def __init__(
        self,
        engine: Engine,
        begin_call: BeginCall,
        decide: Decide,
        yield_keys: YieldKeys,
        pin_changed: PinChanged,
        counters: Counter[str],
    ) -> None:
        self.ledger = Ledger()
        self.paused: dict[str, Paused] = {}  # by session key
        self.witness: Witness | None = None
        self._engine = engine
        self._begin_call = begin_call
        self._decide = decide
        self._yield_keys = yield_keys
        self._pin_changed = pin_changed
        self._counters = counters
        self._provisional: OrderedDict[str, str] = OrderedDict()  # turn label -> session key
        self._early: OrderedDict[str, tuple[str, tuple[str, ...]]] = OrderedDict()

    # --- the end of a turn ---------------------------------------------------------------------

    def ended(self, turn: Turn, tools: tuple[str, ...] | None, aborted: bool, hold: Hold) -> str:
        """A turn has ended. *tools*: what it called, where that is known already (a hint); returns the outcome.

        Outcomes: "call", "end", "gone", or "open" when the API side has yet to say.
        """
        if tools is not None and not aborted:
            self._pause(turn, tools, hold)
            return "call"
        early = self._early.pop(turn.label, None)
        if early is not None:
            outcome, named = early
            self._settle(turn, outcome, named, hold)
            return outcome
        if turn.may_call and turn.label:
            self._hold_provisionally(turn, hold)
            return "open"
        outcome = "gone" if aborted else "end"
        self._settle(turn, outcome, (), hold)
        return outcome

    def verdict(self, label: str, outcome: str, tools: tuple[str, ...]) -> Turn | None:
        """The API side says how the turn *label* ended; returns the turn if it had been waited for."""
        key = self._provisional.pop(label, None)
        if key is None:
            self._early[label] = (outcome, tools)
            _bound(self._early)
            return None
        paused = self.paused.pop(key)
        pin = self.ledger.take(key)
        if pin is None:
            self._counters["verdicts.late"] += 1
        self._settle(paused.turn, outcome, tools, lambda: Held(pin.blocks, pin.tokens) if pin else None)
        if pin is not None and self.ledger.get(key) is None:
            self._engine.release(pin.blocks)
        return paused.turn

    def _settle(self, turn: Turn, outcome: str, tools: tuple[str, ...], hold: Hold) -> None:
        match outcome:
            case "call":
                self._pause(turn, tools, hold)
            case "end":
                self._pause(turn, (USER,), hold)
            case _:
                self.forget(turn.session.key)

    def _hold_provisionally(self, turn: Turn, hold: Hold) -> None:
        key = turn.session.key
        self.forget(key)
        self.paused[key] = Paused(turn, Handling.PRESERVE, (), provisional=True)
        self._provisional[turn.label] = key
        now = self._engine.clock()
        self._pin(turn, hold, now, now + PROVISIONAL_S, "provisional")
        if len(self._provisional) > MAX_PENDING:
            _, oldest = self._provisional.popitem(last=False)
            self.forget(oldest)

    def _pause(self, turn: Turn, tools: tuple[str, ...], hold: Hold) -> None:
        """The session waits for *tools*: decide what happens to its KV, and do it."""
        now = self._engine.clock()
        key = turn.session.key
        self.forget(key)
        turn.call = self._begin_call(turn, tools, now)
        verdict = self._decide(turn)
        paused = Paused(turn, Handling.DISCARD, verdict.holds)
        self.paused[key] = paused
        self._carry_out(paused, hold, now)
        self._counters[f"decisions.{paused.handling.word}"] += 1
        if self.witness is not None:
            self.witness.handled(paused)

    def _carry_out(self, paused: Paused, hold: Hold, now: float) -> None:
        """Put the first feasible part of the plan in force: preserve while it lasts, else discard."""
        while paused.plan:
            (handling, lasts_s), *rest = paused.plan
            paused.plan = tuple(rest)
            call = paused.turn.call
            assert call is not None
            until = call.since + (MAX_PIN_S if lasts_s is None else min(lasts_s, MAX_PIN_S))
            if handling is Handling.PRESERVE and until > now and self._pin(paused.turn, hold, now, until, "preserve"):
                paused.handling = Handling.PRESERVE
                return
            if handling is Handling.DISCARD:
                break
        paused.handling = Handling.DISCARD

    def _pin(self, turn: Turn, hold: Hold, now: float, until: float, reason: str) -> bool:
        held = hold()
        if held is None or not held.blocks:
            return False
        self.ledger.add(
            Pin(session=turn.session.key, blocks=held.blocks, tokens=held.tokens, since=now, until=until, reason=reason)
        )
        return True

    # --- time, pressure, return ----------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Let go of pins whose time is over. What the policy named next is discard: there is no swap yet."""
        for pin in self.ledger.due(now):
            self._drop(pin.session, "expired")

    def returned(self, key: str, now: float) -> tuple[CallState | None, int]:
        """The session is back. Its pin stays until it is admitted; returns the call and the tokens pinned."""
        paused = self.paused.pop(key, None)
        if paused is None:
            return None, self.ledger.tokens_of(key)
        if paused.provisional:
            self._provisional.pop(paused.turn.label, None)
        pin = self.ledger.take(key)
        if pin is None:
            return paused.turn.call, 0
        self.ledger.add(replace(pin, since=now, until=now + MAX_PIN_S, reason="returned"))
        return paused.turn.call, pin.tokens

    def admitted(self, key: str) -> None:
        """The follow-up runs and holds the blocks itself: the pin has done its work."""
        if self.ledger.get(key) is not None:
            self._drop(key, "used")

    def forget(self, key: str) -> None:
        """The session is gone: no pin, no paused entry."""
        paused = self.paused.pop(key, None)
        if paused is not None and paused.provisional:
            self._provisional.pop(paused.turn.label, None)
        if self.ledger.get(key) is not None:
            self._drop(key, "dropped")

    def clear(self) -> int:
        """Drop every pin (cache reset, shutdown); returns how many there were."""
        keys = [pin.session for pin in self.ledger]
        for key in keys:
            self._drop(key, "dropped")
        return len(keys)

    def yield_order(self, spare: str) -> Sequence[Pin]:
        """Pins in the order in which they give way, *spare* (the asker's own) last.

        The policy's `yield` says who is first; without it, and where it fails, the longest expected wait.
        Sessions that are back, or about to be judged, come after all whose call runs.
        """
        now = self._engine.clock()
        judged = {pin.session: self.paused.get(pin.session) for pin in self.ledger}
        asked = {key: self._yield_keys(p) for key, p in judged.items() if p is not None and p.turn.call is not None}
        stated = None not in asked.values()

        def wait_s(pin: Pin) -> float:
            paused = self.paused.get(pin.session)
            if paused is None or paused.turn.call is None:
                return 0.0  # returned, or about to be judged
            remaining = paused.turn.call.duration.mean - (now - paused.turn.call.since)
            return remaining if math.isfinite(remaining) else MAX_PIN_S

        def place(pin: Pin) -> tuple[object, ...]:
            keys = asked.get(pin.session) if stated else None
            ordered = () if keys is None else _comparable(keys)
            return (pin.session == spare, stated and keys is None, ordered, -wait_s(pin), pin.since)

        return sorted(self.ledger, key=place)

    def shrink(self, pin: Pin, wanted: int, frees: Callable[[Sequence[Any]], int], why: str) -> int:
        """Give back blocks from the tail of *pin* until *wanted* are free, or all; returns how many that frees.

        *frees* counts the blocks that nobody else refers to.
        """
        keep = len(pin.blocks)
        freed = 0
        while keep and freed < wanted:
            keep -= 1
            freed += frees(pin.blocks[keep : keep + 1])
        if keep == 0:
            self._drop(pin.session, why)
            return freed
        self.ledger.take(pin.session)
        tokens = keep * self._engine.facts.block_size
        self.ledger.add(replace(pin, blocks=pin.blocks[:keep], tokens=tokens))
        self._engine.release(pin.blocks[keep:])
        self._counters["pins.shrunk"] += 1
        self._pin_changed(pin.session, tokens)
        return freed

    def _drop(self, key: str, why: str) -> None:
        pin = self.ledger.take(key)
        if pin is None:
            return
        self._engine.release(pin.blocks)
        self._counters[f"pins.{why}"] += 1
        self._pin_changed(key, 0)
        paused = self.paused.get(key)
        if paused is not None:
            paused.handling, paused.lost = Handling.DISCARD, why
        if self.witness is not None:
            self.witness.unpinned(pin, why)


def _comparable(keys: Sequence[float]) -> tuple[tuple[bool, float], ...]:
    """*keys* with what is not a number after all numbers."""
    return tuple((True, 0.0) if math.isnan(key) else (False, float(key)) for key in keys)


def _bound(pending: OrderedDict[str, tuple[str, tuple[str, ...]]]) -> None:
    while len(pending) > MAX_PENDING:
        pending.popitem(last=False)
