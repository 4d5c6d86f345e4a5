"""Drives a virtual engine as the clients of a load would: sessions arrive, their tools take their time, they come back.

A list of what happens when, and a loop: deliver what is due, let the engine turn once. Time in which nothing happens is
skipped. A run ends when every session has, when it is interrupted, or when the engine makes nothing of its requests for
so long that it never will.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from engine_adapter.virtual.clock import VirtualClock
from engine_adapter.virtual.engine import TOKEN, VirtualEngine
from engine_adapter.virtual.events import Events, Finished
from engine_adapter.virtual.hints import model_of, teller
from engine_adapter.virtual.recorder import MomentReached, Recorder
from engine_adapter.virtual.simulate import Measured, Progress, Simulation
from engine_adapter.virtual.timeline import Timeline
from engine_adapter.virtual.tokens import Tokens
from engine_adapter.workload.load import Arrival, plan
from engine_adapter.workload.result import Ended, SessionResult, TurnResult

# An engine that has scheduled nothing for so long never will: every pin ends within ten minutes.
STALLED_S = 900.0
# Where nothing can be scheduled the engine core turns about every millisecond; here the waits grow to a second.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.001, 1.0
_PROGRESS_EVERY = 512  # steps


def run(simulation: Simulation, progress: Progress | None) -> Measured:
    """Run a simulation to its end; see `simulate`."""
    return Driver(simulation).drain(progress)


@dataclass(slots=True)
class _Client:
    """One session being replayed."""

    arrival: Arrival
    result: SessionResult
    tokens: Tokens
    index: int = 0
    prompt: list[int] | None = None
    judged: bool = False
    """Whether the engine waits to be told how the present turn ended."""
    reached: bool = False
    """Whether the next turn has passed the server in front of the engine, or there is none."""

    @property
    def record(self) -> TurnResult:
        return self.result.turns[-1]


class Driver:
    """The state of one run."""

    def __init__(self, simulation: Simulation, look: Callable[[VirtualEngine], None] | None = None) -> None:
        """*look* is shown the engine after each step."""
        self._look = look
        gc.collect()  # what a run before left behind: `drain` lets the collector sleep
        self.clock = VirtualClock()
        self._tell = teller(simulation.predict, simulation.load.seed)
        self._sessions = count()
        self._plan = plan(simulation.trace, simulation.load)
        model = model_of(simulation.predict)
        self.engine = VirtualEngine(simulation.profile, str(simulation.policy), simulation.params, self.clock, model)
        self._recorder = Recorder(self.engine, simulation.recording) if simulation.recording is not None else None
        self._results = {arrival.name: _unplayed(arrival) for arrival in self._plan.all}
        self._clients: dict[str, _Client] = {}  # by the name of their request
        self._upcoming: list[tuple[float, int, float, _Client]] = []  # a heap: when it comes, and since when it is due
        self._number = count()
        self._has_front = bool(simulation.profile.overhead_s or simulation.profile.overhead_token_s)
        self._front_free_s = 0.0  # when the server in front of the engine has handed all requests on
        self._ended = 0
        self._idle_since: float | None = None  # requests are there, and nothing can be scheduled
        self._wait_s = _FIRST_WAIT_S
        self._reason = ""
        self._timeline = Timeline(self.engine)

    def drain(self, progress: Progress | None = None) -> Measured:
        """Replay everything; Ctrl-C ends it with what there is."""
        for arrival in self._plan.first:
            self._begin(arrival)
        try:
            with _few_collections():
                ended = self._loop(progress)
        except (KeyboardInterrupt, MomentReached):
            ended = "interrupted"
        self._cut(ended)
        if progress is not None and ended == "finished":
            progress(1.0)
        return Measured(
            sessions=tuple(self._results.values()),
            ended=ended,
            reason=self._reason,
            virtual_s=self.clock(),
            steps=self.engine.steps,
            counters=self._counters(),
            timeline=self._timeline.samples(),
            record=None if self._recorder is None else self._recorder.record(),
        )

    # --- the loop --------------------------------------------------------------------------------

    def _loop(self, progress: Progress | None) -> Ended:
        turns = 0
        engine, upcoming, timeline = self.engine, self._upcoming, self._timeline
        while True:
            self._deliver()
            if not engine.busy:
                if not upcoming:
                    return "finished"
                timeline.take()
                self.clock.advance_to(upcoming[0][0])
                continue
            events = engine.step(min(upcoming[0][0], timeline.next_s) if upcoming else timeline.next_s)
            self._heard(events)
            timeline.tick()
            if self._look is not None:
                self._look(self.engine)
            if self._stalls(events):
                return "stalled"
            turns += 1
            if progress is not None and turns % _PROGRESS_EVERY == 0:
                progress(self._ended / len(self._results))

    def _deliver(self) -> None:
        """Send every request that is due."""
        upcoming, now = self._upcoming, self.clock()
        while upcoming and upcoming[0][0] <= now:
            _, _, due_s, client = heapq.heappop(upcoming)
            if client.reached:
                self._send(client, due_s)
            else:
                self._reach(client, due_s)

    def _heard(self, events: Events) -> None:
        now = self.clock()
        for name in events.first_tokens:
            if name in self._clients:
                self._clients[name].record.first_token_s = now
        for finished in events.finished:
            self._answered(self._clients.pop(finished.id), finished, now)

    def _stalls(self, events: Events) -> bool:
        """Whether to give up. While nothing can be scheduled, time goes on to what comes next."""
        if events.scheduled or events.finished or not self.engine.busy:
            self._idle_since, self._wait_s = None, _FIRST_WAIT_S
            return False
        if self.engine.computing:
            return False
        now = self.clock()
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since >= STALLED_S:
            self._reason = (
                f"policy deadlock: {self.engine.waiting} requests wait, none runs,"
                f" and nothing was scheduled for {STALLED_S:g} s"
            )
            return True
        until = now + self._wait_s
        self._wait_s = min(2.0 * self._wait_s, _LONGEST_WAIT_S)
        self.clock.advance_to(min(until, self._upcoming[0][0]) if self._upcoming else until)
        return False

    # --- sessions --------------------------------------------------------------------------------

    def _begin(self, arrival: Arrival) -> None:
        result = self._results[arrival.name]
        result.arrival_s = arrival.arrival_s
        self._await(_Client(arrival, result, Tokens(next(self._sessions))), arrival.arrival_s)

    def _await(self, client: _Client, due_s: float) -> None:
        client.reached = not self._has_front
        heapq.heappush(self._upcoming, (due_s, next(self._number), due_s, client))

    def _reach(self, client: _Client, due_s: float) -> None:
        """The client's next turn is sent: the engine has it when the server in front of it has seen to those before."""
        profile, turn = self.engine.profile, client.arrival.session.turns[client.index]
        takes_s = profile.overhead_s + profile.overhead_token_s * turn.prompt
        self._front_free_s = max(due_s, self._front_free_s) + takes_s
        client.reached = True
        heapq.heappush(self._upcoming, (self._front_free_s, next(self._number), due_s, client))

    def _send(self, client: _Client, due_s: float) -> None:
        """The client's next turn reaches the engine."""
        session, index = client.arrival.session, client.index
        turn = session.turns[index]
        prompt = client.prompt = client.tokens.prompt(turn)
        known = 0
        if index:
            before = session.turns[index - 1]
            known = min(turn.shared, before.prompt + before.output - 1)  # the last token was never an input
        name = f"{client.arrival.name}/{index}"
        client.result.turns.append(
            TurnResult(turn.prompt, turn.output, turn.gap_s, due_s, lag_s=0.0, shared_tokens=turn.shared)
        )
        told = self._tell(session, index, name)
        client.judged = "lamps_turn" in told
        try:
            self.engine.add(name, prompt, turn.output, client.arrival.name, told, known)
        except ValueError as problem:
            client.result.error = str(problem)
            self._end(client)
        else:
            self._clients[name] = client

    def _answered(self, client: _Client, finished: Finished, now: float) -> None:
        """The last token of a turn has reached the client: its tool runs, or the session is over."""
        record, session = client.record, client.arrival.session
        record.done_s = now
        record.cached_tokens, record.started_s = finished.cached, finished.started_s
        record.preemptions = finished.preemptions
        if client.judged:
            self.engine.verdict(finished.id, session.calls_after(client.index))
        client.index += 1
        if client.index == len(session.turns):
            self._end(client)
            return
        record.handling = self.engine.handling(client.arrival.name, session.tenant)
        assert client.prompt is not None
        client.tokens.answered(client.prompt, TOKEN, session.turns[client.index - 1].output)
        client.prompt = None
        self._await(client, now + session.turns[client.index].gap_s)

    def _end(self, client: _Client) -> None:
        self._ended += 1
        following = self._plan.after_end(self.clock())
        if following is not None:
            self._begin(following)

    def _cut(self, ended: Ended) -> None:
        """Say of sessions that didn't end why."""
        if ended != "finished":
            for result in self._results.values():
                if not result.finished and not result.error:
                    result.error = self._reason or ended

    def _counters(self) -> dict[str, float]:
        counters: Mapping[str, float] = self.engine.counters
        found = {name: float(counters[name]) for name in sorted(counters)}
        if self.engine.lamps is not None:
            self.engine.lamps.later.do()
            found |= {f"runtime.{name}": float(n) for name, n in sorted(self.engine.lamps.counters.items())}
        return found


def _unplayed(arrival: Arrival) -> SessionResult:
    session = arrival.session
    return SessionResult(arrival.name, session.tool, arrival.arrival_s, len(session.turns), tenant=session.tenant)


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Let the garbage collector look rarely: nearly everything here goes by reference counting, and what stays is
    millions of small results that it would look at again and again."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 100, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
