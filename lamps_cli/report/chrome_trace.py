"""What ran when, as a trace-event file for ui.perfetto.dev and chrome://tracing.

The format is the JSON object of "Trace Event Format" (Google, 2016): `traceEvents` with complete events (X), instants
(i), counters (C) and names of tracks (M), times in microseconds. Each policy is two processes, its engine (steps, KV
memory and requests as counters) and its sessions, a track each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine_adapter.workload.record import HANDLINGS, Decision, Record
from engine_adapter.workload.result import Sample, SessionResult, TurnResult
from lamps_cli.report.pauses import with_paused

Event = dict[str, Any]
# Of one policy: 300,000 events are 60 MB, which Perfetto loads in seconds; chrome://tracing gives up at about a GB.
MOST_EVENTS = 300_000
MOST_STEPS = 100_000
_LOST = {
    "expired": "its time was over",
    "yielded_running": "it gave way to a running request",
    "yielded_idle": "it gave way: nothing was running",
    "yielded_promoted": "it gave way to a promoted request",
    "dropped": "dropped",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One run to be drawn. *duration_s*: until when what never ended is drawn."""

    policy: str
    sessions: Sequence[SessionResult]
    record: Record
    timeline: Sequence[Sample]
    duration_s: float


def chrome_trace(runs: Sequence[Drawn], about: dict[str, Any]) -> dict[str, Any]:
    """The document of *runs* of one load. *about*: what was run, kept as `otherData` with what had to be left out."""
    events: list[Event] = []
    left_out = {}
    for number, ran in enumerate(runs):
        engine, sessions = 2 * number + 1, 2 * number + 2
        events += [_process(engine, f"{ran.policy}: engine"), _process(sessions, f"{ran.policy}: sessions")]
        drawn = 0
        for session, more in _tracks(ran, sessions):
            if len(more) + len(events) > MOST_EVENTS * (number + 1):
                break
            events += more
            drawn = session
        events += _engine(ran, engine)
        left_out[ran.policy] = {
            "sessions": len(ran.sessions) - drawn,
            "decisions": ran.record.left_out,
            "steps_since_s": ran.record.cut_s,
        }
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {**about, "left_out": left_out}}


def _engine(ran: Drawn, pid: int) -> Iterator[Event]:
    yield _thread(pid, 1, "steps")
    for step in ran.record.steps:
        name = "prefill and decode" if step.prefill_tokens and step.decoding else "prefill"
        tokens = {"prefill_tokens": step.prefill_tokens, "decoding": step.decoding}
        yield _span(pid, 1, name if step.prefill_tokens else "decode", step.begin_s, step.end_s, tokens)
    for sample in with_paused(ran.timeline, ran.sessions):
        kv = {"running": sample.kv_running, "preserved": sample.kv_pinned, "free": sample.kv_free}
        yield _counter(pid, "KV memory, tokens", sample.at_s, kv)
        requests = {"running": sample.running, "waiting": sample.waiting, "paused": sample.paused}
        yield _counter(pid, "requests", sample.at_s, requests)


def _tracks(ran: Drawn, pid: int) -> Iterator[tuple[int, list[Event]]]:
    """The events of each session in order of arrival, with how many sessions there have been."""
    noted: dict[str, list[Decision]] = {}
    for decision in ran.record.decisions:
        if decision.what != "start":
            noted.setdefault(decision.request, []).append(decision)
    ordered = sorted(ran.sessions, key=lambda s: (s.arrival_s, s.name))
    for tid, session in enumerate(ordered, 1):
        events = [_thread(pid, tid, session.name), _order(pid, tid)]
        for index, turn in enumerate(session.turns):
            following = session.turns[index + 1] if index + 1 < len(session.turns) else None
            decisions = noted.get(f"{session.name}/{index}", [])
            events += _turn(pid, tid, index, turn, decisions, ran.duration_s)
            if turn.done_s is not None and following is not None:
                events += _pause(pid, tid, turn, turn.done_s, following.due_s, decisions)
        if session.error:
            events.append(_instant(pid, tid, f"failed: {session.error}", ran.duration_s))
        yield tid, events


