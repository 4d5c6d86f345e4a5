"""How many sessions a second an engine can serve: what loads are shares of.

Saturation is the highest rate at which stock vLLM, once it is behind, catches up again. It is searched: an engine in
front of which several times as many requests wait as it runs at once is given sessions at some rate. The queue becomes
shorter, or it doesn't.

Why behind from the start: turns that wait lose their prefix cache, so an engine with a queue serves less than one
without. At rates between the two an engine that starts empty goes on without a queue until chance brings one, and then
never gets rid of it. Below saturation a queue goes away whatever brought it, so that long runs look like short ones;
of no higher rate can that be said.

A server in front of the engine, which hands on one request after the other, would let that queue trickle in. The search
is of the engine without it; what it can hand on is a rate of its own, and saturation the lower of the two.

Sessions of hours would outlast every run. So a run is a window on arrivals that have gone on for ever: sessions are in
their midst when it opens and when it closes, and of each there are the turns in between.
"""

from __future__ import annotations

import contextlib
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate, count
from typing import TYPE_CHECKING

from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import SessionTrace, Trace, Turn

if TYPE_CHECKING:
    from engine_adapter.virtual.engine import VirtualEngine

# Turns of a run, and the steps after which it ends at the latest: about five seconds of computing.
TURNS, STEPS = 6_000, 16_000
# The queue at the start is so many times what runs at once, and no fewer than that. With twice as many the rate is the
# same within a step of the search; with one it isn't: on augmented-multi such a queue goes away by luck.
TIMES_RUNNING, FEWEST = 3, 20
# The search goes up or down, by FACTOR first and ever faster, until one rate is served and another isn't, at most so
# often; then halves what lies between until it is CLOSE: the result is within 3 % of what these arrivals tell.
FACTOR, MOST_TRIES, CLOSE = 1.4, 6, 1.06
_SEED = 0
SEARCH = (3, TURNS, STEPS, TIMES_RUNNING, FEWEST, FACTOR, MOST_TRIES, CLOSE, _SEED)
"""All that the answer depends on beside trace, profile and engine; first the version of the code here."""

Progress = Callable[[float], None]


class NoSaturation(ValueError):
    """There is no such rate. The message is a sentence for the user."""


class _Enough(Exception):
    """Ends a run whose answer is known."""


def saturation(trace: Trace, profile: Profile, progress: Progress | None = None) -> float:
    """Sessions of *trace* per second. *progress* gets the share of the search that is done, roughly.

    The same trace and profile give the same rate. Raises NoSaturation.
    """
    _check(trace, profile)
    said = progress or (lambda share: None)
    runs = count(1)

    def served(rate: float) -> bool:
        answer = serves(trace, profile, rate)
        said(1 - 0.75 ** next(runs))
        return answer

    low, high = _between(served, _guess(trace, profile))
    while high > CLOSE * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if served(middle) else (low, middle)
    return min(math.sqrt(low * high), _handed_on(trace, profile))


def serves(trace: Trace, profile: Profile, rate: float) -> bool:
    """Whether the queue that stock vLLM begins with becomes shorter while *rate* sessions a second go on coming, with
    no server in front of it."""
    from engine_adapter.virtual.driver import Driver

    profile = profile.model_copy(update={"overhead_s": 0.0, "overhead_token_s": 0.0})
    closes_s = TURNS / (rate * _turns(trace))
    running, queue = queue_of(trace, profile)
    late = Trace(trace.name, (*backlog(trace, running + queue), *window(trace, rate).sessions))

    def look(engine: VirtualEngine) -> None:
        waiting = engine.waiting
        if not waiting or waiting > 2 * queue or engine.clock() >= closes_s or engine.steps >= STEPS:
            raise _Enough

    driver = Driver(Simulation("stock", late, Load(arriving=Recorded()), profile), look)
    with contextlib.suppress(_Enough):
        driver.drain()
    return driver.engine.waiting < queue


def queue_of(trace: Trace, profile: Profile) -> tuple[int, int]:
    """Requests that run when a run begins, and that wait."""
    running = round(_together(_fitting(trace, profile), profile)[0])
    return running, max(TIMES_RUNNING * running, FEWEST)


def backlog(trace: Trace, requests: int) -> Iterator[SessionTrace]:
    """So many sessions in their midst whose next turn waits: each turn of *trace* is as likely as any other."""
    turns = [(session, index) for session in trace.sessions for index in range(len(session.turns))]
    for number, (session, index) in enumerate(random.Random(f"{_SEED}/backlog").choices(turns, k=requests)):
        yield _from(session, index, len(session.turns), f"backlog-{number}", 0.0)


