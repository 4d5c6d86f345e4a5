"""Why a decision on a KV cache answers as it does: the conditions on the way to it, and every arm with its cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from policy_dsl import nodes
from policy_dsl.contributions import Contributions, Part, written
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict, cheapest


@dataclass(frozen=True, slots=True)
class Option:
    """One arm of a `least`. *why*: what keeps it from being chosen whatever it costs; "" where nothing does."""

    text: str
    cost: Part
    why: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """*handlings* in turn, as words. *asked*: conditions on the way to it; *options*: the arms, where there are any.

    *by*: the statement that answers, "" where the policy has none and the built-in rule does. *again*: it passed the
    question on to `on call`.
    """

    by: str
    handlings: str
    asked: tuple[Part, ...] = ()
    options: tuple[Option, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Answering:
    """How `on call` and `while paused` of one policy come to their answers. None: the policy doesn't state it."""

    on_call: nodes.OnCallStatement | None
    while_paused: nodes.PausedStatement | None

    def called(self, verdict: Verdict, tree: Contributions) -> Answer:
        """Why `on call` answers *verdict* from the values of *tree*."""
        if self.on_call is None:
            return Answer("", said(verdict))
        return _Walk(tree, self.on_call).answer("on call", self.on_call.decision, verdict)

    def paused(self, verdict: Verdict, tree: Contributions) -> Answer:
        """Why `while paused` answers *verdict*. AssertionError where the policy doesn't state it."""
        assert self.while_paused is not None
        return _Walk(tree, self.on_call).answer("while paused", self.while_paused.decision, verdict)


class _Walk:
    """The way through one decision, for one row."""

    def __init__(self, tree: Contributions, on_call: nodes.OnCallStatement | None) -> None:
        self._tree, self._on_call = tree, on_call
        self._asked: list[Part] = []
        self._again = False

    def answer(self, by: str, decision: nodes.Decision, verdict: Verdict) -> Answer:
        options = tuple(self._options(decision))
        return Answer(by, said(verdict), tuple(self._asked), options, self._again)

    def _options(self, decision: nodes.Decision) -> Iterator[Option]:
        """The arms that are compared, after the conditions on the way."""
        match decision:
            case nodes.DecideIf(test=test, then=then, other=other):
                self._asked.append(self._tree.of(test))
                yield from self._options(then if self._asked[-1].value else other)
            case nodes.DecideMatch(subject=subject):
                self._asked.append(self._tree.of(subject))
                case = self._tree.taken(decision, self._asked[-1].value)
                assert isinstance(case.value, nodes.Decision), case
                yield from self._options(case.value)
            case nodes.Again():
                self._again = True
                if self._on_call is not None:
                    yield from self._options(self._on_call.decision)
            case nodes.LeastOf(arms=arms):
                costs, whys = [self._tree.of(a.cost) for a in arms], [self._why_not(a) for a in arms]
                prices = [(float(c.value), not why) for c, why in zip(costs, whys, strict=True)]
                best = cheapest(prices)
                for i, (arm, cost, why) in enumerate(zip(arms, costs, whys, strict=True)):
                    unknown = "its cost is not a number" if not why and math.isnan(float(cost.value)) else ""
                    yield Option(written(arm.action), cost, why or unknown, i == best)

    def _why_not(self, arm: nodes.Arm) -> str:
        tree = self._tree
        first = arm.action.links[0].handling
        if first in (Handling.PRESERVE, Handling.SWAP) and not tree.engine[f"allow.{first.word}"]:
            return f"the engine cannot {first.word} now"
        if arm.when is not None and not tree.of(arm.when).value:
            return f"`{written(arm.when)}` does not hold"
        return ""


def said(verdict: Verdict) -> str:
    """`preserve for 30s then discard`."""
    return " then ".join(h.word + ("" if s is None else f" for {s:g}s") for h, s in verdict.holds)
