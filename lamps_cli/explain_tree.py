"""Expressions of a policy as text: a tree of parts with their values, and what would have to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy_dsl.contributions import Part
    from policy_dsl.inversion import Change

_HANDLINGS = ("preserve", "discard", "swap", "none")
_WIDEST = 70


def tree(part: Part, depth: int, indent: int, before: str = "") -> Iterator[str]:
    """*part* and *depth* levels below it, *indent* steps of two spaces in."""
    share = "" if part.share is None else f"  {part.share:.0%}"
    note = f"  ({part.note})" if part.note and part.how not in ("if", "match") else ""
    yield f"{'  ' * indent}{before}{short(part.text)} = {value(part)}{share}{note}"
    if depth <= 0 or part.how == "value":
        return
    if part.how in ("if", "match") and part.parts:
        yield f"{'  ' * (indent + 1)}{part.parts[0].text}: {part.note}"
        if part.parts[1].parts or part.parts[1].how != "value":
            yield from tree(part.parts[1], depth - 1, indent + 1)
        return
    for inner in part.parts:
        if inner.how != "value" or part.how == "sum":
            yield from tree(inner, depth - 1, indent + 1)


def short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def value(part: Part) -> str:
    """The value with its unit."""
    match part.value:
        case bool():
            return "true" if part.value else "false"
        case str():
            return f'"{part.value}"'
        case float() if part.unit == "handling":
            return _HANDLINGS[int(part.value)]
        case _:
            return number(part.value, "" if part.unit == "instant" else part.unit)


def number(given: float, unit: str) -> str:
    shown = f"{given:,.0f}" if abs(given) >= 1e4 and abs(given) < 1e15 else f"{given:.5g}"
    return f"{shown} {unit}".rstrip()


def changes(found: Sequence[Change], what: str, step_s: float = 0.0) -> Iterator[str]:
    """What alone would do *what* ("go before a"). *step_s*: of an engine step, where the row goes on waiting."""
    told = [change for change in found if change.needed is not None]
    unclear = [change.what for change in found if change.needed is None]
    if told:
        yield f"  it would {what} with any one of"
        width = max(len(change.what) for change in told)
        for change in told:
            yield f"    {change.what:<{width}}  {_needed(change)}{_when(change, step_s)}"
    if unclear:
        yield f"  no single value, but some: {', '.join(unclear)}"
    if not found:
        yield f"  no single value would make it {what}"


def _needed(change: Change) -> str:
    if isinstance(change.needed, bool):
        return f"{'true' if change.needed else 'false'} (now {'true' if change.now else 'false'})"
    assert change.needed is not None
    return f"{change.bound} {number(change.needed, change.unit)} (now {number(change.now, change.unit)})"


# Values that grow by the clock while a request waits.
_GROWING = ("request.age", "request.waited", "session.age", "session.waited", "engine.now")


def _when(change: Change, step_s: float) -> str:
    """In how long a waiting request gets there by itself."""
    if not step_s or change.needed is None or isinstance(change.needed, bool) or change.needed <= change.now:
        return ""
    missing = change.needed - change.now
    if change.what in _GROWING:
        return f": in {number(missing, 'seconds')}, if it waits on"
    if change.what == "request.waited_steps":
        return f": in {number(missing, 'steps')}, about {number(missing * step_s, 'seconds')}, if it waits on"
    return ""
