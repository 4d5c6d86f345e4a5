"""A difference between two policies in words and numbers, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterator

from engine_adapter.workload.record import HANDLINGS, Decision
from lamps_cli.metrics import number
from lamps_cli.report.difference import NOT_ASKED, Changed, Difference, Divergence

# A part of a change that is named as its reason: the largest, and each that is at least this share of it.
_MENTIONED = 0.2
_NAMED = 3  # decisions of one instant that are named one by one


def show(difference: Difference) -> str:
    """The difference for a terminal."""
    d = difference
    load = "" if d.load is None else f" at load {d.load:g}"
    lines = [f"{d.other} against {d.one}{load}, seed {d.seed}", *(f"  {line}" for line in sentences(d))]
    for name, text in d.explained:
        lines += ["", f"  {name} at that moment:", *(f"    {line}".rstrip() for line in text.splitlines())]
    handled = list(calls(d))
    if handled:
        lines += ["", f"  {'calls':>8}  {d.one:<12} {d.other:<12} {'next first token':>18} {'computed again':>20}"]
        lines += [f"  {c:>8}  {a:<12} {b:<12} {ttft:>18} {again:>20}" for c, a, b, ttft, again in handled]
    for word, found in (("gained most", d.gained), ("lost most", d.lost)):
        if found:
            lines += ["", f"  sessions that {word} with {d.other}:"]
            lines += [f"    {c.session}  {_seconds(c)}  {why(c, d)}" for c in found]
    return "\n".join(lines)


def sentences(d: Difference) -> Iterator[str]:
    """How many sessions gained and lost, and where the two parted."""
    yield f"sessions: {d.faster:,} faster with {d.other}, {d.slower:,} slower, {d.same:,} the same"
    for name, count in ((d.one, d.only_one), (d.other, d.only_other)):
        if count:
            yield f"{count:,} finished with {name} only"
    if d.divergence is not None:
        yield from _parted(d, d.divergence)
    elif d.complete:
        yield "they never decide differently"
    else:
        yield "they decide alike as far as decisions were recorded"


def session_rows(d: Difference) -> Iterator[tuple[str, str, str, str]]:
    """(gained or lost, session, its times, why) of the sessions that changed most."""
    for word, found in (("gained", d.gained), ("lost", d.lost)):
        for c in found:
            yield word, c.session, _seconds(c), why(c, d)


def calls(d: Difference) -> Iterator[tuple[str, str, str, str, str]]:
    """(calls, by the one, by the other, change of the next turn's first token, of tokens computed again)."""
    for h in d.handled:
        again = f"{h.tokens_again:+,} tokens" if h.tokens_again else "-"
        yield f"{h.calls:,}", h.one, h.other, f"{h.ttft_s:+.3f} s", again


def why(c: Changed, d: Difference) -> str:
    """What the change of one session is made of, the largest part first."""
    rest = c.change_s - c.waited_s - c.stopped_s
    parts = [(c.waited_s, f"waited {_less(c.waited_s)}"), (c.stopped_s, f"preempted for {_less(c.stopped_s)}")]
    parts.append((rest, f"computed for {_less(rest)}"))
    parts.sort(key=lambda part: -abs(part[0]))
    said = [text for size, text in parts if abs(size) >= _MENTIONED * abs(c.change_s)]
    if c.places[0] != c.places[1] and all(c.places):
        said.append(f"started as number {c.places[1]:,} rather than {c.places[0]:,}")
    kept = [
        f"turn {turn}: {other} rather than {one}" for turn, one, other in c.handled if NOT_ASKED not in (one, other)
    ]
    said += kept[:_NAMED] + ([f"{len(kept) - _NAMED} more calls handled differently"] if len(kept) > _NAMED else [])
    if c.tokens_again:
        word = "more" if c.tokens_again > 0 else "fewer"
        said.append(f"{abs(c.tokens_again):,} tokens {word} computed again")
    return ", ".join(said)


def _parted(d: Difference, v: Divergence) -> Iterator[str]:
    yield f"they part at {v.at_s:,.3f} s: " + "; ".join(
        f"{name} {_did(did) if did else _instead(v, run)}"
        for name, did, run in ((d.one, v.one, "one"), (d.other, v.other, "other"))
    )


def _did(decisions: tuple[Decision, ...]) -> str:
    named = ", ".join(_words(d) for d in decisions[:_NAMED])
    return named + (f" and {len(decisions) - _NAMED} more" if len(decisions) > _NAMED else "")


def _words(d: Decision) -> str:
    if d.what in HANDLINGS:
        return f"{d.what}s the KV of {d.request} during its call" + (f" of {d.why}" if d.why else "")
    return f"{d.what}s {d.request}"


def _instead(v: Divergence, run: str) -> str:
    """What a run that did nothing then did with the same request."""
    for name, at_s, what in v.later:
        if name == run:
            return f"{what}s it" + ("" if what in HANDLINGS else f" at {at_s:,.3f} s")
    return "doesn't"


def _seconds(c: Changed) -> str:
    return f"{number(c.one_s)} s -> {number(c.other_s)} s ({c.change_s:+.2f} s)"


def _less(seconds: float) -> str:
    return f"{number(abs(seconds))} s {'less' if seconds < 0 else 'more'}"
