"""What the screens are given: one frozen moment, made of the last status of each server and of its last minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from engine_adapter.control.frames import Decision, Frame, Status

# Points kept for each engine: ten minutes at two frames a second.
KEPT = 1200
KEPT_DECISIONS = 1000
# Sources other than lamps servers (plain vLLM) give frames with this policy name.
PLAIN = "(vLLM's own scheduler)"


@dataclass(frozen=True, slots=True)
class EngineView:
    """One engine's frame under the name that people know it by: the server, with a number where it has several."""

    name: str
    frame: Frame
    server: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source hands over: the *status* of a server, or in *trouble* why there is none. *at*: seconds.

    *restart*: what came before doesn't count any more, as when a recording jumps.
    """

    server: str
    at: float
    status: Status | None = None
    trouble: str = ""
    hint: str = ""
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn of a moment that has passed. Rates per second since the point before, memory in shares of all."""

    at: float
    running: int
    waiting: int
    paused: int
    memory: tuple[float, float, float, float]  # running, paused, cached, free
    generated_per_s: float
    prompt_per_s: float
    first_token_p50: float
    first_token_p99: float
    turn_p50: float
    turn_p99: float


@dataclass(frozen=True, slots=True)
class Moment:
    """All that is on the screen. *engine*: of *engines*, the one that is looked at; *trouble*: by server, a sentence
    for each that is lost; *hint*: what to do about it. *fresh*: whether the engine's server is not lost."""

    engines: tuple[EngineView, ...] = ()
    engine: int = 0
    trouble: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    points: Sequence[Point] = ()
    decisions: Sequence[Decision] = ()
    peaks: Peaks | None = None

    @property
    def frame(self) -> Frame | None:
        return self.engines[self.engine].frame if self.engines else None

    @property
    def name(self) -> str:
        return self.engines[self.engine].name if self.engines else ""

    @property
    def fresh(self) -> bool:
        return not self.engines or all(self.engines[self.engine].server != server for server, _ in self.trouble)


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most there was at once since the monitor began."""

    running: int = 0
    waiting: int = 0
    paused: int = 0

    def with_point(self, point: Point) -> Peaks:
        return Peaks(max(self.running, point.running), max(self.waiting, point.waiting), max(self.paused, point.paused))


class Model:
    """Takes deliveries in and gives moments out. Not thread-safe: the app's own thread owns it."""

    def __init__(self) -> None:
        self._status: dict[str, Status] = {}
        self._trouble: dict[str, str] = {}
        self._hint = ""
        self._points: dict[str, deque[Point]] = {}
        self._peaks: dict[str, Peaks] = {}
        self._last: dict[str, Frame] = {}
        self._decisions: dict[str, deque[Decision]] = {}
        self.engine = 0

    def take(self, delivery: Delivery) -> None:
        """A source has something to say."""
        if delivery.restart:
            self._forget()
        if delivery.status is None:
            self._trouble[delivery.server] = delivery.trouble
            self._hint = delivery.hint
            return
        self._trouble.pop(delivery.server, None)
        self._status[delivery.server] = delivery.status
        for view in _views(delivery.server, delivery.status):
            self._add_point(view, delivery.at)
            self._add_decisions(view)

    def _forget(self) -> None:
        self._status.clear()
        self._points.clear()
        self._last.clear()
        self._decisions.clear()

    @property
    def moment(self) -> Moment:
        engines = tuple(view for server, status in sorted(self._status.items()) for view in _views(server, status))
        chosen = min(self.engine, max(len(engines) - 1, 0))
        name = engines[chosen].name if engines else ""
        trouble = tuple(self._trouble.items())
        points = tuple(self._points.get(name, ()))
        decisions = tuple(self._decisions.get(name, ()))
        return Moment(engines, chosen, trouble, self._hint, points, decisions, self._peaks.get(name, Peaks()))

    def _add_decisions(self, view: EngineView) -> None:
        kept = self._decisions.setdefault(view.name, deque(maxlen=KEPT_DECISIONS))
        told = kept[-1].number if kept else 0
        if view.frame.decisions and view.frame.decisions[-1].number < told:
            kept.clear()  # the server has been restarted
            told = 0
        kept.extend(decision for decision in view.frame.decisions if decision.number > told)

    def _add_point(self, view: EngineView, at: float) -> None:
        frame, before = view.frame, self._last.get(view.name)
        if before is not None and (frame.at < before.at or frame.flow.turns < before.flow.turns):
            before = None  # the server has been restarted
            self._points.pop(view.name, None)
        points = self._points.setdefault(view.name, deque(maxlen=KEPT))
        point = _point(frame, before, at)
        points.append(point)
        self._peaks[view.name] = self._peaks.get(view.name, Peaks()).with_point(point)
        self._last[view.name] = frame


def _views(server: str, status: Status) -> list[EngineView]:
    several = len(status.engines) > 1
    return [
        EngineView(f"{server}/{n}" if several else server, frame, server, n) for n, frame in enumerate(status.engines)
    ]


def _point(frame: Frame, before: Frame | None, at: float) -> Point:
    total = max(frame.memory.total, 1)
    memory, latency = frame.memory, frame.latency
    elapsed_s = frame.at - before.at if before is not None else 0.0
    generated = prompt = 0.0
    if before is not None and elapsed_s > 0:
        generated = max(frame.flow.generated_tokens - before.flow.generated_tokens, 0) / elapsed_s
        prompt = max(frame.flow.prompt_tokens - before.flow.prompt_tokens, 0) / elapsed_s
    return Point(
        at=at,
        running=running_of(frame),
        waiting=frame.waiting_total,
        paused=paused_of(frame),
        memory=(memory.running / total, memory.pinned / total, memory.cached / total, memory.free / total),
        generated_per_s=generated,
        prompt_per_s=prompt,
        first_token_p50=latency.first_token.p50,
        first_token_p99=latency.first_token.p99,
        turn_p50=latency.turn.p50,
        turn_p99=latency.turn.p99,
    )


def running_of(frame: Frame) -> int:
    """Requests that run; servers of before it was counted list them all."""
    return frame.running_total or len(frame.running)


def paused_of(frame: Frame) -> int:
    return frame.paused_total or len(frame.paused)
