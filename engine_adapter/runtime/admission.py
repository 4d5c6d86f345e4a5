"""Whether a waiting request may start now: the policy's gate, and its limits on what runs.

Asked in final order, for each request that the engine would take next, with what this step has admitted counted. What
keeps a gate from starving anybody (LANGUAGE.md, S5):

- an engine with nothing running admits the first in order, whatever `admit` says;
- a promoted request that is refused reserves: until it starts nothing behind it is admitted, promoted or not, so that
  what it needs comes free, and pins yield to it once that lets it in;
- a limit on what runs counts requests, all alike: who is first in order is first in below it. So it doesn't reserve,
  and is never less than one request. Where another order gives out what it leaves (running_limits.py), the promoted
  are first in that one, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine_adapter.runtime import totals
from engine_adapter.runtime.asking import Asking
from engine_adapter.runtime.columns import Column, Columns
from engine_adapter.runtime.engine import EngineLoad, occupancy
from engine_adapter.runtime.refused import GATE, AskedAtOnce, Refused
from engine_adapter.runtime.running_limits import RunningLimits, Runs
from engine_adapter.runtime.table import CLASS, InColumns
from engine_adapter.runtime.turn import Turn
from policy_dsl.classes import RESERVE

_ELSEWHERE = "engine.reserved_elsewhere"


class Admission:
    """The gate of one policy. `lets_in` asks about all that wait at once; `ask` about the next of them, for good.

    *reserved_for*: the promoted request that is refused and keeps all behind it out; "" without one.
    """

    def __init__(self, asking: Asking) -> None:
        policy = asking.policy
        self._asking = asking
        self._gated = policy.states("admit")
        self._limits = RunningLimits(asking)
        self.needed = self._gated or bool(self._limits)
        """Whether the policy states anything to ask about."""
        self._counts_classes = self._limits.of_classes
        self._reserves = {
            name: float(has[RESERVE]) for name, has in policy.classes.items() if has.get(RESERVE)
        }  # fmt: skip
        self._read = asking.reader(policy.admit_keys)
        self._sums_seated = totals.SEATED in policy.engine_keys
        self._sums_classes = _ELSEWHERE in policy.engine_keys and bool(self._reserves)
        self._asked = 0  # in this step
        self._load: EngineLoad | None = None  # as of the last admission; None: to be asked
        self._snapshot: dict[str, float | bool] = {}
        self._runs = Runs()
        self._held_of: Mapping[str, int] = {}
        self._refused = Refused()
        self.reserved_for = ""

    @property
    def refused(self) -> dict[str, str]:
        """What kept each waiting request out when it was last asked about, by id."""
        return self._refused.words()

    @property
    def gated(self) -> int:
        """How many waiting requests `admit` refuses, as of when it was last asked."""
        return self._refused.gated

    def lets_in(self, waiting: InColumns) -> Column:
        """Who of all that wait is to be asked about, in order: of those whom `admit` lets in, with what the step has
        admitted counted, and of the promoted, whose refusal reserves, those that have a place in each limit.

        A failing rule lets in all. While nothing runs the gate does: the first in order starts, whatever `admit` says.
        """
        let_in = self._let_in(waiting)
        open_ = None if let_in is None else let_in | waiting.promoted
        limited: dict[str, Column] = {}
        if self._limits:
            self._now()
            open_, limited = self._limits.without_place(waiting, open_, self._runs)
        self._refused.asked(AskedAtOnce(tuple(waiting.ids), let_in, limited))
        return np.ones(len(waiting.ids), np.bool_) if open_ is None else open_

    def _let_in(self, waiting: InColumns) -> Column | None:
        """Whom `admit` lets in; None: all."""
        if self._gated and self._now().running:
            deciding, began = self._asking.deciding, self._asking.deciding.begins("admit")
            try:
                let_in = self._asked_at_once(waiting.rows, waiting.hoisted)
                deciding.asked("admit", began)
                return let_in
            except Exception:
                deciding.raised("admit", began)
        return None

    def _asked_at_once(self, rows: Columns, hoisted: tuple[Column, ...]) -> Column:
        batch, classes = self._asking.policy.batch, self._asking.policy.classes
        if not self._sums_classes:
            found = batch.admitted(rows, hoisted, self._snapshot)
            assert found is not None
            return found.copy()
        let_in = np.ones(len(rows[CLASS]), np.bool_)
        for name in classes:
            of_class = rows[CLASS] == batch.texts.code(name)
            if not np.count_nonzero(of_class):
                continue  # each class is asked with an engine of its own
            found = batch.admitted(rows, hoisted, self._seen_by(name))
            assert found is not None
            np.copyto(let_in, found, where=of_class)
        return let_in

    def _seen_by(self, class_name: str) -> Mapping[str, float | bool]:
        """The snapshot, with what other classes reserve."""
        if not self._sums_classes:
            return self._snapshot
        total = self._asking.engine.facts.kv_total_tokens
        elsewhere = totals.reserved_elsewhere(class_name, self._reserves, self._held_of, total)
        return {**self._snapshot, _ELSEWHERE: elsewhere}

    def new_step(self) -> None:
        """A step begins: who was refused is asked again."""
        self._asked = 0
        self._load = None
        self.reserved_for = ""

    def moved(self) -> None:
        """The engine has taken a request, or given one back: the next is judged by what is then."""
        self._load = None

    def forget(self, request_id: str) -> None:
        """The request waits no longer."""
        self._refused.forget(request_id)

    def ask(self, request_id: str, promoted: bool) -> bool:
        """Whether the next in order may start; what keeps it is in `refused`."""
        turn = self._asking.turns[request_id]
        first, self._asked = not self._asked, self._asked + 1
        word = f"reserved for {self.reserved_for}" if self.reserved_for else self._over(turn)
        if not word and self._gated and not self._passes(turn):
            if first and not self._now().running:
                self._asking.deciding.count("admit.overruled")
            elif not (promoted and self._pins_make_way(turn)):
                word = GATE
        if not word:
            self.forget(request_id)
            return True
        if word == GATE and promoted:
            self.reserved_for = request_id
        self._refused.alone(request_id, word)
        return False

    # --- the gate --------------------------------------------------------------------------------

    def _over(self, turn: Turn) -> str:
        """The word for a limit that leaves the turn no place; "" where all have one."""
        if not self._limits:
            return ""
        self._now()
        over = self._limits.over(turn.session.class_name, self._runs)
        return f"limit {over}" if over else ""

    def _passes(self, turn: Turn, pins_gone_tokens: int = 0) -> bool:
        """Ask `admit`, as if pins of so many tokens had been given back. A failing rule lets in; counted."""
        self._now()
        engine = self._seen_by(turn.session.class_name)
        if pins_gone_tokens:
            engine = _without_pins(engine, pins_gone_tokens)
        deciding, began = self._asking.deciding, self._asking.deciding.begins("admit")
        try:
            return self._asking.policy.scalar.admit(self._read(turn), engine)
        except Exception:
            deciding.fault("admit")
            return True
        finally:
            deciding.asked("admit", began)

    def _pins_make_way(self, turn: Turn) -> bool:
        """Let pins yield to a promoted request that the gate refuses, if that is what keeps it out."""
        calls = self._asking.calls
        own = turn.session.key
        others = [pin for pin in calls.keeping.yield_order(spare=own) if pin.session != own] if calls.ledger else []
        if not others or not self._passes(turn, sum(pin.tokens for pin in others)):
            return False
        for pin in others:
            calls.keeping.drop(pin.session, "yielded_promoted")
            self.moved()
            if self._passes(turn):
                return True
        return False

    # --- the engine now --------------------------------------------------------------------------

    def _now(self) -> EngineLoad:
        """The engine's load, and with it everything that an admission changes."""
        if self._load is not None:
            return self._load
        asking = self._asking
        pinned = asking.calls.ledger.tokens
        self._load = load = asking.engine.load()
        engine: dict[str, float | bool] = {**asking.snapshot(), **occupancy(load, pinned)}
        each = self._counts_classes or self._sums_seated or self._sums_classes
        running = asking.engine.running() if each else ()
        if self._sums_seated:
            engine[totals.SEATED] = totals.seated_tokens(running, asking.turns, pinned)
        if self._limits:
            of_class = totals.running_by_class(running, asking.turns) if self._counts_classes else {}
            self._runs = Runs(load.running, of_class, engine)
        if self._sums_classes:
            self._held_of = totals.tokens_by_class(running, asking.turns, asking.calls.ledger)
        self._snapshot = engine
        return load


def _without_pins(engine: Mapping[str, float | bool], tokens: int) -> dict[str, float | bool]:
    """As if pins of so many tokens had been given back."""
    held = ("engine.held_tokens", "engine.live_tokens", totals.SEATED, "engine.pinned_tokens")
    return {
        **engine,
        **{key: engine[key] - tokens for key in held},
        "engine.kv_free": engine["engine.kv_free"] + tokens,
    }
