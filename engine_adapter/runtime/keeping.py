"""What is held of paused sessions: pins on the device, copies in host memory, and how the one becomes the other.

A handling is in force for each paused session, the rest of its plan follows when its time is over; a part that can't be
carried out is skipped, and after the last comes discard. Pins yield under pressure, in the order the policy names; the
blocks of a pin are given back from its tail, so that what stays is a prefix. Whatever is given up is given up here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from engine_adapter.runtime.deciding import Deciding, Possible
from engine_adapter.runtime.engine import Engine, Held
from engine_adapter.runtime.host import MAX_COPY_S, Copies
from engine_adapter.runtime.ledger import Ledger, Pin
from engine_adapter.runtime.paused import PRESERVE, Paused, Plan
from engine_adapter.runtime.pin_limits import PinLimits
from engine_adapter.runtime.turn import Turn
from policy_dsl.comparing import comparable
from policy_dsl.types import Handling

# No pin lasts longer than this, whatever the policy says (DESIGN.md, guarantee 2).
MAX_PIN_S = 600.0
# Whatever the policy says, pins never take more than this share of the KV memory.
MAX_PINNED_SHARE = 0.9

SWAP = Handling.SWAP.word  # the reason of a pin whose blocks are being copied

Hold = Callable[[], Held | None]
PinChanged = Callable[[str, int], None]


class Witness(Protocol):
    """Who writes down what becomes of the KV of paused sessions."""

    def handled(self, paused: Paused) -> None:
        """Its handling was decided and carried out."""

    def unpinned(self, pin: Pin, why: str) -> None:
        """A pin is gone, for a reason in the words of the counters."""


class Keeping:
    """The pins and copies of one engine's paused sessions. *pin_changed* is told how many tokens a pin has left."""

    def __init__(self, engine: Engine, deciding: Deciding, pin_changed: PinChanged, counters: Counter[str]) -> None:
        self.ledger = Ledger()
        self.copies = Copies(engine.host, engine.facts.block_size, deciding.limit, counters)
        self.paused: dict[str, Paused] = {}  # by session key
        self.limits = PinLimits(deciding, self.ledger, self.paused)
        self.witness: Witness | None = None
        self._engine = engine
        self._deciding = deciding
        self._pin_changed = pin_changed
        self._counters = counters
        self._block_tokens = engine.facts.block_size

    def __bool__(self) -> bool:
        """Whether anything is held, or foreseen to be."""
        return bool(self.ledger) or bool(self.copies)

    # --- what can be done ----------------------------------------------------------------------

    def possible(self, turn: Turn) -> Possible:
        """What can be done with the KV of a turn that has ended in a call. What it has, it may keep."""
        key, facts = turn.session.key, self._engine.facts
        held_by = "" if key in self.copies or self._is_kept(key) else self._no_room(turn)
        assert turn.call is not None
        swap = facts.can_swap and (key in self.copies or self.copies.has_room(key, turn.call.context_tokens))
        return Possible(facts.can_preserve and not held_by, swap, held_by)

    def _is_kept(self, key: str) -> bool:
        pin = self.ledger.get(key)
        return pin is not None and pin.reason in (PRESERVE, SWAP)

    def _no_room(self, turn: Turn) -> str:
        """What keeps a turn's KV from being pinned: "limit NAME", "kv" (the core's own bound), or ""."""
        assert turn.call is not None
        more = turn.call.context_tokens - self.ledger.tokens_of(turn.session.key)
        over = self.limits.refuses(turn, more) if self.limits else ""
        if over:
            return over
        pinned = self.ledger.tokens + more
        return "kv" if pinned > MAX_PINNED_SHARE * self._engine.facts.kv_total_tokens else ""

    # --- doing it ------------------------------------------------------------------------------

    def hold(self, turn: Turn, hold: Hold, now: float, until: float, reason: str) -> Pin | None:
        """The session's pin; where it has none yet, one of the blocks that *hold* takes. None where it takes none."""
        pin = self.ledger.get(turn.session.key)
        if pin is not None:
            return pin
        held = hold()
        if held is None or not held.blocks:
            return None
        pin = Pin(turn.session.key, held.blocks, held.tokens, since=now, until=until, reason=reason)
        return self.ledger.add(replace(pin, class_name=turn.session.class_name))

    def carry_out(self, paused: Paused, plan: Plan, hold: Hold, now: float, why: str = "") -> None:
        """Put the first part of *plan* that can be carried out in force; where none can, all is given up, for *why*.

        *hold* takes the blocks of a turn that ends, where its session has no pin yet.
        """
        call = paused.turn.call
        assert call is not None
        for number, (handling, lasts_s) in enumerate(plan, 1):
            longest_s = MAX_COPY_S if handling is Handling.SWAP else MAX_PIN_S
            until = call.since + (longest_s if lasts_s is None else min(lasts_s, longest_s))
            match handling:
                case Handling.PRESERVE:
                    done = until > now and self._preserve(paused, hold, now, until)
                case Handling.SWAP:
                    done = until > now and self._swap(paused, hold, now, until)
                case _:
                    break
            if done:
                paused.plan = plan[number:]
                return
        paused.handling, paused.plan = Handling.DISCARD, ()
        self.drop(paused.turn.session.key, why)

    def _preserve(self, paused: Paused, hold: Hold, now: float, until: float) -> bool:
        turn, key = paused.turn, paused.turn.session.key
        if key in self.copies and not self.copies.under_way(key):
            # Nothing loads it back before its session is: the copy is what is preserved (docs/decisions/012).
            return self._swap(paused, hold, now, until)
        if not self._is_kept(key) and self._no_room(turn):
            return False
        pin = self.hold(turn, hold, now, until, PRESERVE)
        if pin is None:
            return False
        self._enter(pin, until, PRESERVE)
        self.copies.drop(key, "recalled")
        paused.handling = Handling.PRESERVE
        return True

    def _swap(self, paused: Paused, hold: Hold, now: float, until: float) -> bool:
        """Blocks that are being copied stay pinned, and no longer than any pin."""
        turn, key = paused.turn, paused.turn.session.key
        if key in self.copies:
            self.copies.keep_until(key, until)
            paused.handling = Handling.SWAP
            return True
        assert turn.call is not None
        pin = self.hold(turn, hold, now, turn.call.since + MAX_PIN_S, SWAP)
        if pin is None:
            return False
        copy = Pin(key, pin.blocks, pin.tokens, since=turn.call.since, until=until, reason=SWAP)
        if not self.copies.begin(copy, turn.id):
            return False
        self._enter(pin, turn.call.since + MAX_PIN_S, SWAP)
        paused.handling = Handling.SWAP
        return True

    def _enter(self, pin: Pin, until: float, reason: str) -> None:
        if (pin.until, pin.reason) != (until, reason):
            self.ledger.take(pin.session)
            self.ledger.add(replace(pin, until=until, reason=reason))

    def stored(self, session: str, blocks: int) -> None:
        """The binding has copied so many more blocks of *session*; with the last of them its pin is given back."""
        pin = self.ledger.get(session)
        if self.copies.stored(session, blocks) and pin is not None and pin.reason == SWAP:
            self._give_back(pin, "swapped")

    def copy_lost(self, session: str) -> None:
        """Host memory doesn't have the copy of *session* any more: what the plan names next is tried."""
        self.copies.lost(session)
        self._copy_gone(session)

    def _copy_gone(self, session: str) -> None:
        paused = self.paused.get(session)
        if paused is not None and paused.handling is Handling.SWAP:
            self.carry_out(paused, paused.plan, nothing, self._engine.clock(), "copy_lost")
        elif session not in self.ledger:
            self._pin_changed(session, 0)

    # --- time and bounds -----------------------------------------------------------------------

    def new_step(self, now: float) -> None:
        """Copies go on, what has come to its end gives way to what follows it, and bounds that sank are kept."""
        for session in self.copies.new_step():
            self.copies.drop(session, "refused")
            self._copy_gone(session)
        for pin in [*self.ledger.due(now), *self.copies.ledger.due(now)]:
            paused = self.paused.get(pin.session)
            if paused is None or paused.provisional:
                self.drop(pin.session, "expired")
            elif pin.session in self.ledger or pin.session in self.copies:
                self._follow(paused, now)
        self.keep_limits()

    def next_due(self) -> float:
        """The instant before which `new_step` does nothing, if nothing is held or given back until then."""
        if self and (not self._deciding.limits_stand or self.limits.shared):
            return -math.inf
        return min(self.ledger.next_due(), self.copies.next_due())

    def _follow(self, paused: Paused, now: float) -> None:
        """The time of what is in force is over."""
        before = paused.handling
        self.carry_out(paused, paused.plan, nothing, now, "expired")
        self.note_change(paused, before, "followed")

    def note_change(self, paused: Paused, before: Handling, how: str) -> None:
        """What is in force may be another handling than *before*."""
        if paused.handling is not before:
            self._counters[f"{how}.{paused.handling.word}"] += 1
            self._deciding.watch.changed(paused.turn, self._engine.clock(), paused.handling, how)
            if self.witness is not None and paused.handling is not Handling.DISCARD:
                self.witness.handled(paused)

    def keep_limits(self) -> None:
        """Holders yield where a limit has sunk below what they hold. What waits to be judged or admitted stays."""
        for over, kept in self.limits.exceeded(self.yield_order) if self.ledger and self.limits else ():
            for pin in kept:
                if over <= 0:
                    break
                over -= self.shrink(pin, math.ceil(over / self._block_tokens), len, "limit") * self._block_tokens
        limit = self._deciding.limit("host") if self.copies.ledger else None
        if limit is not None and self.copies.ledger.tokens > limit:
            for copy in self._in_yield_order(list(self.copies.ledger), spare=""):
                if self.copies.ledger.tokens > limit:
                    self.drop(copy.session, "limit")

    # --- pressure ------------------------------------------------------------------------------

    def yield_order(self, spare: str = "") -> Sequence[Pin]:
        """Pins in the order in which they give way, *spare* (the asker's own) last.

        The policy's `yield` says who is first; without it, and where it fails, the longest expected wait. After all
        whose call runs come those that are on their way to host memory, then sessions that are back, or about to be
        judged.
        """
        return self._in_yield_order(list(self.ledger), spare)

    def _in_yield_order(self, pins: Sequence[Pin], spare: str) -> list[Pin]:
        now = self._engine.clock()
        judged = {pin.session: self.paused.get(pin.session) for pin in pins}
        asked = {
            key: self._deciding.yield_keys(paused.turn, paused.handling)
            for key, paused in judged.items()
            if paused is not None and paused.turn.call is not None
        }
        stated = None not in asked.values()

        def wait_s(paused: Paused | None) -> float:
            if paused is None or paused.turn.call is None:
                return 0.0  # returned, or about to be judged
            remaining = paused.turn.call.duration.mean - (now - paused.turn.call.since)
            return remaining if math.isfinite(remaining) else MAX_PIN_S

        def place(pin: Pin) -> tuple[object, ...]:
            keys = asked.get(pin.session) if stated else None
            ordered = () if keys is None else comparable(keys)
            waits_s = wait_s(judged[pin.session])
            leaving = self.copies.under_way(pin.session)
            return (pin.session == spare, stated and keys is None, leaving, ordered, -waits_s, pin.since)

        return sorted(pins, key=place)

    def shrink(self, pin: Pin, wanted: int, frees: Callable[[Sequence[Any]], int], why: str) -> int:
        """Give back blocks from the tail of *pin* until *wanted* are free, or all; returns how many that frees.

        *frees* counts the blocks that nobody else refers to.
        """
        keep = len(pin.blocks)
        freed = 0
        while keep and freed < wanted:
            keep -= 1
            freed += frees(pin.blocks[keep : keep + 1])
        if keep and self.copies.under_way(pin.session):
            keep, freed = 0, frees(pin.blocks)  # half a copy is none
        if keep == 0:
            self.drop(pin.session, why)
            return freed
        self.ledger.take(pin.session)
        tokens = keep * self._block_tokens
        self.ledger.add(replace(pin, blocks=pin.blocks[:keep], tokens=tokens))
        self._engine.release(pin.blocks[keep:])
        self._counters["pins.shrunk"] += 1
        self._pin_changed(pin.session, tokens)
        return freed

    # --- the return and the end ------------------------------------------------------------------

    def returned(self, key: str, now: float) -> None:
        """The session is back: what is held of it stays until it is admitted, and no longer than a new pin might."""
        if self.copies.under_way(key):
            self.copies.drop(key, "overtaken")
        elif key in self.copies:
            self.copies.keep_until(key, now + MAX_COPY_S)
        pin = self.ledger.take(key)
        if pin is not None:
            self.ledger.add(replace(pin, since=now, until=now + MAX_PIN_S, reason="returned"))

    def admitted(self, key: str, keep_copy: bool) -> None:
        """The follow-up runs and holds the blocks itself: pin and copy have done their work.

        *keep_copy*: the KV of the turn that begins will probably be swapped as well, so most of it is there already.
        """
        if not keep_copy:
            self.drop(key, "used")
            return
        pin = self.ledger.get(key)
        if pin is not None:
            self._give_back(pin, "used")
        self._pin_changed(key, 0)

    def drop(self, key: str, why: str) -> None:
        """Nothing is held of *key* any more, and nothing foreseen. *why*: for the counters; "": nobody need know."""
        pin = self.ledger.get(key)
        copied = self.copies.drop(key, why or "unused")
        if pin is not None:
            self._give_back(pin, why)
        if pin is None and not copied:
            return
        self._pin_changed(key, 0)
        paused = self.paused.get(key)
        if paused is not None:
            paused.handling, paused.lost = Handling.DISCARD, why
            if pin is not None and why:
                self._deciding.watch.pin_lost(key, self._engine.clock(), pin.tokens, why)

    def _give_back(self, pin: Pin, why: str) -> None:
        self.ledger.take(pin.session)
        self._engine.release(pin.blocks)
        if why:
            self._counters[f"pins.{why}"] += 1
            if self.witness is not None:
                self.witness.unpinned(pin, why)

    def clear(self) -> int:
        """Drop everything (cache reset, shutdown); returns how many pins there were."""
        pins = len(self.ledger)
        for pin in self.ledger:
            self.drop(pin.session, "dropped")
        for copy in self.copies.ledger:
            self.drop(copy.session, "dropped")
        self.copies.clear()
        return pins


def nothing() -> Held | None:
    """A `Hold` for a turn that has long ended."""
    return None
