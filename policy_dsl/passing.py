"""Virtual time in a test: what is given grows, and `while paused` and `promote` act on the way.

Nothing is executed by an engine: requests go on waiting, calls go on running, and the engine is as it is given.
It is asked all the same, at its steps: at the start of the test and every `engine.step_time` from there. An instant
between two steps sees what the last step decided, so that looking changes nothing.

- `promote`, about a request, at the start and at each step from its arrival on, until it holds; then it stays
  promoted.
- `on call at arrival`, about a request, when it arrives: from then on `handling` is what it answered.
- `while paused every D`, about a session, at the first step at least D after the last asking, which at first is
  `on call` when the call began. A discarded session has nothing left to decide about.

What `while paused` answered, or `on call` before it, is in force; `preserve for D then B` becomes B when the call
has run for D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from policy_dsl import nodes
from policy_dsl.compiled import CompiledPolicy
from policy_dsl.types import Handling
from policy_dsl.verdict import Held, Verdict
from policy_dsl.worlds import Given, Value, declared_values, engine_values, values_of

MOST_ASKINGS = 100_000
"""About one row between two instants of a test: half an hour of steps of 20 ms."""
_NEARLY = 1e-9  # times in a test are sums of floats: so much of a step, or of a second, is no difference


class TooManyAskings(Exception):
    """An engine would be asked more than `MOST_ASKINGS` times on the way."""


@dataclass(slots=True)
class _Row:
    """All times in seconds of the test. *waits_from_s*: when its wait begins. *due_s*: from when on a rule is to be
    asked. *verdict*: what was answered last about a session, at *asked_s*; None for a request. *arrived*: the values of
    a request and of the engine as it arrived, where `on call` is asked then.
    """

    given: Mapping[str, Given]
    waits_from_s: float
    declared: dict[str, Value]
    promoted: bool
    due_s: float
    verdict: Verdict | None = None
    asked_s: float = 0.0
    arrived: tuple[Mapping[str, Value], Mapping[str, Value]] | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """What is in force for a session: what is left of *verdict*, which was given at *asked_s* of the test."""

    holds: tuple[Held, ...]
    verdict: Verdict
    asked_s: float


class World:
    """The engine and the rows of a test, at its present instant. *rows*: what is now, by name, every signal."""

    def __init__(self, policy: CompiledPolicy, givens: Sequence[nodes.Given]) -> None:
        """*givens*: what the test gives before its first `at`. Asks what is due at once."""
        self.policy, self.at_s = policy, 0.0
        self._given = {f.path: f for g in givens if g.name is None for f in g.fields if "." in f.path}
        self.engine: Mapping[str, Value] = engine_values(self._given.values())
        self._start_s = float(self.engine["engine.now"])
        self._paces = [(0.0, float(self.engine["engine.step_time"]))]
        self._rows = {n: self._row(n, givens) for n in dict.fromkeys(g.name for g in givens if g.name is not None)}
        self._ask_now()

    def _row(self, name: str, givens: Sequence[nodes.Given]) -> _Row:
        mine = [g for g in givens if g.name == name]
        fields = [f for g in mine for f in g.fields]
        given = {f.path: f.value for f in fields}
        values = values_of(given, self.engine)
        declared = declared_values(fields, values, self.policy)
        waits_from_s = max(_number(values, "request.arrival") - self._start_s, 0.0)
        row = _Row(given, waits_from_s, declared, promoted=values["request.promoted"] is True, due_s=math.inf)
        if any(g.paused for g in mine):
            begun = {path: value for path, value in given.items() if path != "call.elapsed"}
            scalar = self.policy.scalar
            row.verdict = scalar.on_call(values_of(begun, self.engine) | declared, self.engine)  # type: ignore[arg-type]
            row.asked_s = 0.0 - _number(values, "call.elapsed")  # never -0, which is shown
            row.due_s = self._again_s(row)
        elif self.policy.states("promote") and not row.promoted:
            row.due_s = 0.0
        return row

    # --- the present

    def move(self, at_s: float, fields: Sequence[nodes.Field]) -> None:
        """To *at_s* of the test, where the engine has these *fields*. Raises `TooManyAskings`."""
        for row in self._rows.values():
            self._ask_until(row, at_s)
        self.at_s = at_s
        self._given |= {f.path: f for f in fields if "." in f.path}
        self.engine = engine_values(self._given.values()) | {"engine.now": self._start_s + at_s}
        pace_s = float(self.engine["engine.step_time"])
        if pace_s != self._paces[-1][1]:
            self._paces.append((at_s, pace_s))
        self._ask_now()

    def _ask_now(self) -> None:
        for row in self._rows.values():
            if row.waits_from_s <= self.at_s + _NEARLY:
                self._arrive(row, self.at_s)
            if self._step_from(row.due_s) <= self.at_s + _NEARLY:
                self._ask(row, self.at_s)
        self.rows = {name: self._values(row, self.at_s) for name, row in self._rows.items()}

    def promoted(self, name: str) -> bool:
        return self._rows[name].promoted

    def arrives_s(self, name: str) -> float:
        """When a request begins to wait, in seconds of the test; 0 for one that waits at its start."""
        return self._rows[name].waits_from_s

    def on_call(self, name: str) -> Verdict:
        """What `on call` answers about a request: from the values of now, or where it is asked at arrival, of then."""
        asked = self._rows[name].arrived or (self.rows[name], self.engine)
        return self.policy.scalar.on_call(*asked)  # type: ignore[arg-type]

    def in_force(self, name: str) -> InForce:
        """What is in force for a session."""
        row = self._rows[name]
        assert row.verdict is not None, name
        return InForce(_left(row.verdict.holds, _elapsed_s(row, self.at_s)), row.verdict, row.asked_s)

    # --- on the way

    def _ask_until(self, row: _Row, at_s: float) -> None:
        """Asks about *row* at every step before *at_s* at which it is due."""
        if row.waits_from_s < at_s - _NEARLY:
            self._arrive(row, row.waits_from_s)
        for _ in range(MOST_ASKINGS):
            due_s = self._step_from(row.due_s)
            if due_s >= at_s - _NEARLY:
                return
            self._ask(row, due_s)
        raise TooManyAskings

    def _arrive(self, row: _Row, at_s: float) -> None:
        """A request that is here from *at_s* on: what `on call at arrival` is asked with is kept."""
        if self.policy.on_call_at_arrival and row.verdict is None and row.arrived is None:
            engine = self._engine_at(at_s)
            row.arrived = self._values(row, at_s, engine), engine

    def _engine_at(self, at_s: float) -> dict[str, Value]:
        return {**self.engine, "engine.now": self._start_s + at_s}

    def _ask(self, row: _Row, at_s: float) -> None:
        """The rule that is due about *row*."""
        engine = self._engine_at(at_s)
        values = self._values(row, at_s, engine)
        if row.verdict is None:
            row.promoted = self.policy.scalar.promote(values, engine)  # type: ignore[arg-type]
            row.due_s = math.inf if row.promoted else max(at_s + self._paces[-1][1], row.waits_from_s)
        elif self._handling(row, at_s) is Handling.DISCARD:
            row.due_s = math.inf
        else:
            row.verdict = self.policy.scalar.paused(values, engine)  # type: ignore[arg-type]
            row.asked_s = at_s
            row.due_s = self._again_s(row)

    def _again_s(self, row: _Row) -> float:
        """When `while paused` is due again."""
        every_s, steps = self.policy.scalar.paused_every_s, self.policy.scalar.paused_every_steps
        if every_s is None or steps is None:
            return math.inf
        return row.asked_s + max(every_s, steps * self._paces[-1][1])

    def _step_from(self, at_s: float) -> float:
        """The first step of the engine at or after *at_s*; without a time of its own a step is whenever it is due."""
        since_s, pace_s = self._paces[-1]
        if not math.isfinite(at_s) or pace_s <= 0.0 or not math.isfinite(pace_s):
            return at_s if pace_s <= 0.0 else math.inf
        return since_s + math.ceil(max(at_s - since_s, 0.0) / pace_s - _NEARLY) * pace_s

    def _steps(self, from_s: float, to_s: float) -> float:
        """Whole steps of the engine between two instants of the test."""
        ends = [*(since_s for since_s, _ in self._paces[1:]), math.inf]
        spans = (
            max(min(to_s, end_s) - max(from_s, since_s), 0.0) / pace_s
            for (since_s, pace_s), end_s in zip(self._paces, ends, strict=True)
            if pace_s > 0.0
        )
        return float(math.floor(math.fsum(spans) + _NEARLY))

    # --- values

    def _values(self, row: _Row, at_s: float, engine: Mapping[str, Value] | None = None) -> dict[str, Value]:
        engine = self.engine if engine is None else engine
        values = values_of(self._later(row, at_s), engine) | row.declared
        if row.verdict is not None:
            values["call.handling"] = values["call.decided"] = float(self._handling(row, at_s))
        elif self.policy.on_call_at_arrival:
            values["call.decided"] = self.policy.scalar.decided(*(row.arrived or (values, engine)))  # type: ignore[arg-type]
        return values

    def _handling(self, row: _Row, at_s: float) -> Handling:
        assert row.verdict is not None
        return _left(row.verdict.holds, _elapsed_s(row, at_s))[0][0]

    def _later(self, row: _Row, at_s: float) -> dict[str, Given]:
        """What is given of *row*, *at_s* into the test. What follows from it and from `engine.now` grows by itself."""
        given = dict(row.given)

        def grow(path: str, by: float) -> None:
            value = given.get(path, 0.0)
            assert isinstance(value, float)
            given[path] = max(value + by, 0.0)

        for path in {"request.age", "session.age"} & given.keys():
            grow(path, at_s)
        if given.get("session.seated") or "session.seated_for" in given:
            grow("session.seated_for", at_s)
        if row.verdict is not None:
            grow("call.elapsed", at_s)
            if "call.remaining" in given:
                grow("call.remaining", -at_s)
            return given
        given["request.promoted"] = row.promoted
        waited_s = max(at_s - row.waits_from_s, 0.0)
        grow("request.waited", waited_s)
        grow("request.waited_steps", self._steps(row.waits_from_s, at_s))
        if "session.waited" in given:
            grow("session.waited", waited_s)
        return given


def _left(plan: Sequence[Held], elapsed_s: float) -> tuple[Held, ...]:
    """What is left of *plan* when the call has run so long; nothing left is discard."""
    left = tuple(dropwhile(lambda held: held[1] is not None and held[1] <= elapsed_s + _NEARLY, plan))
    return left or ((Handling.DISCARD, None),)


def _elapsed_s(row: _Row, at_s: float) -> float:
    given = row.given.get("call.elapsed", 0.0)
    assert isinstance(given, float)
    return given + at_s


def _number(values: Mapping[str, Value], key: str) -> float:
    value = values[key]
    assert isinstance(value, float), key
    return value
