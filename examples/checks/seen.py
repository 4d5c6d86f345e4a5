"""What lamps saw of a client, from the decision log and the metrics of the server, and what is wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine_adapter.control.decision_log import LoggedDecision

_CACHED = re.compile(r"^([\d,]+) of ([\d,]+) tokens cached")
_SAMPLE = re.compile(r"^(lamps_\w+)\{([^}]*)\} (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be seen. *turns*: of each session, in any order. *named*: sessions have the name that the client gave.

    *calls*: how often each tool is called. *reused*: follow-ups that found at least a block of their session's KV.
    """

    turns: tuple[int, ...]
    named: bool
    calls: Mapping[str, int] = field(default_factory=dict)
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one client. *turns*: of each session by its key. *calls*: by tool, *handlings* of them by what was decided.

    *reused*: follow-ups that found KV in the cache, and *tokens* how many, of *prompt_tokens* in all.
    """

    turns: Mapping[str, int]
    calls: Mapping[str, int]
    handlings: Mapping[str, int]
    ended: int
    follow_ups: int
    reused: int
    cached_tokens: int
    prompt_tokens: int

    @property
    def named(self) -> bool:
        """Whether the sessions have names; those that are found by their prefix are numbered."""
        return all(not key.startswith("#") for key in self.turns)


def seen_in(decisions: Iterable[LoggedDecision]) -> Seen:
    """What the decisions about one client's requests say. A turn that is preempted and resumed is one."""
    turns: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    handlings: Counter[str] = Counter()
    admitted: set[str] = set()
    ended = follow_ups = reused = cached_tokens = prompt_tokens = 0
    for one in decisions:
        if one.kind == "admit" and one.request not in admitted:
            admitted.add(one.request)
            turns[one.session] += 1
            cached, prompt = _cached(one.note)
            cached_tokens, prompt_tokens = cached_tokens + cached, prompt_tokens + prompt
            if turns[one.session] > 1:
                follow_ups += 1
                reused += cached > 0
        elif one.kind == "call" and one.note not in ("", "user"):
            calls[one.note] += 1
            handlings[one.what] += 1
        elif one.kind == "turn":
            ended += 1
    return Seen(dict(turns), dict(calls), dict(handlings), ended, follow_ups, reused, cached_tokens, prompt_tokens)


def _cached(note: str) -> tuple[int, int]:
    found = _CACHED.match(note)
    assert found is not None, note
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def metrics_in(text: str) -> dict[str, float]:
    """The `lamps_*` samples of a scrape, summed over engines: NAME, or NAME.OUTCOME where there is such a label."""
    totals: Counter[str] = Counter()
    for name, labels, value in _SAMPLE.findall(text):
        outcome = dict(_LABEL.findall(labels)).get("outcome")
        totals[f"{name}.{outcome}" if outcome else name] += float(value)  # type: ignore[assignment]
    return dict(totals)


def problems(expected: Expected, seen: Seen, sent: int, metrics: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each thing that is not as it must be. *sent*: requests. *metrics*: by how much they grew."""
    if sorted(seen.turns.values()) != sorted(expected.turns):
        yield f"sessions of {sorted(expected.turns)} turns were sent, of {sorted(seen.turns.values())} seen"
    if seen.named != expected.named:
        yield f"sessions are called {', '.join(seen.turns)}"
    if dict(seen.calls) != dict(expected.calls):
        yield f"calls {dict(expected.calls)} were made, {dict(seen.calls)} seen"
    if seen.reused < expected.reused:
        yield f"{expected.reused} follow-ups should find their session's KV, {seen.reused} did"
    if not seen.ended == sum(seen.turns.values()) == sent:
        yield f"{sent} requests were sent, {sum(seen.turns.values())} admitted and {seen.ended} ended"
    told = {"lamps_turns_total": sent, "lamps_verdicts_total.call": sum(seen.calls.values())}
    for name, value in told.items():
        if metrics.get(name, 0) != value:
            yield f"{name} grew by {metrics.get(name, 0):g}, not by {value}"