def window(trace: Trace, rate: float) -> Trace:
    """The turns that fall into a window of TURNS turns, when sessions of *trace* have always come at *rate*.

    They come at even intervals: where there is a queue anyway, chance only makes the answer less sure. A session's
    times are those without a wait. Its first turn in the window finds nothing in the prefix cache.
    """
    closes_s = TURNS / (rate * _turns(trace))
    # Of turns further apart than the window is long only one falls into it, however far apart they are.
    times = {s.name: list(accumulate(min(turn.gap_s, closes_s) for turn in s.turns)) for s in trace.sessions}
    longest_s = max(at[-1] for at in times.values())
    drawn = _drawn(trace)
    found: list[SessionTrace] = []
    for number in range(-math.floor(longest_s * rate), math.ceil(closes_s * rate)):
        session, arrival_s = next(drawn), number / rate
        at = times[session.name]
        first, last = bisect_left(at, -arrival_s), bisect_left(at, closes_s - arrival_s)
        if first < last:
            found.append(_from(session, first, last, f"{len(found)}", arrival_s + at[first]))
    return Trace(trace.name, tuple(found))


def _from(session: SessionTrace, first: int, last: int, name: str, start_s: float) -> SessionTrace:
    """The session from its turn *first* until before *last*. The first finds nothing in the prefix cache."""
    begins = replace(session.turns[first], shared=0, gap_s=0.0, after=None, tool=None)
    return SessionTrace(name, (begins, *session.turns[first + 1 : last]), session.tool, start_s=start_s)


def telling(trace: Trace) -> int:
    """Sessions of a run whose figures tell one load from another: as many turns as a window has, or all."""
    return max(len(trace.sessions), round(TURNS / _turns(trace)))


def _drawn(trace: Trace) -> Iterator[SessionTrace]:
    """Sessions at random without end, each as often as any other: few are enough to be like all."""
    shuffle = random.Random(f"{_SEED}/draw")
    while True:
        yield from shuffle.sample(trace.sessions, k=len(trace.sessions))


def _between(served: Callable[[float], bool], guess: float) -> tuple[float, float]:
    """A rate that is served, and a higher one that isn't."""
    rate, up = guess, served(guess)
    for tried in range(MOST_TRIES):
        following = rate * FACTOR ** (2**tried if up else -(2**tried))
        if served(following) != up:
            return min(rate, following), max(rate, following)
        rate = following
    tried_all = "every rate tried" if up else "none of the rates tried"
    raise NoSaturation(f"stock vLLM serves {tried_all}, the last {rate:.3g} sessions/s: there is no saturation")


def _check(trace: Trace, profile: Profile) -> None:
    """An engine that refuses most sessions isn't saturated by any number of them."""
    fitting = sum(session.longest <= profile.longest for session in trace.sessions)
    if fitting * 2 >= len(trace.sessions):
        return
    longest = max(session.longest for session in trace.sessions)
    scale = math.floor(profile.longest / longest * 1e4) / 1e4
    raise NoSaturation(
        f"{len(trace.sessions) - fitting} of the {len(trace.sessions)} sessions of {trace.name} have turns of more than"
        f" the {profile.longest} tokens that {profile.name} takes: with lengths x {scale:g} all would fit"
    )


def _handed_on(trace: Trace, profile: Profile) -> float:
    """Sessions a second that the server in front of the engine can hand on."""
    turns = [turn for session in trace.sessions for turn in session.turns]
    takes_s = sum(profile.overhead_s + profile.overhead_token_s * turn.prompt for turn in turns)
    return len(trace.sessions) / takes_s if takes_s else math.inf


def _turns(trace: Trace) -> float:
    """Of one session, on average."""
    return sum(len(session.turns) for session in trace.sessions) / len(trace.sessions)


def _fitting(trace: Trace, profile: Profile) -> list[Turn]:
    """The turns of sessions that the engine takes."""
    return [turn for session in trace.sessions if session.longest <= profile.longest for turn in session.turns]


def _together(turns: list[Turn], profile: Profile) -> tuple[float, float]:
    """Requests that run at once where many wait, as many as the memory holds, and the tokens of one of them."""
    held = sum(turn.prompt + turn.output for turn in turns) / len(turns)
    return max(1.0, min(profile.max_num_seqs, profile.blocks * profile.block_size / held)), held


def _guess(trace: Trace, profile: Profile) -> float:
    """Where to begin: sessions per second if as many requests as the memory holds were always decoding together."""
    turns = _fitting(trace, profile)
    together, held = _together(turns, profile)
    step = profile.step
    fixed_s = step.of(0, 0.0, round(together), round(together * held)) / together  # of a token that is decoded
    prefill_s = step.of(1000, 0.0, 0, 0) / 1000
    work_s = sum(turn.output * fixed_s + (turn.prompt - turn.shared) * prefill_s for turn in turns)
    return len(trace.sessions) / work_s
