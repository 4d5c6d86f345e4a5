"""The requests that wait, under one policy: their rows in the table, their order, who of them is promoted."""

from __future__ import annotations

from collections.abc import Iterable

from engine_adapter.runtime.asking import Asking
from engine_adapter.runtime.backlog import Backlog
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.rows import enter, reads, table_of
from engine_adapter.runtime.service import Service
from engine_adapter.runtime.table import LetsIn, Place
from engine_adapter.runtime.turn import Turn, reader_of
from engine_adapter.runtime.volatile import Volatile

# A request that has waited this long in its turn goes first, whatever the policy says; it is looked for once a second.
WATCHDOG_S = 600.0


class Waiting:
    """The waiting *turns*, ranked by the policy of *asking*. Raises what reading their rows does."""

    def __init__(self, asking: Asking, service: Service, costs: CostModel, turns: Iterable[Turn] = ()) -> None:
        policy = asking.policy
        self._asking, self._service = asking, service
        self._read = reader_of(policy.rank_keys, policy.scalar.hint)
        self.table = table_of(policy)
        self._volatile = Volatile(asking, service, policy.batch.step_keys)
        self._backlog = Backlog(costs) if reads(policy, "request.fcfs_wait") else None
        # A lookup in the prefix cache at every arrival (14 us) is for policies that ask what it found.
        self.reads_cached = asking.engine.facts.can_preserve and reads(policy, "request.cached", "request.uncached")
        self.as_of = object()
        """Another whenever one has come, or is another to the rank by more than time and what the engine does."""
        for turn in turns:
            self._add(turn, asking.engine.clock(), asking.deciding.step())

    def __len__(self) -> int:
        return len(self.table)

    def turns(self) -> list[Turn]:
        """The turns that wait, with what the last ranking has said of their promotion."""
        waiting = [self._asking.turns[name] for name in self.table.ids]
        for turn in waiting:
            turn.promoted |= self.table.is_promoted(turn.id)
        return waiting

    def foresee(self, turn: Turn) -> None:
        """A newcomer, which doesn't wait yet: how long it would, served in order of arrival."""
        if self._backlog is not None:
            engine = self._asking.engine
            load = engine.load()
            room_tokens = load.free_tokens if load.running < engine.facts.seats else 0
            turn.fcfs_wait_s = self._backlog.wait_s(load.running_tokens, room_tokens)

    def enter(self, turn: Turn) -> None:
        """The turn waits (again)."""
        now, step = self._asking.engine.clock(), self._asking.deciding.step()
        self._service.waits(turn, now, step)
        self._add(turn, now, step)

    def _add(self, turn: Turn, now: float, step: int) -> None:
        if self._backlog is not None:
            self._backlog.add(turn)
        enter(self.table, turn, self._read(turn, now, step), now, step)
        self.as_of = object()

    def leave(self, request_id: str) -> bool:
        """The request waits no longer; whether it was promoted."""
        if self._backlog is not None:
            self._backlog.remove(request_id)
        return self.table.remove(request_id)

    def reread(self, turn: Turn) -> None:
        """What is known of the turn has changed: if it waits, it is ranked anew."""
        if turn.id in self.table:
            row = self._read(turn, self._asking.engine.clock(), self._asking.deciding.step())
            self.table.update(turn.id, row)
            self.as_of = object()
            if self._backlog is not None:
                self._backlog.remove(turn.id)
                self._backlog.add(turn)

    def look_up(self) -> None:
        """What is in the prefix cache of those that came while nobody asked."""
        for turn in self.turns():
            found = self._asking.engine.cached_tokens(turn.id)
            if found > turn.cached_tokens:
                turn.cached_tokens = found
                self.reread(turn)

    def first(self, count: int, lets_in: LetsIn | None = None) -> list[str]:
        """The *count* requests that go next, in order; only those that *lets_in* lets in.

        A failing rule: arrival order, counted.
        """
        asking, deciding, began = self._asking, self._asking.deciding, self._asking.deciding.begins("rank")
        try:
            if self._volatile:
                self._volatile.rewrite(self.table)
            engine = asking.snapshot() if lets_in is not None or self.table.asks_engine else {}
            now, step = asking.engine.clock(), deciding.step()
            if lets_in is None:
                found = self.table.first(count, engine, now, step)
            else:
                found = self.table.first_open(count, engine, now, step, lets_in)
        except Exception:
            deciding.raised("rank", began)
            return self.table.by_arrival(count)
        deciding.asked("rank", began, len(self.table))
        if self.table.nans:
            deciding.no_number("rank", self.table.nan_rows / len(self.table), self.table.nans)
            self.table.nans = 0
        return found

    def places(self, count: int) -> list[Place]:
        """The first *count* with what put them there, for people. A failing rule: none."""
        asking = self._asking
        try:
            return self.table.places(count, asking.snapshot(), asking.engine.clock(), asking.deciding.step())
        except Exception:
            asking.deciding.fault("rank")
            return []

    def promote_forgotten(self, now: float) -> list[str]:
        """Promote who has waited `WATCHDOG_S` in this turn; who that is."""
        promoted = self.table.promote_waiting_since(now - WATCHDOG_S)
        if promoted:
            self.as_of = object()
        return promoted
