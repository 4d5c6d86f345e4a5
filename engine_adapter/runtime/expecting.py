"""What is expected of turns and calls, and what is learned from how they went.

Lessons are put off until there is time; whoever asks what to expect has them learned first.
"""

from __future__ import annotations

from functools import partial

from engine_adapter.runtime.calls import USER
from engine_adapter.runtime.forecast import Forecast
from engine_adapter.runtime.foretelling import Foretelling
from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.later import Later
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.turn import CallState, Turn
from engine_adapter.runtime.watch import Watch


class Expecting:
    """Of one engine: by *predictor*, and by a trained model where there is one (`foretelling`)."""

    def __init__(self, predictor: Predictor, watch: Watch, later: Later) -> None:
        self.predictor = predictor
        self.foretelling: Foretelling | None = None
        self.no_model = ""
        """Why no trained model foretells, where one was wanted."""
        self._watch, self._later = watch, later

    def forecast(
        self,
        session: Session,
        hints: Hints,
        max_tokens: int | None,
        foretold: Foretold | None = None,
    ) -> Forecast:
        """How a turn of *session* that has arrived goes on; as for `Predictor.forecast`."""
        self._later.do()
        return self.predictor.forecast(session, hints, hints.may_call, max_tokens, foretold)

    def begin_call(self, turn: Turn, tools: tuple[str, ...], now: float, step: int) -> CallState:
        """What is known of a call that starts now: of several, the tool expected to take longest."""
        self._later.do()
        call = self.predictor.call(turn.session, turn.hints, tools or (USER,))
        return CallState(
            tool=call.tool,
            count=max(len(tools), 1),
            since=now,
            context_tokens=turn.context_tokens,
            duration=call.duration,
            response=call.response,
            modes=call.modes,
            since_step=step,
        )

    def begin_turn(self, session: Session, prompt_tokens: int, call: CallState | None, now: float) -> None:
        """A turn of *session* has arrived; *call* is what it comes back from."""
        if call is not None:
            response_tokens = max(prompt_tokens - call.context_tokens, 0)
            self.predictor.learn_call(session, call.tool, now - call.since, response_tokens)
            self._watch.returned(call, now)
        self.predictor.begin_turn(session, prompt_tokens)

    def ended(self, turn: Turn, outcome: str) -> None:
        """It is known how a turn has ended: in a "call", or at its "end"."""
        self._later.put(partial(self._learn, turn, outcome))

    def lost(self, session: Session) -> None:
        """A session never came back."""
        self.predictor.learn_loss(session.last_tool or USER)

    def _learn(self, turn: Turn, outcome: str) -> None:
        tool = turn.call.tool if turn.call is not None else USER
        self._watch.answered(turn, tool)
        if self.foretelling is not None:
            self.foretelling.ended(turn)
        self.predictor.learn_turn(turn.session, turn.hints, turn.generated_tokens, outcome == "call", tool)
