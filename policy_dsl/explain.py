"""Why a request stands where it does: its rank as a tree, what is foreseen for its call, what holds it back.

What an expression can't know (seats, memory, limits, the engine's budgets) is not guessed: the situation says it, with
the word that the engine gave.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from policy_dsl import nodes
from policy_dsl.contributions import Contributions, Part, written
from policy_dsl.decisions import CALL_IS_LIKELY
from policy_dsl.inversion import Change, changes
from policy_dsl.loading import Loaded
from policy_dsl.places import Placing, decisive
from policy_dsl.reopened import reopened
from policy_dsl.scope import Env
from policy_dsl.situation import Situation
from policy_dsl.types import Handling
from policy_dsl.verdict import cheapest

S = TypeVar("S", bound=nodes.Statement)


@dataclass(frozen=True, slots=True)
class Option:
    """One arm of a `least`. *why*: what keeps it from being chosen whatever it costs; "" where nothing does."""

    text: str
    cost: Part
    why: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What `on call` would answer now. *likely*: a call is foreseen at all, with this *chance*.

    *answer*: the handlings in turn; *asked*: conditions on the way to it; *options*: the arms, where there are any.
    """

    answer: str
    chance: float
    likely: bool
    asked: tuple[Part, ...]
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """The request just ahead. *decides*: the key that puts it there ("promote", a key as written, "arrival")."""

    name: str
    decides: str
    mine: Part | None
    theirs: Part | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """*place* from 1. *keys*: of the rank, or among promoted rows of `by`; *highest*: whether the largest goes first.

    *promote*: its condition, None where the policy promotes nobody. *held_by*: as the engine said, "" where not.
    """

    name: str
    place: int
    of: int
    promoted: bool
    promote: Part | None
    keys: tuple[Part, ...]
    highest: tuple[bool, ...]
    foreseen: Foreseen
    ahead: Ahead | None
    held_by: str


def explain(loaded: Loaded, situation: Situation, names: Sequence[str] = ()) -> tuple[Explained, ...]:
    """Explains *names* (default: all requests) in their final order. ValueError when the policy has errors."""
    explainer = _Explainer(loaded, situation)
    return tuple(explainer.one(n) for n in explainer.order if not names or n in names)


class _Explainer:
    def __init__(self, loaded: Loaded, situation: Situation) -> None:
        self._el, self._loaded, self._situation = reopened(loaded), loaded, situation
        assert loaded.policy is not None
        self._placing = Placing(loaded.policy, situation)
        self.order = self._placing.order()

    def one(self, name: str) -> Explained:
        tree = self._tree(name)
        promote = self._statement(nodes.PromoteStatement)
        promoted = self._placing.of(name).promoted
        keys = self._keys(promoted)
        place = self.order.index(name)
        return Explained(
            name,
            place + 1,
            len(self.order),
            promoted,
            None if promote is None else tree.of(promote.when),
            tuple(tree.of(k.expr) for k in keys),
            tuple(k.highest for k in keys),
            self._foreseen(name, tree),
            None if place == 0 else self._ahead(name, self.order[place - 1], promoted),
            self._situation.held_by.get(name, ""),
        )

    def _tree(self, name: str) -> Contributions:
        s = self._situation
        return Contributions(self._el, s.rows[name], s.engine, s.policy.params)

    def _statement(self, kind: type[S]) -> S | None:
        return next((s for s in self._loaded.composed if isinstance(s, kind)), None)

    def _keys(self, promoted: bool) -> tuple[nodes.Key, ...]:
        if promoted:
            promote = self._statement(nodes.PromoteStatement)
            return promote.by if promote is not None else ()
        rank = self._statement(nodes.RankStatement)
        return rank.keys if rank is not None else ()

    def _ahead(self, name: str, other: str, promoted: bool) -> Ahead:
        mine, theirs = self._placing.of(name), self._placing.of(other)
        found = changes(self._placing, name, other)
        index = decisive(mine, theirs)
        if mine.promoted != theirs.promoted:
            return Ahead(other, "promote", None, None, found)
        keys = self._keys(promoted)
        if index is None or index >= len(keys):
            return Ahead(other, "arrival" if index is not None else "", None, None, found)
        key = keys[index].expr
        return Ahead(other, written(key), self._tree(name).of(key), self._tree(other).of(key), found)

    # --- the call

    def _foreseen(self, name: str, tree: Contributions) -> Foreseen:
        row, engine = self._situation.rows[name], self._situation.engine
        verdict = self._situation.policy.scalar.on_call(row, engine)  # type: ignore[arg-type]
        answer = " then ".join(h.word + ("" if s is None else f" for {s:g}s") for h, s in verdict.holds)
        chance = float(row["call.chance"])
        asked: list[Part] = []
        options: tuple[Option, ...] = ()
        statement = self._statement(nodes.OnCallStatement)
        if statement is not None:
            options = tuple(self._options(statement.decision, tree, asked))
        return Foreseen(answer, chance, chance >= CALL_IS_LIKELY, tuple(asked), options)

    def _options(self, decision: nodes.Decision, tree: Contributions, asked: list[Part]) -> Iterator[Option]:
        """The arms that are compared; conditions on the way go to *asked*."""
        match decision:
            case nodes.DecideIf(test=test, then=then, other=other):
                asked.append(tree.of(test))
                yield from self._options(then if asked[-1].value else other, tree, asked)
            case nodes.DecideMatch(subject=subject):
                asked.append(tree.of(subject))
                case = tree.taken(decision, asked[-1].value)
                assert isinstance(case.value, nodes.Decision), case
                yield from self._options(case.value, tree, asked)
            case nodes.LeastOf(arms=arms):
                costs, whys = [tree.of(a.cost) for a in arms], [self._why_not(a, tree) for a in arms]
                prices = [(float(c.value), not why) for c, why in zip(costs, whys, strict=True)]
                best = cheapest(prices)
                for i, (arm, cost, why) in enumerate(zip(arms, costs, whys, strict=True)):
                    unknown = "its cost is not a number" if not why and math.isnan(float(cost.value)) else ""
                    yield Option(written(arm.action), cost, why or unknown, i == best)

    def _why_not(self, arm: nodes.Arm, tree: Contributions) -> str:
        first = arm.action.links[0].handling
        if first in (Handling.PRESERVE, Handling.SWAP) and not self._situation.engine[f"allow.{first.word}"]:
            return f"the engine cannot {first.word} now"
        if arm.when is not None and not tree.of(arm.when, Env(len(self._el.definitions))).value:
            return f"`{written(arm.when)}` does not hold"
        return ""
