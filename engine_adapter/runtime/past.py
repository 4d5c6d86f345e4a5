"""What is known of a session's turns so far, for a model that was trained on such: a value, small and of fixed size.

Training replays recorded sessions through the same functions, so that a model never sees in an engine what it has not
seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine_adapter.runtime.moments import NOTHING, Moments

# Turns and tools that are told one by one; those before are in the moments only.
KEPT_OUTPUTS = 4
KEPT_TOOLS = 2
# Of the prompt the last so many tokens are looked at: what is asked stands at its end.
KEPT_TOKENS = 128
USER = "user"


class Past(NamedTuple):
    """*turns*: ended ones, *calls* of them in a call, *run* of them since a person spoke. Lengths in tokens.

    *prompt*: of the present turn; *grown*: what it has beyond the turn before and its answer; *opening*: of the first
    turn. *outputs*, *tools*: of the last turns, the newest last (`USER`: the turn ended without a call). *call_s*:
    duration of the last call.
    """

    turns: int = 0
    calls: int = 0
    run: int = 0
    prompt: int = 0
    grown: int = 0
    opening: int = 0
    context: int = 0
    outputs: tuple[int, ...] = ()
    tools: tuple[str, ...] = ()
    call_s: float = 0.0

    def begun(self, prompt_tokens: int) -> Past:
        """A turn with this prompt has arrived."""
        grown = max(prompt_tokens - self.context, 0)
        return self._replace(prompt=prompt_tokens, grown=grown, opening=self.opening or prompt_tokens)

    def answered(self, output_tokens: int, tool: str) -> Past:
        """The turn has ended in a call of *tool*."""
        called = tool != USER
        return self._replace(
            turns=self.turns + 1,
            calls=self.calls + called,
            run=self.run + 1 if called else 0,
            context=self.prompt + output_tokens,
            outputs=(*self.outputs[1 - KEPT_OUTPUTS :], output_tokens),
            tools=(*self.tools[1 - KEPT_TOOLS :], tool),
        )

    def returned(self, duration_s: float) -> Past:
        """The call has returned."""
        return self._replace(call_s=duration_s)


NEW = Past()


class Case(NamedTuple):
    """A turn that has arrived, as a model sees it. *output*: moments of the session's answers so far. *tokens*: the
    last ones of the prompt, empty where they aren't known."""

    past: Past
    output: Moments = NOTHING
    may_call: bool = False
    tokens: Sequence[int] = ()
