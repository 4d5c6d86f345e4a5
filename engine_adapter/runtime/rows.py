"""Rows of the request table: the table that a policy needs, and the row that a waiting turn has in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine_adapter.runtime.few import OneByOne
from engine_adapter.runtime.steady import SteadyTable
from engine_adapter.runtime.table import WaitingTable
from engine_adapter.runtime.turn import Turn, Value, reader_of
from policy_dsl.compiled import CompiledPolicy


def table_of(policy: CompiledPolicy) -> WaitingTable:
    """An empty table for the rank of *policy*."""
    if policy.steady:
        return SteadyTable(policy.batch, policy.scalar.rank)
    return WaitingTable(policy.batch, one_by_one(policy))


def one_by_one(policy: CompiledPolicy) -> OneByOne:
    """The rules of *policy* about few rows."""
    return OneByOne(policy.scalar, policy.rank_keys, policy.promote_keys, policy.batch.texts.text)


def enter(table: WaitingTable, turn: Turn, row: Mapping[str, Value], now: float, step: int) -> None:
    """The turn waits in *table*; its waits so far count."""
    table.add(
        turn.id,
        row,
        arrival=turn.arrival,
        waited_s=turn.waited(now),
        waited_steps=turn.steps_waited(step),
        session_arrival=turn.session.arrival,
        session_waited_s=turn.session.waited_s,
        now=now,
        step=step,
        promoted=turn.promoted,
        class_name=turn.session.class_name,
    )


def tabled(policy: CompiledPolicy, turns: Iterable[Turn], now: float, step: int) -> WaitingTable:
    """A table of waiting *turns* for the rank of *policy*. Raises what reading their rows does."""
    table, read = table_of(policy), reader_of(policy.rank_keys, policy.scalar.hint)
    for turn in turns:
        enter(table, turn, read(turn, now, step), now, step)
    return table


def reads(policy: CompiledPolicy, *signals: str) -> bool:
    """Whether some rule of *policy* about rows reads one of *signals*."""
    keys = (policy.rank_keys, policy.row_keys, policy.call_keys, policy.paused_keys, policy.victim_keys)
    return not frozenset[str]().union(*keys).isdisjoint(signals)
