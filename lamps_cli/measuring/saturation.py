"""How many sessions a second a real server can serve: what loads are shares of.

Measured by a closed loop of ever more clients. Once there are more than the server runs at once, a queue stands all the
time, and what it completes then is the most that it completes once it is behind: load 1, as in virtual time
(docs/decisions/019). That a queue stands shows in the sessions: twice the clients, served no faster, take twice as long
each. The rate alone is no sign: a few dozen sessions, of which some last fifty times as long as others, end as it
happens. Therefore what is counted are the tokens generated while all clients are at work, and a session is as many of
them as the load's sessions have in the mean. Over twelve draws of 384 sessions, 128 clients, that varies by 3.5 % on
augmented-multi where counting ended sessions varies by 7.0 %, by 5.6 instead of 10.4 % on augmented-single (in virtual
time, `python -m benchmarks.load_one`). Fewer clients may see more, while turns find their prefix in the cache; that
isn't what a server does that has fallen behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.load import scaled
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.result import BenchResult, SessionResult

# Clients of the first try, then twice as many, until the rate is within CLOSE of that before and a session takes LONGER
# times as long (2 where the server can do no more, 1 where nobody waits); at most so many.
FIRST, MOST, CLOSE, LONGER = 16, 1024, 1.05, 1.5
# Sessions of a try for each client: of three, the middle one runs while all clients are at work.
FOR_EACH = 3
SEARCH = [3, FIRST, MOST, CLOSE, LONGER, FOR_EACH]
"""What the answer depends on beside load and server; first the version of the code here."""
_SEED = 2_000_000


class NoSaturation(Exception):
    """There is no such rate. The message is a sentence for the user."""


def saturation(config: BenchConfig, tell: Callable[[str], None]) -> float:
    """Sessions of the load of *config* per second. Raises NoSaturation, ServerError, KeyboardInterrupt."""
    planned = tokens_of_a_session(config)
    before, took_s, clients = 0.0, math.inf, FIRST
    while clients <= MOST:
        sessions = _tried(config, clients, tell).sessions
        rate, takes_s = served_per_s(sessions, planned), fmean(s.end_to_end_s or 0.0 for s in sessions)
        tell(f"{clients} clients, {rate:.2f} sessions/s, {takes_s:.1f} s each")
        if rate < before * CLOSE and takes_s > took_s * LONGER:
            return rate
        before, took_s, clients = rate, takes_s, clients * 2
    raise NoSaturation(f"{MOST} clients don't saturate the server: they complete {before:.3g} sessions/s")


def tokens_of_a_session(config: BenchConfig) -> float | None:
    """What a session of the load generates in the mean; None where the model decides that."""
    if config.prompts == "text":
        return None
    return fmean(sum(turn.output for turn in scaled(one, config.load).turns) for one in config.trace.sessions)


def served_per_s(sessions: tuple[SessionResult, ...], tokens_each: float | None) -> float:
    """Sessions served per second while all clients are at work. A session is so many tokens generated, those of a turn
    when it ends; None: as many as these sessions have in the mean. Raises NoSaturation."""
    begins_s, closes_s = at_work(sessions)
    turns = [turn for session in sessions for turn in session.turns]
    of_each = tokens_each or sum(turn.output_tokens for turn in turns) / len(sessions)
    served = sum(turn.output_tokens for turn in turns if begins_s < (turn.done_s or 0.0) <= closes_s)
    return served / of_each / (closes_s - begins_s)


def at_work(sessions: tuple[SessionResult, ...]) -> tuple[float, float]:
    """From when to when all clients work: between the first third's end and the start of the last session. Before,
    they are still beginning together; after, some have nothing left to do. Raises NoSaturation."""
    ends = sorted(s.arrival_s + s.end_to_end_s for s in sessions if s.end_to_end_s is not None)
    if len(ends) < len(sessions):
        failed = next(session for session in sessions if not session.finished)
        raise NoSaturation(f"{len(sessions) - len(ends)} sessions failed while saturation was measured: {failed.error}")
    begins_s, closes_s = ends[len(ends) // FOR_EACH], max(session.arrival_s for session in sessions)
    if closes_s <= begins_s:
        raise NoSaturation("the sessions are too uneven to measure saturation by")
    return begins_s, closes_s


def _tried(config: BenchConfig, clients: int, tell: Callable[[str], None]) -> BenchResult:
    load = replace(
        config.load, arriving=Closed(clients), sessions=FOR_EACH * clients, seed=_SEED + clients, replacement=True
    )

    def shown(sessions: tuple[SessionResult, ...], now_s: float) -> None:
        tell(f"{clients} clients, {sum(s.finished for s in sessions)} of {len(sessions)} sessions, {now_s:.0f} s")

    result = run_bench(replace(config, load=load), shown)
    if result.ended == "interrupted":
        raise KeyboardInterrupt
    if result.ended != "finished":
        raise NoSaturation("the server stopped answering while saturation was measured")
    return result
