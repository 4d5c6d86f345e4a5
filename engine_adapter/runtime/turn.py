"""One turn of a session as the runtime sees it, and the signals that are read off it.

A turn is a request from arrival to its last token, and after that, while its session waits for a
call, what is remembered of it. `SIGNALS` says for row signals of the catalogue how they are had; of
those it lacks the catalogue's default is reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from engine_adapter.runtime.forecast import Forecast
from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.modes import Modes, left_of, step_of
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.tenants import Account
from policy_dsl.catalogue import Signal, signal_of
from policy_dsl.prediction import Dist
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict

Value = float | bool | str


@dataclass(slots=True)
class Turn:
    """State of one turn. Times in seconds of the engine's clock, lengths in tokens."""

    id: str
    session: Session
    hints: Hints
    foresee: Callable[..., Forecast]
    arrival: float
    prompt_tokens: int
    block_size: int
    may_call: bool = False
    label: str = ""  # the API server's name for this turn, by which it reports how it ended
    priority: float = 0.0
    context_tokens: int = 0
    cached_tokens: int = 0
    pinned_tokens: int = 0
    generated_tokens: int = 0
    preemptions: int = 0
    running_since: float | None = None
    service_s: float = 0.0
    # Wait of this turn: what has added up, and since when it waits now.
    waited_s: float = 0.0
    waited_steps: int = 0
    waiting_since: float | None = None
    waiting_since_step: int = 0
    promoted: bool = False
    account: Account = field(default_factory=Account)  # its tenant's
    queued_before_tokens: int = 0  # its tenant's own that wait in front of it, as of the last ranking that asked
    charged_tokens: int = 0  # generated ones that its tenant was charged for
    planned_tokens: float | None = None  # context expected at the end of the turn; None where nobody has asked
    # What `on call at arrival` said of its call, and the values it read; None where the policy decides at the call.
    foreseen: Verdict | None = None
    decided: Mapping[str, Value] | None = None
    fcfs_wait_s: float = 0.0  # what first come, first served would have made it wait, as of its arrival
    ended_at: float = 0.0
    # The call this turn ended in; None before.
    call: CallState | None = field(default=None)
    # What a trained model says of it, and the length that the online statistics expected; None where there is none.
    foretold: Foretold | None = None
    online_tokens: float = 0.0
    _forecast: Forecast | None = field(default=None)

    @property
    def forecast(self) -> Forecast:
        """How the turn goes on, as `foresee` says when first asked: most policies never ask (12 us a turn)."""
        if self._forecast is None:
            self._forecast = self.foresee()
        return self._forecast

    @forecast.setter
    def forecast(self, forecast: Forecast) -> None:
        self._forecast = forecast

    @property
    def is_foreseen(self) -> bool:
        """Whether anybody has asked for the forecast."""
        return self._forecast is not None

    def foresee_with(self, foretold: Foretold) -> None:
        """The forecast is to be made with what a trained model says."""
        self.foresee = partial(self.foresee, foretold=foretold)
        self._forecast = None
        if self.generated_tokens:
            forecast = self.forecast
            self._forecast = replace(forecast, output=forecast.output.remaining(float(self.generated_tokens)))

    def progress(self, context_tokens: int) -> None:
        """It runs, and its context has grown to so many tokens."""
        self.context_tokens = context_tokens
        self.generated_tokens = context_tokens - self.prompt_tokens

    def waited(self, now: float) -> float:
        """Seconds waited in this turn so far."""
        return self.waited_s + (now - self.waiting_since if self.waiting_since is not None else 0.0)

    def steps_waited(self, step: int) -> int:
        """Engine steps waited in this turn so far."""
        return self.waited_steps + (step - self.waiting_since_step if self.waiting_since is not None else 0)


@dataclass(slots=True)
class CallState:
    """A call that is running: the tool, when it began (and in which step), the session's context then, what was
    expected of it (*modes*: how the tool's durations are spread).

    *decided*: what `on call` read when it was asked, by key; None before, and where it failed. *held_by*: what kept
    the KV from being preserved whatever the policy said ("kv", "limit pinned"), "" where nothing did. *line*: of the
    policy, where the answer stands.
    """

    tool: str
    count: int
    since: float
    context_tokens: int
    duration: Dist
    response: Dist
    modes: Modes = ()
    decided: Mapping[str, Value] | None = None
    line: int = 0
    held_by: str = ""
    since_step: int = 0
    _left: tuple[int, Dist] | None = (
        None  # `left_of` as of a step: 28 us, and all that is paused is asked under pressure
    )

    def lasting(self, elapsed_s: float) -> Dist:
        """How long it takes in all, given that it has run so long: as `modes.outlasting` says."""
        if not self.modes or not 0.0 < elapsed_s < math.inf:
            return self.duration.conditioned(elapsed_s)
        step = step_of(elapsed_s)
        if self._left is None or self._left[0] != step:
            self._left = step, left_of(self.duration, self.modes, step)
        return self._left[1].conditioned(elapsed_s)


def _call_context(turn: Turn) -> float:
    if turn.call is not None:
        return float(turn.call.context_tokens)
    return turn.context_tokens + turn.forecast.output.mean


def _elapsed(turn: Turn, now: float) -> float:
    return now - turn.call.since if turn.call is not None else 0.0


def _duration(turn: Turn, now: float) -> Dist:
    """Of a running call: given that it takes longer than it has run."""
    call = turn.call
    return turn.forecast.duration if call is None else call.lasting(_elapsed(turn, now))


def _seated_for(turn: Turn, now: float) -> float:
    since = turn.session.seated_since
    return 0.0 if since is None else now - since


