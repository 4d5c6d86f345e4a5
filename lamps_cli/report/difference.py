"""Where two policies decide differently on the same load, and what it changed.

Both runs are the same until their first different decision, so what was there at that moment explains it by both
policies. After it only outcomes can be compared: how long each session took and what of that was waiting, which of its
calls were handled differently, what was computed again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine_adapter.workload.record import HANDLINGS, Decision, Record
from engine_adapter.workload.result import SessionResult, TurnResult

SHOWN = 5  # sessions that gained most, and as many that lost most
NOT_ASKED = "not asked"
# Shorter than a step of any engine: sessions that differ by less took the same time.
SAME_S = 1e-6


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first decisions that differ, at *at_s*. *one*, *other*: what each run decided then that the other didn't."""

    at_s: float
    one: tuple[Decision, ...]
    other: tuple[Decision, ...]
    later: tuple[tuple[str, float, str], ...]
    """What a run that did nothing then did with that request later: (run "one" or "other", instant, what)."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One session in both runs. Times in seconds, differences are the other run's less the one's.

    *waited*: until its turns started; *stopped*: preempted; *tokens_again*: of prompts, computed once more.
    *handled*: its calls that were handled differently, as (turn, by the one, by the other).
    """

    session: str
    one_s: float
    other_s: float
    waited_s: float
    stopped_s: float
    tokens_again: int
    handled: tuple[tuple[int, str, str], ...]
    places: tuple[int, int]
    """The place of its first turn in the order in which first turns started, in both runs, from 1."""

    @property
    def change_s(self) -> float:
        return self.other_s - self.one_s


@dataclass(frozen=True, slots=True)
class Handled:
    """Calls that the one handled as *one* and the other as *other*. *ttft_s*: mean change of the next turn's time to
    first token; *tokens_again*: change of the tokens computed again in it, summed up."""

    one: str
    other: str
    calls: int
    ttft_s: float
    tokens_again: int


@dataclass(frozen=True, slots=True)
class Difference:
    """*other* compared with *one*. *faster*, *slower*, *same*: sessions that finished in both, by the other's time."""

    one: str
    other: str
    load: float | None
    seed: int
    faster: int
    slower: int
    same: int
    only_one: int
    """Sessions that only the one finished; then those that only the other did."""
    only_other: int
    gained: tuple[Changed, ...]
    lost: tuple[Changed, ...]
    handled: tuple[Handled, ...]
    divergence: Divergence | None
    complete: bool
    """Whether every decision of both was recorded: where not, a divergence may lie beyond them."""
    explained: tuple[tuple[str, str], ...] = ()
    """(policy, what it says of the requests of the first divergence, at that moment)."""


def difference(
    names: tuple[str, str],
    load: float | None,
    seed: int,
    one: tuple[Sequence[SessionResult], Record],
    other: tuple[Sequence[SessionResult], Record],
) -> Difference:
    """Compare two runs of the same load: the sessions and the record of each."""
    mine, theirs = ({s.name: s for s in sessions} for sessions, _ in (one, other))
    stops = [_stopped(record) for _, record in (one, other)]
    places = [_places(sessions) for sessions, _ in (one, other)]
    both = [name for name in mine if name in theirs and mine[name].finished and theirs[name].finished]
    changed = sorted((_changed(mine[n], theirs[n], stops, places) for n in both), key=lambda c: (c.change_s, c.session))
    gained = [c for c in changed if c.change_s < -SAME_S]
    lost = [c for c in changed if c.change_s > SAME_S]
    done = [sum(s.finished for s in sessions) - len(both) for sessions, _ in (one, other)]
    return Difference(
        one=names[0],
        other=names[1],
        load=load,
        seed=seed,
        faster=len(gained),
        slower=len(lost),
        same=len(changed) - len(gained) - len(lost),
        only_one=done[0],
        only_other=done[1],
        gained=tuple(gained[:SHOWN]),
        lost=tuple(reversed(lost[-SHOWN:])),
        handled=_confusion([(mine[name], theirs[name]) for name in mine if name in theirs]),
        divergence=first_divergence(one[1], other[1]),
        complete=not (one[1].left_out or other[1].left_out),
    )


# --- the first difference


