"""What a replay found: how much was the same, and the first decision that wasn't, with both sides. Needs no vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import msgspec

from engine_adapter.control import step_record as record
from engine_adapter.control.frames import Decision
from engine_adapter.control.step_record import Did, Event, Header


@dataclass(frozen=True, slots=True)
class Difference:
    """The first decision that differs. *call*: its number in the record, from 1; *step*: the last one scheduled.

    *what*: which kind of decision; *about*: where the two part. *recorded*, *replayed*: both sides there, plain values;
    None where a side has nothing.
    """

    call: int
    step: int
    kind: str
    what: str
    about: str
    recorded: Any
    replayed: Any


@dataclass(slots=True)
class Replayed:
    """How a replay went. *ended*: "closed" (the engine was shut down), "running" (the record goes no further),
    "cut off", "full", "a difference", or the exception that the engine ended in, recorded and replayed.

    *decisions*: requests scheduled, orders given, and all else that was decided and compared. *clock_differs*: calls in
    which the clock was read more or less often than then: with no difference beside it, the work of another version.
    """

    header: Header
    calls: int = 0
    steps: int = 0
    requests: int = 0
    aborts: int = 0
    verdicts: int = 0
    tokens: int = 0
    decisions: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    clock_differs: int = 0
    first_s: float | None = None
    last_s: float | None = None
    ended: str = ""
    difference: Difference | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of the engine's clock that the replay went through."""
        return 0.0 if self.first_s is None or self.last_s is None else self.last_s - self.first_s

    def count(self, event: Event, mine: Event) -> None:
        """Add one call that was made here too."""
        self.calls += 1
        self.clock_differs += event.clock != mine.clock
        if event.clock:
            self.first_s = event.clock[0] if self.first_s is None else self.first_s
            self.last_s = event.clock[-1]
        match event.call:
            case record.Add():
                self.requests += 1
            case record.Finish(ids):
                self.aborts += len(ids or ())
            case record.Command("verdict"):
                self.verdicts += 1
            case record.Schedule():
                self.steps += 1
            case record.Update(sampled=sampled):
                self.tokens += sum(map(len, sampled))
            case _:
                pass
        did = event.did
        self.decisions += len(did.scheduled) + len(did.ranked) + len(did.decisions)
        for kind in [decision.kind for decision in did.decisions] + ["finish"] * len(did.finished):
            self.by_kind[kind] = self.by_kind.get(kind, 0) + 1


def compared(call: int, step: int, event: Event, mine: Event) -> Difference | None:
    """The first difference between what a call decided then and here; None where there is none."""
    kind = type(event.call).__name__.lower()
    for what, about, recorded, replayed in _sides(event, mine):
        if recorded != replayed:
            return Difference(call, step, kind, what, about, recorded, replayed)
    return None


def _sides(event: Event, mine: Event) -> list[tuple[str, str, Any, Any]]:
    """What is compared, in the order in which one thing leads to another."""
    then, now = event.did, mine.did
    orders = [
        ("the order of the queue", f"{_place(here)} of answer {number}", *here[1:])
        for number, (one, other) in enumerate(zip_longest(then.ranked, now.ranked, fillvalue=()), 1)
        if (here := _parting(list(one), list(other))) is not None
    ]
    lists: list[tuple[str, Sequence[Any], Sequence[Any]]] = [
        ("a decision", [_said(one) for one in then.decisions], [_said(one) for one in now.decisions]),
        ("what is scheduled", then.scheduled, now.scheduled),
        ("what is found in the cache", then.started, now.started),
        ("what ends", then.finished, now.finished),
    ]
    sides = orders[:1]
    for what, one, other in lists:
        if (parting := _parting(one, other)) is not None:
            sides.append((what, _place(parting), _plain(parting[1]), _plain(parting[2])))
    counted = _uneven(then, now)
    sides += [("a counter", name, then.counters.get(name, 0), now.counters.get(name, 0)) for name in counted[:1]]
    sides.append(("the KV held for paused sessions", "tokens", then.held_tokens, now.held_tokens))
    sides.append(("the free KV blocks", "", then.free_blocks, now.free_blocks))
    sides.append(("how the call ended", "", event.raised or "well", mine.raised or "well"))
    return sides


def _said(decision: Decision) -> dict[str, Any]:
    """What of a decision is compared: not when, nor the line (a replay has the policy written out), nor its words."""
    left_out = ("number", "at", "line", "note")
    said = {name: getattr(decision, name) for name in decision.__struct_fields__ if name not in left_out}
    return {name: value for name, value in said.items() if value not in ("", (), {})}


def _parting(one: Sequence[Any], other: Sequence[Any]) -> tuple[int, Any, Any] | None:
    """Where two sequences part: the place, and what each has there."""
    for place, (left, right) in enumerate(zip_longest(one, other)):
        if left != right:
            return place, left, right
    return None


def _place(parting: tuple[int, Any, Any]) -> str:
    return f"place {parting[0] + 1}"


def _uneven(then: Did, now: Did) -> list[str]:
    names = sorted(then.counters.keys() | now.counters.keys())
    return [name for name in names if then.counters.get(name, 0) != now.counters.get(name, 0)]


def _plain(value: Any) -> Any:
    """*value* with its alternatives, where it is a decision, as mappings."""
    return msgspec.to_builtins(value)
