"""What stands out in a moment, each with a code: a sentence that says what, and one that says what to do.

Pure functions of what is on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine_adapter.control.frames import Frame
from tui.glyphs import seconds
from tui.model import Moment, Point

# Judged over so many seconds back.
RECENT_S = 30.0
FEW_CASES = 20


@dataclass(frozen=True, slots=True)
class Advice:
    """*level*: "good", "warn" or "bad"."""

    code: str
    level: str
    headline: str
    what_to_do: str


def advise(moment: Moment) -> list[Advice]:
    """What stands out, worst first."""
    frame = moment.frame
    if frame is None:
        return []
    points = [point for point in moment.points if point.at >= moment.points[-1].at - RECENT_S] if moment.points else []
    found = [advice for rule in RULES for advice in rule(frame, points)]
    return sorted(found, key=lambda advice: ("bad", "warn", "good").index(advice.level))


def _guard(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    if frame.guard.state != "ok":
        failing = frame.guard.state == "fallback"
        said = "a rule fails" if failing else f"the policy is {frame.guard.state}"
        yield Advice("TOP01", "warn" if failing else "bad", said, frame.guard.reason or "see the server's log")


def _short_of_memory(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    waiting = [point.waiting for point in points]
    if frame.waiting and frame.waiting[0].held_by == "kv" and min(waiting, default=0) > 0:
        paused = frame.memory.pinned / max(frame.memory.total, 1)
        todo = (
            f"paused sessions hold {paused:.0%} of it: lower `limit pinned`"
            if paused > 0.3
            else "add memory or replicas"
        )
        yield Advice("TOP02", "warn", "requests wait for KV memory", todo)


def _seats(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    if frame.waiting and frame.waiting[0].held_by == "seats":
        free = frame.memory.free + frame.memory.cached
        if free > 0.3 * max(frame.memory.total, 1):
            yield Advice("TOP03", "warn", "requests wait for seats, not for memory", "raise --max-num-seqs")


def _growing(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    third = len(points) // 3
    if third >= 3:
        before = sum(point.waiting for point in points[:third]) / third
        after = sum(point.waiting for point in points[-third:]) / third
        if after > before + 5 and after > 1.5 * before:
            yield Advice(
                "TOP04", "warn", f"the queue grows: {before:.0f} to {after:.0f}", "more arrives than is served"
            )


def _long_wait(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    longest = max(frame.waiting, key=lambda row: row.waited_s, default=None)
    typical = frame.latency.first_token.p50
    if longest is not None and longest.waited_s > max(20.0, 20 * typical) and not longest.promoted:
        yield Advice(
            "TOP05", "warn", f"a request has waited {seconds(longest.waited_s)}",
            "see it in Queue; `promote` bounds such waits",
        )  # fmt: skip


def _pins(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    counters = frame.counters
    kept = counters.get("decisions.preserve", 0)
    lost = sum(n for name, n in counters.items() if name.startswith("pins.yielded") or name == "pins.expired")
    if kept >= FEW_CASES and lost > 0.4 * kept:
        yield Advice(
            "TOP06", "warn", f"{lost / kept:.0%} of the preserved caches were lost before their call returned",
            "preserve fewer, or for shorter",
        )  # fmt: skip


def _thrash(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    preempted, turns = frame.counters.get("preemptions", 0), frame.flow.turns
    if preempted >= FEW_CASES and preempted > 0.1 * turns:
        yield Advice(
            "TOP07", "warn", f"{preempted:,} preemptions in {turns:,} turns", "an `admit` gate prevents thrashing"
        )


def _predictions(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    for row in frame.predictors:
        if row.count >= FEW_CASES and row.within_p90 < 0.7:
            yield Advice(
                "TOP08", "warn", f"`{row.what}` takes longer than predicted: p90 covers {row.within_p90:.0%}",
                "read a higher quantile, or send hints",
            )  # fmt: skip


def _full_of_pins(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    share = frame.memory.pinned / max(frame.memory.total, 1)
    if share > 0.5 and frame.waiting_total:
        yield Advice(
            "TOP09", "warn", f"paused sessions hold {share:.0%} of the memory while requests wait", "see Calls"
        )


def _hints(frame: Frame, points: list[Point]) -> Iterator[Advice]:
    if broken := frame.counters.get("hints.broken", 0):
        yield Advice("TOP10", "warn", f"{broken:,} requests came with broken hints", "see their fields in the README")


Rule = Callable[[Frame, list[Point]], Iterator[Advice]]
RULES: tuple[Rule, ...] = (
    _guard, _short_of_memory, _seats, _growing, _long_wait, _pins, _thrash, _predictions, _full_of_pins, _hints,
)  # fmt: skip
