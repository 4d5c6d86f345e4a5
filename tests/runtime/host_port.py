"""A made-up engine whose KV can move to host memory: blocks are numbers, copies are done when the test says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineLoad, Held
from engine_adapter.runtime.host import HostMemory
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load_text
from tests.runtime.test_core import FACTS, arrive

BLOCK = FACTS.block_size


@dataclass
class HostWorld:
    """*taken*: references on blocks that the runtime holds. *under_way*: blocks of a session's copy not reported yet;
    *copied*: those told to the port at all, by session, until it is dropped."""

    now: float = 0.0
    host_tokens: int = 4_000
    refuses: bool = False
    taken: Counter[int] = field(default_factory=Counter)
    under_way: dict[str, int] = field(default_factory=dict)
    copied: dict[str, list[Any]] = field(default_factory=dict)
    foreseen: dict[str, str] = field(default_factory=dict)
    moved_in_step: int = 0
    count: int = 0

    def runtime(self, rules: str, **facts: Any) -> Runtime:
        """A runtime under these rules, on an engine that swaps."""
        loaded = load_text(f'lamps 1\npolicy tried "a test"\n{rules}\n')
        assert loaded.policy is not None, loaded.diagnostics
        engine = Engine(
            replace(FACTS, **{"can_swap": True, **facts}),
            load=lambda: EngineLoad(running=1, waiting=0, running_tokens=500, free_tokens=5_000),
            release=self.taken.subtract,
            clock=lambda: self.now,
            host=HostMemory(self.host_tokens, self._foresee, self._store, self._drop),
        )
        return Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel())

    def turn(self, runtime: Runtime, name: str, session: str, tokens: int = 128, **hints: Any) -> None:
        """A turn of *session* arrives, runs and ends in a call of "x"."""
        start(runtime, name, session, tokens - 20, **{"lamps_call_tool": "x", **hints})
        self.end(runtime, name, tokens)

    def end(self, runtime: Runtime, name: str, tokens: int = 128, aborted: bool = False) -> None:
        runtime.ended(Ended(name, 20, tokens, aborted, []), hold=lambda: self._hold(tokens))

    def finish_copies(self, runtime: Runtime, session: str | None = None, blocks: int | None = None) -> None:
        """The port reports what it has copied: all, or so many blocks of one session."""
        for key in [session] if session is not None else list(self.under_way):
            done = self.under_way[key] if blocks is None else blocks
            self.under_way[key] -= done
            if not self.under_way[key]:
                del self.under_way[key]
            runtime.calls.stored(key, done)

    def step(self, runtime: Runtime, after_s: float = 0.01) -> None:
        self.now += after_s
        self.moved_in_step = 0
        runtime.begin_step()

    @property
    def held(self) -> int:
        """Blocks with a reference of the runtime's."""
        assert all(count in (0, 1) for count in self.taken.values())
        return sum(self.taken.values())

    def _hold(self, tokens: int) -> Held:
        blocks = tuple(range(self.count, self.count + tokens // BLOCK))
        self.count += len(blocks)
        self.taken.update(blocks)
        return Held(blocks, len(blocks) * BLOCK)

    def _foresee(self, request_id: str, session: str) -> None:
        self.foreseen[session] = request_id

    def _store(self, session: str, request_id: str, blocks: tuple[Any, ...]) -> int | None:
        if self.refuses:
            return None
        assert all(self.taken[block] == 1 for block in blocks), "a copy is made of blocks that are held"
        self.foreseen.pop(session, None)
        self.copied.setdefault(session, []).extend(blocks)
        self.under_way[session] = self.under_way.get(session, 0) + len(blocks)
        self.moved_in_step += len(blocks) * BLOCK
        return len(blocks)

    def _drop(self, session: str) -> None:
        self.foreseen.pop(session, None)
        self.copied.pop(session, None)
        self.under_way.pop(session, None)


def start(runtime: Runtime, name: str, session: str, tokens: int = 108, **hints: Any) -> None:
    """A turn of *session* arrives and is admitted."""
    arrive(runtime, name, tokens, session, **hints)
    runtime.dequeue(name)
    runtime.admitted({name: 0})


def in_force(runtime: Runtime, session: str) -> str:
    return runtime.calls.paused[session].handling.word
