"""Predictions learned online: how a turn will go on, which call it ends in, how long that takes.

Everything is a running mean over a class of alike cases, and classes are nested: a case seen seldom
leans on the wider class, that on all, that on a default. For what is generated and called, a class is
what the session's last call was, who the tenant is, and how long its first prompt was (which tells
kinds of task apart better than anything else the engine sees); for a call, its tool. A person's
answer is a call of the tool "user". What the client says (hints) is a fact and wins.

Forgetting is exponential, the number of classes bounded, every operation O(1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from engine_adapter.runtime.forecast import CallForecast, Forecast
from engine_adapter.runtime.foretold import Foretold
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.learned import ALL, MOST_CLASSES, Classes, Key
from engine_adapter.runtime.modes import ByMagnitude
from engine_adapter.runtime.moments import NOTHING, WINDOW, Moments, leaned, mixed, shrunk
from engine_adapter.runtime.past import USER
from engine_adapter.runtime.runs import MOST_TURNS, Left, Runs, Step, classes_of
from engine_adapter.runtime.sessions import Session
from policy_dsl.prediction import Dist

# What is believed before anything was seen; reported with known = False. Durations in seconds,
# lengths in tokens; sigma 1 throughout: a 90 % quantile 3.6 times the median.
DEFAULT_DURATION_S = 5.0  # between a calculator (0.1 ms) and image generation (20 s), nearer what waits
DEFAULT_USER_S = 30.0  # ShareGPT gaps average 28.6 s (InferCept, arXiv 2402.01869, table 1)
DEFAULT_RESPONSE_TOKENS = 32.0  # that paper's shipped trace averages 26
DEFAULT_OUTPUT_TOKENS = 128.0  # its turns average 72, its sessions 371
DEFAULT_CHANCE = 0.5  # that a turn which may call does
DEFAULT_RETURNS = 1.0  # that a tool answers,
DEFAULT_USER_RETURNS = 0.5  # and that a person does
# Smallest values told apart: logarithms of 0 don't exist.
LEAST_DURATION_S = 1e-5
LEAST_TOKENS = 0.5

# A class counts fully once it has seen several times as much as this.
_LEAN = 4.0
# Whether a session calls is foretold better by where it stands than by its past (benchmarks/predictor.py, R^2 of the
# chance in the three traces: 0.91, -0.03, 0.28 with 4; 0.99, 0.02, 0.28 with 16; 1.00, 0.05, 0.19 without its past).
_LEAN_CHANCE = 16.0
# Few measurements of a tool say little about its spread: as if two more had sigma 0.5.
_SPREAD, _SPREAD_WEIGHT = 0.25, 2.0
# A tool is named in a forecast if this share of the class's calls go to it, else the forecast is a mixture.
_SURE = 0.8
_MOST_NEXT = 8

State = dict[str, dict[Key, Moments]]


def _default(mean: float) -> Moments:
    return Moments(0.0, mean, math.log(mean) - 0.5, 1.0)


_OUTPUT = _default(DEFAULT_OUTPUT_TOKENS)
_RESPONSE = _default(DEFAULT_RESPONSE_TOKENS)
_DURATION = _default(DEFAULT_DURATION_S)
_USER_DURATION = _default(DEFAULT_USER_S)


class Predictor:
    """What one engine has learned. Not thread-safe, except `state`."""

    def __init__(self) -> None:
        self._duration, self._response, self._returns = Classes(), Classes(), Classes()  # by (tool,), (), tenant
        self._output, self._chance = Classes(), Classes()  # by (tenant, last tool, opening), its first two, ()
        self._modes = ByMagnitude(LEAST_DURATION_S)
        self._runs = Runs()
        self._next: dict[Key, dict[str, float]] = {}  # tools called, by the same classes: forgetting counts

    # --- predictions -----------------------------------------------------------------------------

    def begin_turn(self, session: Session, prompt_tokens: int) -> None:
        """A turn of *session* has arrived: the first one's prompt tells its class."""
        session.opening = session.opening or prompt_tokens.bit_length()
        session.past = session.past.begun(prompt_tokens)

    def output_tokens(self, session: Session) -> float:
        """The expected length of the answer of a turn that has arrived, by what was learned here."""
        return self._output_of(session, _classes(session.tenant, session.last_tool, session.opening)).mean

    def forecast(
        self,
        session: Session,
        hints: Hints,
        may_call: bool,
        max_tokens: int | None,
        foretold: Foretold | None = None,
    ) -> Forecast:
        """How a turn that has arrived will go on. *may_call*: tools are offered; *max_tokens*: None without bound.

        *foretold*: what a trained model says of it; it counts for more than what was learned here, and less than hints.
        """
        classes = _classes(session.tenant, session.last_tool, session.opening)
        counts = self._counts(classes) if foretold is None or not foretold.tools else foretold.tools
        chance = self._chance_of_call(session, hints, may_call, classes, foretold)
        tool = hints.call_tool if chance >= 0.5 and hints.call_tool else USER
        if chance >= 0.5 and not hints.call_tool:
            tool = _likely_tool(counts)
        if foretold is None:
            output = self._output_of(session, classes)
            after = self._output_of(session, _classes(session.tenant, tool, session.opening))
        else:
            output, after = foretold.output, foretold.after
        if hints.output_tokens is not None:
            output = Dist.point(hints.output_tokens)
        if hints.output_after_tokens is not None:
            after = Dist.point(hints.output_after_tokens)
        if max_tokens is not None:
            output = output.capped(max(max_tokens, 0))
        return Forecast(
            tool=tool,
            chance=chance,
            returns=self._returns_of(tool) if hints.call_returns is None else hints.call_returns,
            count=1.0,
            duration=self._duration_of(tool, session, counts)
            if hints.call_duration_s is None
            else Dist.point(hints.call_duration_s),
            response=self._response_of(tool, session, counts)
            if hints.call_response_tokens is None
            else Dist.point(hints.call_response_tokens),
            output=output,
            output_after=after,
            left=self._left(session, hints, chance, after.mean),
        )

    def call(self, session: Session, hints: Hints, tools: tuple[str, ...]) -> CallForecast:
        """A call of *tools*, at least one, that begins now; in parallel, so it lasts as long as the longest."""
        counts = self._counts(_classes(session.tenant, session.last_tool, session.opening))
        tool = tools[0]
        if len(tools) > 1:
            tool = max(tools, key=lambda name: self._duration_of(name, session, counts).mean)
        duration, response = hints.call_duration_s, hints.call_response_tokens
        if hints.call_tool is not None and hints.call_tool not in tools:
            duration = response = None  # the client spoke of another call
        return CallForecast(
            tool,
            self._duration_of(tool, session, counts) if duration is None else Dist.point(duration),
            self._response_of(tool, session, counts) if response is None else Dist.point(response),
            self._modes.modes(tool) if duration is None else (),
        )

    @staticmethod
    def remaining(forecast: Forecast, generated_tokens: int) -> Forecast:
        """The forecast of a turn that has generated so much already."""
        return replace(forecast, output=forecast.output.remaining(float(generated_tokens)))

    # --- learning --------------------------------------------------------------------------------

    def learn_turn(self, session: Session, hints: Hints, output_tokens: int, ended_in_call: bool, tool: str) -> None:
        """A turn of *session* has ended after *output_tokens*, in a call of *tool* (USER: without)."""
        classes = _classes(session.tenant, session.last_tool, session.opening)
        self._output.learn(classes, output_tokens, LEAST_TOKENS)
        session.output = session.output.seen(output_tokens, LEAST_TOKENS)
        if hints.may_call or ended_in_call:
            self._chance.learn(classes, float(ended_in_call), LEAST_TOKENS)
            session.calls += ended_in_call
            session.ended += 1
        if ended_in_call:
            for key in classes:
                self._count_next(key, tool)
        del session.run[:-MOST_TURNS]
        session.run.append(Step(_run_classes(session), output_tokens))
        if not ended_in_call:
            self._runs.ended(session.run)
            session.run.clear()
        session.last_tool = tool
        session.past = session.past.answered(output_tokens, tool)

    def learn_call(self, session: Session, tool: str, duration_s: float, response_tokens: float) -> None:
        """A call has returned."""
        keys = [(tool,)] if tool == USER else [(tool,), ALL, ("", session.tenant)]
        self._duration.learn(keys, max(duration_s, 0.0), LEAST_DURATION_S)
        self._modes.learn(tool, duration_s)
        self._response.learn(keys, max(response_tokens, 0.0), LEAST_TOKENS)
        self._returns.learn([(tool,)], 1.0, LEAST_TOKENS)
        if session.run:
            session.run[-1].call_time_s = max(duration_s, LEAST_DURATION_S)
        session.past = session.past.returned(duration_s)

    def learn_loss(self, tool: str) -> None:
        """A session never came back from a call of *tool*."""
        self._returns.learn([(tool,)], 0.0, LEAST_TOKENS)

    # --- state -----------------------------------------------------------------------------------

    def state(self) -> State:
        """All that was learned. May be asked from another thread."""
        found = {name: dict(classes.items()) for name, classes in self._tables().items()}
        found["next"] = {
            (*key, tool): Moments(count, 1.0, 0.0, 0.0)
            for key, counts in list(self._next.items())
            for tool, count in list(counts.items())
        }
        found["orders"] = self._modes.counts()
        return found

    def merge(self, state: Mapping[str, Mapping[Key, Moments]]) -> None:
        """Add what another engine, or this one in an earlier life, has learned."""
        for name, classes in self._tables().items():
            for key, moments in state.get(name, {}).items():
                classes.merge(key, moments)
        self._modes.merge_counts(state.get("orders", {}))
        for key, moments in state.get("next", {}).items():
            if len(self._next) < MOST_CLASSES and key:
                counts = self._next.setdefault(key[:-1], {})
                counts[str(key[-1])] = min(counts.get(str(key[-1]), 0.0) + moments.n, WINDOW)

    def _tables(self) -> dict[str, Classes]:
        return {
            "duration": self._duration,
            "response": self._response,
            "returns": self._returns,
            "output": self._output,
            "chance": self._chance,
            "output_left": self._runs.output,
            "calls_left": self._runs.calls,
            "call_time_left": self._runs.call_time,
            "duration_by_order": self._modes.moments,
        }

    # --- inside ----------------------------------------------------------------------------------

    def _chance_of_call(
        self, session: Session, hints: Hints, may_call: bool, classes: tuple[Key, ...], foretold: Foretold | None
    ) -> float:
        if hints.call_chance is not None:
            return hints.call_chance
        if hints.call_tool is not None:
            return 1.0
        if not may_call:
            return 0.0
        if foretold is not None:
            return foretold.chance
        chance = DEFAULT_CHANCE
        for key in reversed(classes):
            chance = leaned(chance, self._chance[key], _LEAN)
        return (session.calls + _LEAN_CHANCE * chance) / (session.ended + _LEAN_CHANCE)

    def _counts(self, classes: tuple[Key, ...]) -> Mapping[str, float]:
        for key in classes:
            if key in self._next:
                return self._next[key]
        return {}

    def _count_next(self, key: Key, tool: str) -> None:
        counts = self._next.pop(key, None) or {}
        counts = {name: count * (1.0 - 1.0 / WINDOW) for name, count in counts.items()}
        counts[tool] = counts.get(tool, 0.0) + 1.0
        if len(counts) > _MOST_NEXT:
            del counts[min(counts, key=counts.__getitem__)]
        self._next[key] = counts
        if len(self._next) > MOST_CLASSES:
            del self._next[next(iter(self._next))]

    def _output_of(self, session: Session, classes: tuple[Key, ...]) -> Dist:
        estimate = _OUTPUT
        for key in reversed(classes):
            estimate = shrunk(self._output[key], estimate, _LEAN)
        estimate = shrunk(session.output, estimate, _LEAN)
        known = session.output.n > 0 or self._output[classes[1]].n > 0
        return Dist.from_moments(estimate.mean, estimate.mean_log, estimate.var_log, known)

    def _left(self, session: Session, hints: Hints, chance: float, after: float) -> Left:
        """What the client says, else what was learned; before that, what the next turn is expected to be."""
        learned = self._runs.left(_run_classes(session))
        duration_s = DEFAULT_DURATION_S if hints.call_duration_s is None else hints.call_duration_s
        found = learned or Left(chance * after, chance, chance * duration_s)
        if hints.output_after_tokens is not None:
            found = replace(found, output=hints.output_after_tokens)
        if hints.calls_left is not None:
            found = replace(found, calls=hints.calls_left)
        if hints.call_time_left_s is not None:
            found = replace(found, call_time_s=hints.call_time_left_s)
        return found

    def _returns_of(self, tool: str) -> float:
        start = DEFAULT_USER_RETURNS if tool == USER else DEFAULT_RETURNS
        return leaned(start, self._returns[(tool,)], _LEAN)

    def _duration_of(self, tool: str, session: Session, counts: Mapping[str, float]) -> Dist:
        return self._of_tool(self._duration, tool, session, counts, _USER_DURATION if tool == USER else _DURATION)

    def _response_of(self, tool: str, session: Session, counts: Mapping[str, float]) -> Dist:
        return self._of_tool(self._response, tool, session, counts, _RESPONSE)

    def _of_tool(
        self, table: Classes, tool: str, session: Session, counts: Mapping[str, float], default: Moments
    ) -> Dist:
        """The tool's own measurements; of an unnamed one the mixture of those in *counts*; else of any tool."""
        seen = table[(tool,)] if tool else _mixture(table, counts)
        if seen.n:
            spread = (seen.n * seen.var_log + _SPREAD_WEIGHT * _SPREAD) / (seen.n + _SPREAD_WEIGHT)
            return Dist.from_moments(seen.mean, seen.mean_log, spread, known=True)
        if tool != USER:
            seen = table[("", session.tenant)]
            default = seen if seen.n else table[ALL] if table[ALL].n else default
        return Dist.from_moments(default.mean, default.mean_log, max(default.var_log, _SPREAD), known=False)


def _classes(tenant: str, last_tool: str, opening: int) -> tuple[Key, ...]:
    """The classes a turn belongs to, narrowest first."""
    return (tenant, last_tool, opening), (tenant, last_tool), ALL


def _run_classes(session: Session) -> tuple[Key, ...]:
    return classes_of(session.tenant, session.last_tool, session.opening, len(session.run))


def _likely_tool(counts: Mapping[str, float]) -> str:
    """The one that nearly all calls go to, "" where none is. Chances that don't add up to 1 leave room for others."""
    if not counts:
        return ""
    tool = max(counts, key=counts.__getitem__)
    return tool if counts[tool] >= _SURE * max(sum(counts.values()), 1.0) else ""


def _mixture(table: Classes, counts: Mapping[str, float]) -> Moments:
    parts = [(count, table[(tool,)]) for tool, count in counts.items() if table[(tool,)].n]
    return mixed(parts) if parts else NOTHING
