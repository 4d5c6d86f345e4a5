"""A policy's text is compiled beside the engine, on a thread of its own, while the engine's steps go on.

Compiling takes as long as ten steps or a hundred, and the engine serves nobody while its thread does something else.
Python runs one thread at a time and changes every few milliseconds: a step of the meantime takes longer, none stands
still.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread

from engine_adapter.runtime.activation import compiled
from policy_dsl.compiled import CompiledPolicy


class Compiling:
    """One text on its way to be a policy; *path* names it for people, *words* are of its params."""

    def __init__(self, text: str, path: str, words: Sequence[str]) -> None:
        self.path = path
        self._of = (text, path, tuple(words))
        self._policy: CompiledPolicy | None = None
        self._problem: Exception | None = None
        self._thread = Thread(target=self._compile, name="lamps-compile", daemon=True)
        self._thread.start()

    def is_of(self, text: str, path: str, words: Sequence[str]) -> bool:
        """Whether it is this that is compiled."""
        return self._of == (text, path, tuple(words))

    @property
    def is_pending(self) -> bool:
        return self._thread.is_alive()

    def policy(self) -> CompiledPolicy:
        """The policy, as soon as it is there. Raises what `activation.compiled` does."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        assert self._policy is not None
        return self._policy

    def _compile(self) -> None:
        text, path, words = self._of
        try:
            policy = compiled(text, path, words)
            for part in ("scalar", "batch", "terms"):  # made when first read: here, not by the engine
                getattr(policy, part)
            self._policy = policy
        except Exception as problem:
            self._problem = problem