def _turn(
    pid: int, tid: int, index: int, turn: TurnResult, decisions: Iterable[Decision], cut_s: float
) -> Iterator[Event]:
    """A span for the turn, and inside it one for each state."""
    end_s = cut_s if turn.done_s is None else turn.done_s
    told = {
        "prompt_tokens": turn.prompt_tokens,
        "output_tokens": turn.output_tokens,
        "cached_tokens": turn.cached_tokens,
    }
    yield _span(pid, tid, f"turn {index}", turn.due_s, end_s, told)
    marks: list[tuple[float, str]] = [(turn.due_s, "waiting")]
    if turn.started_s is not None:
        marks.append((turn.started_s, "prefill"))
    if turn.first_token_s is not None:
        marks.append((turn.first_token_s, "decode"))
    marks += [(d.at_s, d.what) for d in decisions if d.what in ("preempt", "resume")]
    # A step that was scheduled ahead may give a token after its request was preempted.
    state, running, stopped = "waiting", "waiting", False
    since_s = turn.due_s
    for at_s, mark in sorted(marks, key=lambda m: m[0])[1:]:
        stopped = mark == "preempt" or (stopped and mark != "resume")
        running = mark if mark in ("prefill", "decode") else running
        now = "preempted" if stopped else running
        if now != state:
            yield from _part(pid, tid, state, since_s, at_s)
            state, since_s = now, at_s
    yield from _part(pid, tid, state, since_s, end_s)


def _pause(
    pid: int, tid: int, turn: TurnResult, since_s: float, until_s: float, decisions: Sequence[Decision]
) -> Iterator[Event]:
    """The time between two turns: what the KV was decided to do, and when a pin ended before its use."""
    handlings = [d for d in decisions if d.what in HANDLINGS]
    handled = handlings[0] if handlings else None
    tool = f" in {handled.why}" if handled is not None and handled.why else ""
    told = {"handling": turn.handling, "context_tokens": None if handled is None else handled.tokens}
    name = f"paused{tool}" + (f", {turn.handling}" if turn.handling else "")
    yield _span(pid, tid, name, since_s, until_s, told)
    for later in handlings[1:]:
        yield _instant(pid, tid, f"KV: {later.what}", later.at_s)
    for lost in decisions:
        if lost.what == "unpin" and lost.why in _LOST:
            yield _instant(pid, tid, f"KV given up: {_LOST[lost.why]}", lost.at_s)


def _part(pid: int, tid: int, state: str, since_s: float, until_s: float) -> Iterator[Event]:
    if until_s > since_s:
        yield _span(pid, tid, state, since_s, until_s, {})


# --- events of the format


def _span(pid: int, tid: int, name: str, begin_s: float, end_s: float, args: dict[str, Any]) -> Event:
    # Whole nanoseconds: what begins where another ends must not overlap it by a rounding.
    begin, end = round(begin_s * 1e9), round(end_s * 1e9)
    return {
        "ph": "X", "pid": pid, "tid": tid, "name": name, "ts": begin / 1e3, "dur": (end - begin) / 1e3, "args": args
    }  # fmt: skip


def _instant(pid: int, tid: int, name: str, at_s: float) -> Event:
    return {"ph": "i", "s": "t", "pid": pid, "tid": tid, "name": name, "ts": round(at_s * 1e9) / 1e3}


def _counter(pid: int, name: str, at_s: float, values: dict[str, int]) -> Event:
    return {"ph": "C", "pid": pid, "tid": 0, "name": name, "ts": round(at_s * 1e9) / 1e3, "args": values}


def _process(pid: int, name: str) -> Event:
    return {"ph": "M", "pid": pid, "tid": 0, "name": "process_name", "args": {"name": name}}


def _thread(pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}


def _order(pid: int, tid: int) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}}
