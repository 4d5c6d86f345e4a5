"""`class`: the group a session belongs to, decided at its first turn and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from engine_adapter.runtime.turn import Turn, reader_of
from policy_dsl.compiled import CompiledPolicy


class Classes:
    """The classes of one policy. A condition that fails: the last class, which takes all; counted by *fault*."""

    def __init__(self, policy: CompiledPolicy, fault: Callable[[str], None]) -> None:
        self._names = tuple(policy.classes)
        self._scalar = policy.scalar
        self._fault = fault
        self._read = reader_of(policy.class_keys, policy.scalar.hint)

    def assign(self, turn: Turn, now: float) -> None:
        """Put the session of *turn* into its class, unless it is in one."""
        session = turn.session
        if not self._names or session.class_name in self._names:
            return
        try:
            session.class_name = self._scalar.class_of(self._read(turn, now, 0))
        except Exception:
            self._fault("class")
            session.class_name = self._names[-1]
        session.attributes = self._scalar.attributes(session.class_name)

    def adopt(self, turns: Iterable[Turn], now: float) -> None:
        """These classes hold from now on: sessions keep one of the same name, as it is now."""
        for turn in turns:
            session = turn.session
            session.class_name = session.class_name if session.class_name in self._names else ""
            session.attributes = self._scalar.attributes(session.class_name)
            self.assign(turn, now)


@contextmanager
def as_classed_by(policy: CompiledPolicy, turns: Sequence[Turn], now: float) -> Iterator[None]:
    """For the block the sessions of *turns* are in the classes that *policy* would give them."""
    sessions = {turn.session.key: turn.session for turn in turns}.values()
    before = [(session, session.class_name, session.attributes) for session in sessions]
    try:
        Classes(policy, lambda rule: None).adopt(turns, now)
        yield
    finally:
        for session, name, attributes in before:
            session.class_name, session.attributes = name, attributes