def first_divergence(one: Record, other: Record) -> Divergence | None:
    """The first instant at which the two decide differently; None where they never do in what was recorded.

    KV is given up where nothing is decided, and a pin's end follows from other decisions: neither counts.
    """
    ours, theirs = _by_instant(one), _by_instant(other)
    ends = [r.decisions[-1].at_s for r in (one, other) if r.left_out and r.decisions]
    for at_s in sorted(ours.keys() | theirs.keys()):
        if any(at_s >= end for end in ends):
            return None  # beyond the bound only one of them was recorded
        here, there = ours.get(at_s, ()), theirs.get(at_s, ())
        known = {(d.what, d.request) for d in there}
        first = tuple(d for d in here if (d.what, d.request) not in known)
        known = {(d.what, d.request) for d in here}
        second = tuple(d for d in there if (d.what, d.request) not in known)
        if first or second:
            return Divergence(at_s, first, second, tuple(_later(at_s, first, second, one, other)))
    return None


def _by_instant(record: Record) -> Mapping[float, Sequence[Decision]]:
    found: dict[float, list[Decision]] = defaultdict(list)
    for decision in record.decisions:
        if decision.what not in ("discard", "unpin"):
            found[decision.at_s].append(decision)
    return found


def _later(
    at_s: float, first: Sequence[Decision], second: Sequence[Decision], one: Record, other: Record
) -> Iterator[tuple[str, float, str]]:
    """What becomes of the first request in the run that did nothing with it then."""
    for name, did, record in (("other", first, other), ("one", second, one)):
        for decision in did[:1]:
            for d in record.decisions:
                handling = d.what in HANDLINGS and d.at_s >= at_s
                same = handling == (decision.what in HANDLINGS) and (handling or (d.at_s > at_s and d.what != "unpin"))
                if same and d.request == decision.request:
                    yield name, d.at_s, d.what
                    break


# --- sessions


def _changed(
    one: SessionResult, other: SessionResult, stops: Sequence[Mapping[str, float]], places: Sequence[Mapping[str, int]]
) -> Changed:
    mine_s, theirs_s = one.end_to_end_s, other.end_to_end_s
    assert mine_s is not None and theirs_s is not None
    return Changed(
        session=one.name,
        one_s=mine_s,
        other_s=theirs_s,
        waited_s=_waited(other) - _waited(one),
        stopped_s=stops[1].get(one.name, 0.0) - stops[0].get(one.name, 0.0),
        tokens_again=sum(map(_again, other.turns)) - sum(map(_again, one.turns)),
        handled=tuple(
            (index, _word(a), _word(b))
            for index, (a, b) in enumerate(zip(one.turns, other.turns, strict=True))
            if a.handling != b.handling
        ),
        places=(places[0][one.name], places[1][one.name]),
    )


def _word(turn: TurnResult) -> str:
    return turn.handling or NOT_ASKED


def _waited(session: SessionResult) -> float:
    return sum(turn.started_s - turn.due_s for turn in session.turns if turn.started_s is not None)


def _again(turn: TurnResult) -> int:
    return 0 if turn.cached_tokens is None else max(turn.shared_tokens - turn.cached_tokens, 0)


def _stopped(record: Record) -> Mapping[str, float]:
    """Seconds for which the requests of each session were preempted."""
    since: dict[str, float] = {}
    total: dict[str, float] = {}
    for decision in record.decisions:
        if decision.what == "preempt":
            since[decision.request] = decision.at_s
        elif decision.what == "resume" and decision.request in since:
            session = decision.request.rpartition("/")[0]
            total[session] = total.get(session, 0.0) + decision.at_s - since.pop(decision.request)
    return total


def _places(sessions: Sequence[SessionResult]) -> Mapping[str, int]:
    started = [(s.turns[0].started_s, s.name) for s in sessions if s.turns and s.turns[0].started_s is not None]
    places = {name: place for place, (_, name) in enumerate(sorted(started), 1)}
    return defaultdict(int, places)


# --- handlings


def _confusion(pairs: Sequence[tuple[SessionResult, SessionResult]]) -> tuple[Handled, ...]:
    """Every call of both runs by how each handled it, the most frequent pair first."""
    ttfts: dict[tuple[str, str], list[float]] = defaultdict(list)
    again: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for one, other in pairs:
        followed = zip(one.turns, one.turns[1:], other.turns, other.turns[1:], strict=False)
        for mine, mine_next, theirs, theirs_next in followed:
            pair = _word(mine), _word(theirs)
            calls[pair] += 1
            again[pair] += _again(theirs_next) - _again(mine_next)
            if mine_next.ttft_s is not None and theirs_next.ttft_s is not None:
                ttfts[pair].append(theirs_next.ttft_s - mine_next.ttft_s)
    return tuple(
        Handled(*pair, count, sum(ttfts[pair]) / len(ttfts[pair]) if ttfts[pair] else 0.0, again[pair])
        for pair, count in sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    )
