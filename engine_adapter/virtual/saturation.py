"""How many sessions a second an engine can serve: what loads are shares of.

It is searched: an engine that starts empty is given sessions at random times, and either serves a few thousand of
their turns, or a queue builds up that is twice what it runs at once. That queue doesn't go away again: turns that wait
lose their prefix cache meanwhile, so an engine that has fallen behind serves less than before (on augmented-single
three quarters). So the border is blurred: in a longer run chance brings the queue about at a lower rate, on
augmented-multi and gptj-6b-a100 at 0.9 of what is found here (benchmarks/saturation.py).

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

from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import SessionTrace, Trace

# Turns of a run, and the steps after which it ends at the latest: about five seconds of computing.
TURNS, STEPS = 6_000, 16_000
# A queue is one when so many times what runs waits, and no fewer than that.
TIMES_RUNNING, FEWEST = 2, 20
# The search goes up or down, by FACTOR first and ever faster, until one rate is served and another isn't, at most so
# often; then halves what lies between until it is CLOSE: the result is within 4 % of what these arrivals tell.
FACTOR, MOST_TRIES, CLOSE = 1.4, 6, 1.09
_SEED = 0
SEARCH = (1, TURNS, STEPS, TIMES_RUNNING, FEWEST, FACTOR, MOST_TRIES, CLOSE, _SEED)
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
    return math.sqrt(low * high)


def serves(trace: Trace, profile: Profile, rate: float) -> bool:
    """Whether stock vLLM serves *rate* sessions a second for a window without a queue that grows."""
    from engine_adapter.virtual.driver import Driver

    seen = window(trace, rate)
    driver = Driver(Simulation("stock", seen, Load(arriving=Recorded()), profile))
    closes_s = TURNS / (rate * _turns(trace))
    most_running, queues = 0, False

    def look(_: float) -> None:
        nonlocal most_running, queues
        engine = driver.engine
        most_running = max(most_running, engine.running)
        queues = engine.waiting > max(TIMES_RUNNING * most_running, FEWEST)
        if queues or driver.clock() >= closes_s or engine.steps >= STEPS:
            raise _Enough

    with contextlib.suppress(_Enough):
        driver.drain(look)
    return not queues


def window(trace: Trace, rate: float) -> Trace:
    """The turns that fall into a window of TURNS turns, when sessions of *trace* have always come at *rate*.

    A session's times are those without a wait. Its first turn in the window finds nothing in the prefix cache.
    """
    closes_s = TURNS / (rate * _turns(trace))
    # Of turns further apart than the window is long only one falls into it, however far apart they are.
    times = {s.name: list(accumulate(min(turn.gap_s, closes_s) for turn in s.turns)) for s in trace.sessions}
    longest_s = max(at[-1] for at in times.values())
    clock = random.Random(f"{_SEED}/arrivals")
    drawn = _drawn(trace)
    found: list[SessionTrace] = []
    arrival_s = -longest_s
    while True:
        arrival_s += clock.expovariate(rate)
        if arrival_s >= closes_s:
            break
        session = next(drawn)
        at = times[session.name]
        first, last = bisect_left(at, -arrival_s), bisect_left(at, closes_s - arrival_s)
        if first == last:
            continue
        begins = replace(session.turns[first], shared=0, gap_s=0.0, after=None, tool=None)
        turns = (begins, *session.turns[first + 1 : last])
        found.append(SessionTrace(f"{len(found)}", turns, session.tool, start_s=arrival_s + at[first]))
    return Trace(trace.name, tuple(found))


def telling(trace: Trace) -> int:
    """Sessions of a run that tells a load below saturation from one above: as many turns as a window has, or all."""
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


def _turns(trace: Trace) -> float:
    """Of one session, on average."""
    return sum(len(session.turns) for session in trace.sessions) / len(trace.sessions)


def _guess(trace: Trace, profile: Profile) -> float:
    """Where to begin: sessions per second if as many requests as the memory holds were always decoding together."""
    turns = [turn for s in trace.sessions if s.longest <= profile.longest for turn in s.turns]
    held = sum(turn.prompt + turn.output for turn in turns) / len(turns)
    together = max(1.0, min(profile.max_num_seqs, profile.blocks * profile.block_size / held))
    step = profile.step
    fixed_s = step.of(0, 0.0, round(together), round(together * held)) / together  # of a token that is decoded
    prefill_s = step.of(1000, 0.0, 0, 0) / 1000
    work_s = sum(turn.output * fixed_s + (turn.prompt - turn.shared) * prefill_s for turn in turns)
    return len(trace.sessions) / work_s
