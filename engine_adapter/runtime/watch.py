"""What an engine's runtime tells whoever watches: the last decisions, how rules and predictions fare, latencies.

The runtime says what happened; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable

from engine_adapter.control.decision_log import DecisionLog
from engine_adapter.runtime.calibration import OUTPUT, Calibrations
from engine_adapter.runtime.journal import Entry, Journal
from engine_adapter.runtime.meter import Meter
from engine_adapter.runtime.turn import CallState, Turn
from policy_dsl.compiled import CompiledPolicy
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict, cheapest


class Watch:
    """Of one engine. Instants are of the engine's clock, seconds."""

    def __init__(self) -> None:
        self.meter, self.journal, self.calibrations = Meter(), Journal(), Calibrations()
        self.beside: Callable[[Turn, Verdict], None] | None = (
            None  # a shadow policy, told of each decision about a call
        )
        self._unanswered: dict[str, Turn] = {}  # admitted, and no token yet
        self._log: DecisionLog | None = None
        self._write: Callable[[Entry], None] | None = None

    def log_to(self, log: DecisionLog, in_force: Callable[[], CompiledPolicy]) -> None:
        """Write each decision to *log*, with the name and revision of the policy that is *in_force*."""

        def write(entry: Entry) -> None:
            policy = in_force()
            log.put(entry, policy.name, policy.revision)

        self._log, self._write = log, write
        self.journal.sinks.append(write)

    def close(self) -> None:
        """Nothing is logged any more."""
        if self._write is not None:
            self.journal.sinks.remove(self._write)
            self._write = None
        if self._log is not None:
            self._log.close()

    def admitted(self, turn: Turn, now: float, cached_tokens: int) -> None:
        """The turn began to run, with so many tokens found in the prefix cache."""
        meter = self.meter
        if not turn.preemptions:
            self._unanswered[turn.id] = turn
            meter.queue.add(now, turn.waited(now))
            meter.prompt_tokens += turn.prompt_tokens
            meter.cached_tokens += cached_tokens
        note = f"{cached_tokens:,} of {turn.context_tokens:,} tokens cached, waited {turn.waited(now):.1f} s"
        what = "admitted, promoted" if turn.promoted else "resumed" if turn.preemptions else "admitted"
        self.journal.note(now, "admit", what, request=turn.id, session=turn.session.key, note=note)

    def preempted(self, turn: Turn, now: float) -> None:
        note = f"{turn.context_tokens:,} tokens to compute again"
        self.journal.note(now, "preempt", "preempted", request=turn.id, session=turn.session.key, note=note)

    def stepped(self, now: float, has_token: Callable[[str], bool]) -> None:
        """A step is done: *has_token* says whether a request that runs has generated a token."""
        if self._unanswered:
            for name in [name for name in self._unanswered if has_token(name)]:
                self.meter.first_token.add(now, now - self._unanswered.pop(name).arrival)

    def ended(self, turn: Turn, now: float, aborted: bool) -> None:
        """The turn is over."""
        meter = self.meter
        turn.ended_at = now
        meter.generated_tokens += turn.generated_tokens
        waited_for = self._unanswered.pop(turn.id, None) is not None
        if waited_for and turn.generated_tokens:
            meter.first_token.add(now, now - turn.arrival)
        if not aborted:
            meter.turns += 1
            meter.turn.add(now, now - turn.arrival)

    def decided(self, turn: Turn, now: float, verdict: Verdict) -> None:
        """`on call` was asked about a turn that has ended."""
        assert turn.call is not None
        turn.call.line = verdict.line
        if self.beside is not None:
            self.beside(turn, verdict)
        self.journal.use("on call", verdict.line).count += 1
        chosen = cheapest([(cost, allowed) for _, cost, allowed in verdict.costs])
        self.journal.note(
            now,
            "call",
            described(verdict),
            request=turn.id,
            session=turn.session.key,
            line=verdict.line,
            note=turn.call.tool,
            values=turn.call.decided or {},
            arms=[(text, cost, allowed, i == chosen) for i, (text, cost, allowed) in enumerate(verdict.costs)],
        )

    def pin_lost(self, session: str, now: float, tokens: int, why: str) -> None:
        """A paused session's KV is no longer held."""
        note = f"{tokens:,} tokens of KV given up"
        self.journal.note(now, "pin", why.replace("_", ", "), session=session, note=note)

    def changed(self, turn: Turn, now: float, handling: Handling, how: str) -> None:
        """Another handling is in force for a paused session: *how*: "followed" in its time, "redecided"."""
        self.journal.note(now, "call", f"{handling.word}, {how}", request=turn.id, session=turn.session.key)

    def returned(self, call: CallState, now: float) -> None:
        """A call has returned."""
        self.calibrations.add(call.tool, "s", call.duration, now - call.since)

    def answered(self, turn: Turn, tool: str) -> None:
        """A turn's whole answer is known, and that it ended in a call of *tool*.

        One that was preempted had a forecast of the rest alone, and where nobody asked there is none.
        """
        if self._write is not None:
            self._write(_ended(turn, tool))
        if turn.is_foreseen and not turn.preemptions:
            self.calibrations.add(OUTPUT, "tok", turn.forecast.output, turn.generated_tokens)


def described(verdict: Verdict) -> str:
    """The handlings of *verdict* in turn: "preserve for 4 s, discard"."""
    return ", ".join(
        handling.word if lasts_s is None else f"{handling.word} for {lasts_s:.3g} s"
        for handling, lasts_s in verdict.holds
    )


def _ended(turn: Turn, tool: str) -> Entry:
    """How a turn ended, for the log alone: nothing was decided. `lamps predictor train` learns from it."""
    numbers: dict[str, float | bool | str] = {
        "request.arrival": turn.arrival,
        "request.prompt": float(turn.prompt_tokens),
        "request.generated": float(turn.generated_tokens),
    }
    return Entry(
        0, turn.ended_at, "turn", "ended", request=turn.id, session=turn.session.key, note=tool, values=numbers
    )