def _service(turn: Turn, now: float) -> float:
    """Of the session's ended turns, and of this one while it runs."""
    return turn.session.service_s + (0.0 if turn.running_since is None else now - turn.running_since)


def _decided(turn: Turn) -> float:
    """The code of what was decided at arrival; that of none where the policy decides at the call."""
    return float(Handling.NONE if turn.foreseen is None else turn.foreseen.holds[0][0])


def _deadline(turn: Turn) -> float:
    return math.inf if turn.hints.deadline_s is None else turn.arrival + turn.hints.deadline_s


Hint = Callable[[str, object], Value]
Reader = Callable[[Turn, float, int], "Value | Dist"]

SIGNALS: dict[str, Reader] = {
    "request.arrival": lambda t, now, step: t.arrival,
    "request.age": lambda t, now, step: max(now - t.arrival, 0.0),  # of one instant, arrivals differ by a hair
    "request.prompt": lambda t, now, step: float(t.prompt_tokens),
    "request.generated": lambda t, now, step: float(t.generated_tokens),
    "request.context": lambda t, now, step: float(t.context_tokens),
    "request.cached": lambda t, now, step: float(t.cached_tokens),
    "request.pinned": lambda t, now, step: float(t.pinned_tokens),
    "request.uncached": lambda t, now, step: float(max(t.context_tokens - t.cached_tokens, 0)),
    "request.blocks": lambda t, now, step: float(-(-t.context_tokens // t.block_size)),
    "request.waited": lambda t, now, step: t.waited(now),
    "request.waited_steps": lambda t, now, step: float(t.steps_waited(step)),
    "request.preemptions": lambda t, now, step: float(t.preemptions),
    "request.promoted": lambda t, now, step: t.promoted,
    "request.unshared_blocks": lambda t, now, step: float(-(-t.context_tokens // t.block_size)),
    "request.priority": lambda t, now, step: t.priority,
    "request.deadline": lambda t, now, step: _deadline(t),
    "session.arrival": lambda t, now, step: t.session.arrival,
    "session.age": lambda t, now, step: now - t.session.arrival,
    "session.turn": lambda t, now, step: float(t.session.turn),
    "session.waited": lambda t, now, step: t.session.waited_s + t.waited(now),
    "session.service": lambda t, now, step: _service(t, now),
    "session.seated": lambda t, now, step: t.session.seated_since is not None,
    "session.seated_for": lambda t, now, step: _seated_for(t, now),
    "tenant.name": lambda t, now, step: t.session.tenant,
    "tenant.running": lambda t, now, step: float(t.account.running),
    "tenant.service": lambda t, now, step: t.account.served_s(now),
    "tenant.charged_prompt": lambda t, now, step: t.account.charged_prompt,
    "tenant.charged_output": lambda t, now, step: t.account.charged_output,
    "tenant.queued_before": lambda t, now, step: float(t.queued_before_tokens),
    "call.tool": lambda t, now, step: t.call.tool if t.call is not None else t.forecast.tool,
    "call.chance": lambda t, now, step: 1.0 if t.call is not None else t.forecast.chance,
    "call.returns": lambda t, now, step: t.forecast.returns,
    "call.duration": lambda t, now, step: _duration(t, now),
    "call.elapsed": lambda t, now, step: _elapsed(t, now),
    "call.remaining": lambda t, now, step: max(_duration(t, now).mean - _elapsed(t, now), 0.0),
    "call.context": lambda t, now, step: _call_context(t),
    "call.unshared": lambda t, now, step: _call_context(t),
    "call.last": lambda t, now, step: t.hints.call_returns == 0.0,
    "call.response": lambda t, now, step: t.call.response if t.call is not None else t.forecast.response,
    "call.count": lambda t, now, step: float(t.call.count if t.call is not None else t.forecast.count),
    "call.decided": lambda t, now, step: _decided(t),
    "request.fcfs_wait": lambda t, now, step: t.fcfs_wait_s,
    "session.output_left": lambda t, now, step: t.forecast.output.mean + t.forecast.left.output,
    "session.calls_left": lambda t, now, step: t.forecast.left.calls,
    "session.call_time_left": lambda t, now, step: t.forecast.left.call_time_s,
    "predict.output": lambda t, now, step: t.forecast.output,
    "predict.output_after": lambda t, now, step: t.forecast.output_after,
}


def reader_of(keys: Iterable[str], hint: Hint) -> Callable[[Turn, float, int], Mapping[str, Value]]:
    """A function that reads *keys* (signals, or statistics of a distribution) off a turn.

    *hint* makes a value of what the client gave for a hint that the policy declares, or of None. A
    signal that isn't known here has the catalogue's default. Raises KeyError for what is no signal.
    """
    plan = []
    for key in sorted(keys):
        signal = signal_of(key)
        get = _declared(key, hint) or SIGNALS.get(signal.name) or _default(signal)
        plan.append((key, get, key[len(signal.name) + 1 :] or "mean"))

    def read(turn: Turn, now: float, step: int) -> Mapping[str, Value]:
        row: dict[str, Value] = {}
        for key, get, statistic in plan:
            value = get(turn, now, step)
            row[key] = value.stat(statistic) if isinstance(value, Dist) else value
        return row

    return read


def _declared(key: str, hint: Hint) -> Reader | None:
    """For what a policy declares: a hint as it reads it, or an attribute of the session's class; None for the rest."""
    group, _, name = key.partition(".")
    match group:
        case "hint":
            return lambda t, now, step: hint(name, t.hints.declared.get(name))
        case "class":
            return lambda t, now, step: t.session.attributes.get(key, 0.0)
        case _:
            return None


def _default(signal: Signal) -> Reader:
    return lambda t, now, step: signal.default
