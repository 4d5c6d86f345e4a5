"""The engine as it is now: the signals that all decisions of a step are made by, read once and when first asked."""

from __future__ import annotations

from collections.abc import Mapping

from engine_adapter.runtime import totals
from engine_adapter.runtime.admission import Admission
from engine_adapter.runtime.calls import Calls
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, snapshot
from engine_adapter.runtime.service import Service
from engine_adapter.runtime.turn import Turn
from engine_adapter.runtime.waiting import Waiting
from policy_dsl.compiled import CompiledPolicy

Signals = Mapping[str, float | bool]


class Present:
    """Of one engine. It reads what the policy in force reads, so `govern` comes before the first `signals`."""

    def __init__(
        self, engine: Engine, costs: CostModel, calls: Calls, service: Service, turns: Mapping[str, Turn]
    ) -> None:
        self._engine, self._costs, self._calls, self._service, self._turns = engine, costs, calls, service, turns
        self._signals: Signals | None = None
        self._epoch = costs.epoch

    def govern(self, policy: CompiledPolicy, waiting: Waiting, admission: Admission) -> None:
        """*policy* is in force; *waiting* and *admission* are its own."""
        self._reads_seated = totals.SEATED in policy.engine_keys
        self._waiting, self._admission = waiting, admission
        self.forget()

    def forget(self) -> None:
        """The engine has changed, by a step or by a turn that ended."""
        self._signals = None

    def signals(self) -> Signals:
        """As of the first asking since the last change, by their names in the language."""
        if self._signals is None:
            self._signals = self._read()
            if self._costs.epoch != self._epoch:
                self._epoch = self._costs.epoch
                self._waiting.table.new_epoch()
        return self._signals

    def _read(self) -> Signals:
        engine, costs, calls = self._engine, self._costs, self._calls
        found = snapshot(
            engine.facts,
            engine.load(),
            costs.costs,
            costs.step_time_s,
            engine.clock(),
            len(calls.paused),
            calls.ledger.tokens,
            calls.copies.free_tokens,
            calls.copies.total_tokens,
        )
        found["engine.gated"] = float(self._admission.gated)
        found["engine.queue_time"] = self._service.queue_time_s
        if self._reads_seated:
            found[totals.SEATED] = totals.seated_tokens(engine.running(), self._turns, calls.ledger.tokens)
        return found
