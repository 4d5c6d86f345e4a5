"""What `lamps explain` shows: an order, and for each request its place, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.output import wants_colour

if TYPE_CHECKING:
    from policy_dsl.contributions import Part
    from policy_dsl.explain import Ahead, Explained, Foreseen
    from policy_dsl.inversion import Change

_HANDLINGS = ("preserve", "discard", "swap", "none")


def as_document(order: Sequence[str], explained: Sequence[Explained]) -> dict[str, Any]:
    return {"order": list(order), "requests": [asdict(one) for one in explained]}


def show(order: Sequence[str], explained: Sequence[Explained], depth: int) -> str:
    """The order, then every request. *depth*: levels of a tree that are shown."""
    lines = [f"order: {', '.join(order)}"]
    for one in explained:
        lines += ["", *_request(one, depth)]
    return "\n".join(lines)


def _request(one: Explained, depth: int) -> Iterator[str]:
    head = f"{one.name}: place {one.place} of {one.of}" + (", promoted" if one.promoted else "")
    yield click.style(head, bold=True) if wants_colour() else head
    if one.held_by:
        yield f"  held by: {one.held_by} (said by the engine, not by the policy)"
    if one.ahead is not None:
        yield from _ahead(one.ahead)
    if one.keys:
        yield "  ordered among promoted requests by" if one.promoted else "  rank"
        for key, highest in zip(one.keys, one.highest, strict=True):
            yield from _tree(key, depth, 2, "highest " if highest else "")
    elif one.promoted:
        yield "  ordered among promoted requests by arrival"
    if one.promote is not None:
        yield "  promote when"
        yield from _tree(one.promote, depth, 2)
    yield from _foreseen(one.foreseen, depth)


def _tree(part: Part, depth: int, indent: int, before: str = "") -> Iterator[str]:
    share = "" if part.share is None else f"  {part.share:.0%}"
    note = f"  ({part.note})" if part.note and part.how not in ("if", "match") else ""
    text = part.text if len(part.text) <= 70 else part.text[:67] + "..."
    yield f"{'  ' * indent}{before}{text} = {value(part)}{share}{note}"
    if depth <= 0 or part.how == "value":
        return
    if part.how in ("if", "match") and part.parts:
        yield f"{'  ' * (indent + 1)}{part.parts[0].text}: {part.note}"
        if part.parts[1].parts or part.parts[1].how != "value":
            yield from _tree(part.parts[1], depth - 1, indent + 1)
        return
    for inner in part.parts:
        if inner.how != "value" or part.how == "sum":
            yield from _tree(inner, depth - 1, indent + 1)


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
            return _number(part.value, "" if part.unit == "instant" else part.unit)


def _number(number: float, unit: str) -> str:
    shown = f"{number:,.0f}" if abs(number) >= 1e4 and abs(number) < 1e15 else f"{number:.5g}"
    return f"{shown} {unit}".rstrip()


def _ahead(ahead: Ahead) -> Iterator[str]:
    match ahead.decides:
        case "promote":
            yield f"  behind {ahead.name}, which is promoted"
        case "arrival":
            yield f"  behind {ahead.name}, which arrived earlier; the keys are equal"
        case "":
            yield f"  behind {ahead.name} only as it was given first: keys and arrivals are equal"
        case _:
            assert ahead.mine is not None and ahead.theirs is not None
            yield f"  behind {ahead.name}: `{ahead.decides}` is {value(ahead.mine)}, there {value(ahead.theirs)}"
    told = [change for change in ahead.changes if change.needed is not None]
    unclear = [change.what for change in ahead.changes if change.needed is None]
    if told:
        yield f"  it would go before {ahead.name} with any one of"
        width = max(len(change.what) for change in told)
        for change in told:
            yield f"    {change.what:<{width}}  {_needed(change)}"
    if unclear:
        yield f"  no single value, but some: {', '.join(unclear)}"
    if not ahead.changes:
        yield f"  no single value would put it before {ahead.name}"


def _needed(change: Change) -> str:
    if isinstance(change.needed, bool):
        return f"{'true' if change.needed else 'false'} (now {'true' if change.now else 'false'})"
    assert change.needed is not None
    return f"{change.bound} {_number(change.needed, change.unit)} (now {_number(change.now, change.unit)})"


def _foreseen(foreseen: Foreseen, depth: int) -> Iterator[str]:
    likely = "" if foreseen.likely else ", so none is foreseen; if it came"
    yield f"  call with a chance of {foreseen.chance:.0%}{likely}: {foreseen.answer}"
    for asked in foreseen.asked:
        yield from _tree(asked, 0, 2)
    for option in foreseen.options:
        mark = "->" if option.chosen else "  "
        why = f"  (not considered: {option.why})" if option.why else ""
        lines = list(_tree(option.cost, min(depth, 2), 2))
        yield f"  {mark}{lines[0].strip().replace(option.cost.text, f'{option.text}: {option.cost.text}', 1)}{why}"
        yield from (f"  {line}" for line in lines[1:])
