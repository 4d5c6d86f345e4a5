"""What `lamps explain` shows: of each request and paused session what the policy says of it, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.explain_tree import changes, number, short, tree, value
from lamps_cli.output import wants_colour

if TYPE_CHECKING:
    from policy_dsl.answers import Answer
    from policy_dsl.explain import (
        Bound,
        Chosen,
        Condition,
        ExplainedPaused,
        ExplainedRunning,
        ExplainedWaiting,
        Explanation,
        Foreseen,
        Standing,
    )

# What stands where a policy says nothing.
_BUILT_IN = {
    "rank": "the order of arrival",
    "on call": "the KV cache is given up at a call",
    "while paused": "what was decided at the call stands",
    "yield": "the longest expected wait gives way first",
    "victim": "the engine's own choice, the request that began to run last",
}
_LOST = {
    "expired": "its time was over",
    "yielded_running": "it gave way to a running request",
    "yielded_idle": "it gave way: nothing was running",
    "yielded_promoted": "it gave way to a promoted request",
    "redecided": "`while paused` gave it up",
    "limit": "a limit sank below what was held",
    "copy_lost": "host memory lost its copy",
    "dropped": "all were dropped, by a cache reset",
}


def as_document(explanation: Explanation) -> dict[str, Any]:
    return asdict(explanation)


def show(explanation: Explanation, depth: int, step_s: float) -> str:
    """The order, then every row. *depth*: levels of a tree that are shown; *step_s*: of an engine step, seconds."""
    if not (explanation.order or explanation.waiting or explanation.running or explanation.paused):
        return "nothing waits, runs or is paused"
    lines = [f"order: {', '.join(explanation.order)}"] if explanation.order else []
    lines += [f"{count:,} more {part} not in this state" for part, count in explanation.left_out if count]
    for limit in explanation.limits:
        lines += ["", *_limit(limit, depth)]
    for waiting in explanation.waiting:
        lines += ["", *_waiting(waiting, explanation.statements, depth, step_s)]
    for running in explanation.running:
        lines += ["", *_running(running, explanation.statements, depth)]
    for paused in explanation.paused:
        lines += ["", *_paused(paused, explanation.statements, depth)]
    return "\n".join(lines).lstrip("\n")


def show_decided(one: ExplainedPaused, depth: int) -> str:
    """What `on call` decided about a session, and nothing of what has become of it since."""
    return "\n".join([_head(one.name, "", f"paused, {one.handling}"), *_on_call(one, depth)])


def _limit(limit: Bound, depth: int) -> Iterator[str]:
    yield f"{limit.written}: {number(limit.bound, 'requests' if limit.name.endswith('running') else 'tokens')}"
    if limit.part.how != "value":
        yield from tree(limit.part, depth, 1)


def _waiting(one: ExplainedWaiting, statements: tuple[str, ...], depth: int, step_s: float) -> Iterator[str]:
    standing = one.standing
    promoted = ", promoted" if one.promoted else ""
    yield _head(one.name, one.session, f"place {standing.place} of {standing.of}{promoted}")
    if one.held_by and (standing.ahead is None or one.held_by != f"behind {standing.ahead.name}"):
        yield f"  held by: {one.held_by} (said by the engine, not by the policy)"
    if "rank" not in statements and not one.promoted:
        yield _unstated("rank")
    yield from _standing(standing, depth)
    if one.promote is not None:
        yield from _condition("promote", one.promote, depth, "be promoted" if not one.promoted else "", step_s)
    if one.admit is not None:
        yield from _condition("admit", one.admit, depth, "be admitted", 0.0)
        if not one.admit.holds:
            yield "  the first in order is admitted all the same when nothing runs"
    yield from _class(one.chosen)
    yield from _foreseen(one.foreseen, depth)


def _running(one: ExplainedRunning, statements: tuple[str, ...], depth: int) -> Iterator[str]:
    yield _head(one.name, one.session, "runs, promoted" if one.promoted else "runs")
    if one.victim is not None:
        yield f"  preempted as number {one.victim.place} of {one.victim.of}"
        yield from _standing(one.victim, depth)
    else:
        yield _unstated("victim")
    yield from _class(one.chosen)
    yield from _foreseen(one.foreseen, depth)


def _paused(one: ExplainedPaused, statements: tuple[str, ...], depth: int) -> Iterator[str]:
    yield _head(one.name, "", f"paused, {one.handling}")
    if one.held_by:
        yield f"  held by: {one.held_by} (said by the engine, not by the policy)"
    if one.lost:
        yield f"  its KV cache is no longer held: {_LOST.get(one.lost, one.lost)}"
    yield from _on_call(one, depth)
    if one.now is not None:
        yield from _answer(f"while paused every {one.every}, asked now", one.now, depth)
        if one.handling == "discard" and one.now.handlings != "discard":
            yield "  but what is given up stays so"
    else:
        yield _unstated("while paused")
    if one.yields is not None:
        yield f"  yields as number {one.yields.place} of {one.yields.of}"
        yield from _standing(one.yields, depth)
    else:
        yield _unstated("yield")
    yield from _class(one.chosen)


# --- parts of them


def _on_call(one: ExplainedPaused, depth: int) -> Iterator[str]:
    if one.decided.by:
        asked = "as it was when the call began" if one.of_then else "asked now"
        yield from _answer(f"on call, {asked}", one.decided, depth)
    else:
        yield _unstated("on call")


def _head(name: str, session: str, what: str) -> str:
    head = f"{name}{f' (session {session})' if session and session != name else ''}: {what}"
    return click.style(head, bold=True) if wants_colour() else head


def _unstated(rule: str) -> str:
    return f"  no `{rule}`: {_BUILT_IN[rule]}"


_BEFORE = {"promote": "go before", "rank": "go before", "yield": "yield before", "victim": "be preempted before"}
_KEYS = {"promote": "ordered among promoted requests by", "rank": "rank", "yield": "yield", "victim": "victim"}


def _standing(standing: Standing, depth: int) -> Iterator[str]:
    ahead = standing.ahead
    if ahead is not None:
        match ahead.decides:
            case "promote":
                promoted = "which is not promoted" if standing.rule == "victim" else "which is promoted"
                yield f"  behind {ahead.name}, {promoted}"
            case "preemptions":
                yield f"  behind {ahead.name}: this one was preempted three times already"
            case "arrival":
                yield f"  behind {ahead.name}, which arrived earlier; the keys are equal"
            case "rest":
                yield f"  behind {ahead.name}, whose call is expected to last longer; the keys are equal"
            case "":
                yield f"  behind {ahead.name} only as it was given first: nothing tells them apart"
            case _:
                assert ahead.mine is not None and ahead.theirs is not None
                yield f"  behind {ahead.name}: `{ahead.decides}` is {value(ahead.mine)}, there {value(ahead.theirs)}"
        yield from changes(ahead.changes, f"{_BEFORE[standing.rule]} {ahead.name}")
    if standing.keys:
        yield f"  {_KEYS[standing.rule]}"
        for key, highest in zip(standing.keys, standing.highest, strict=True):
            yield from tree(key, depth, 2, "highest " if highest else "")
    elif standing.rule == "promote":
        yield "  ordered among promoted requests by arrival"


def _condition(word: str, condition: Condition, depth: int, what: str, step_s: float) -> Iterator[str]:
    yield f"  {word} when"
    yield from tree(condition.part, depth, 2)
    if condition.holds or not what:
        return
    failing = [part for part in condition.failing if part is not condition.part]
    if failing:
        yield "  what does not hold: " + ", ".join(f"`{short(part.text)}`" for part in failing)
    yield from changes(condition.changes, what, step_s)


def _class(chosen: Chosen | None) -> Iterator[str]:
    if chosen is not None:
        why = f"`{short(chosen.when.text)}` holds" if chosen.when is not None else "it takes all that no other does"
        yield f"  class {chosen.name}: {why}"


def _foreseen(foreseen: Foreseen, depth: int) -> Iterator[str]:
    likely = "" if foreseen.likely else ", so none is foreseen; if it came"
    then = ", as decided at arrival" if foreseen.of_then else ""
    yield from _answer(f"call with a chance of {foreseen.chance:.0%}{likely}{then}", foreseen.answer, depth)


def _answer(what: str, answer: Answer, depth: int) -> Iterator[str]:
    yield f"  {what}: {answer.handlings}{', by `again` as `on call` answers' if answer.again else ''}"
    for asked in answer.asked:
        yield from tree(asked, 0, 2)
    for option in answer.options:
        mark = "->" if option.chosen else "  "
        why = f"  (not considered: {option.why})" if option.why else ""
        lines = list(tree(option.cost, min(depth, 2), 2))
        yield f"  {mark}{option.text}: {lines[0].strip()}{why}"
        yield from (f"  {line}" for line in lines[1:])
