"""What a rule about one request is asked with: the policy, the rows, the engine as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from engine_adapter.runtime.calls import Calls
from engine_adapter.runtime.deciding import Deciding
from engine_adapter.runtime.engine import Engine
from engine_adapter.runtime.turn import Turn, reader_of
from policy_dsl.compiled import CompiledPolicy

Row = Mapping[str, float | bool | str]
Snapshot = Mapping[str, float | bool]
Read = Callable[[Turn], Row]


@dataclass(frozen=True, slots=True)
class Asking:
    """The parts of a runtime that its rules about single requests share.

    *deciding*: what is asked about calls, and where faults of all rules are counted. *turns*: of all requests here, by
    id. *snapshot*: the engine's signals of this step.
    """

    policy: CompiledPolicy
    deciding: Deciding
    engine: Engine
    turns: Mapping[str, Turn]
    calls: Calls
    snapshot: Callable[[], Snapshot]

    def reader(self, keys: Iterable[str]) -> Read:
        """Reads *keys* off a turn, as they are now."""
        read = reader_of(keys, self.policy.scalar.hint)
        clock, step = self.engine.clock, self.deciding.step
        return lambda turn: read(turn, clock(), step())
