"""Divides the work on columns: what is computed when a row is written, and what at every step.

*Hoisting*: a sub-expression of a row whose inputs stay while the row waits (Changes.REQUEST or
slower) becomes a column that is kept. Only the largest such sub-expressions do.

*Choices*: the foreseen handling of a call depends on the engine's state, so it changes at every
step, and all that depends on it would too. But it has few answers. Where nothing else in an
expression changes by the step, the expression is hoisted once for each answer, and the step only
picks: `rank` of the LAMPS policy is two products, one `least` and a pick among kept columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy_dsl.catalogue import Changes
from policy_dsl.codegen.lower import Chosen, Hoisted, Reach, postorder, reaches, rebuild, with_operands
from policy_dsl.ir import Builder, Const, Least, Node, Read, children
from policy_dsl.types import HANDLING, Handling


class Plan:
    """*step*: the roots over row columns and `Hoisted` ones; *hoisted*: what these hold, in order of index, and
    *hoisted_of_one* the same as code about a single row may have it."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self._builder = Builder()
        self._slots: dict[int, Node] = {}
        self._outer: dict[int, Node] = {}
        self._steps: dict[int, Node] = {}
        self._kept: list[Node] = list(roots)  # ids are valid as long as nodes live
        self._reach: dict[int, Reach] = {}
        self._varying: dict[int, frozenset[int]] = {}
        self._raw: list[Node] = []
        order = self._know(roots)
        self._choices = {id(n): n for n in order if isinstance(n, Least)}
        for node in order:
            if self._changes_by_step(node) and not self._only_choice(node):
                self._steps[id(node)] = self._over(node)
        self.step = tuple(self._place(r) for r in roots)
        self.hoisted_of_one = tuple(self._raw)
        self.hoisted = columns_only(self._raw, self._builder)

    def _know(self, roots: Sequence[Node]) -> list[Node]:
        """Learns reach and what varies by the step, below *roots*."""
        self._kept.extend(roots)
        self._reach.update(reaches(roots))
        order = postorder(roots)
        for node in order:
            if not self._changes_by_step(node) and self._reach[id(node)].changes < Changes.STEP:
                self._varying[id(node)] = frozenset()
            elif isinstance(node, Read) or (isinstance(node, Least) and self._reach[id(node)].per_row):
                self._varying[id(node)] = frozenset({id(node)})
            else:
                self._varying[id(node)] = frozenset().union(*(self._varying[id(c)] for c in children(node)))
        return order

    def _changes_by_step(self, node: Node) -> bool:
        reach = self._reach[id(node)]
        return reach.per_row and reach.changes is Changes.STEP

    def _only_choice(self, node: Node) -> Least | None:
        """The `Least` that is all that varies in *node*."""
        if isinstance(node, Least) or len(self._varying[id(node)]) != 1:
            return None
        choice = self._choices.get(next(iter(self._varying[id(node)])))
        return choice if isinstance(choice, Least) else None

    def _over(self, node: Node) -> Node:
        return with_operands(node, [self._place(c) for c in children(node)], self._builder)

    def _place(self, node: Node) -> Node:
        """What stands for *node* in the code of a step."""
        if id(node) not in self._outer:
            self._outer[id(node)] = self._placed(node)
        return self._outer[id(node)]

    def _placed(self, node: Node) -> Node:
        reach = self._reach[id(node)]
        if not reach.per_row:
            return node
        if reach.changes < Changes.STEP:
            return node if isinstance(node, Read) else self._hoist(node)
        if isinstance(node, Least):
            return self._choose(node, node, answers(node, self._builder))
        choice = self._only_choice(node)
        if choice is None:
            return self._steps[id(node)]
        return self._choose(node, choice, [self._given(node, choice, a) for a in answers(choice, self._builder)])

    def _given(self, node: Node, choice: Least, answer: Node) -> Node:
        """*node*, were *answer* what *choice* answers."""
        made = rebuild((node,), self._builder, lambda n: answer if n is choice else None)
        self._know(made)
        return self._place(made[0])

    def _choose(self, node: Node, choice: Least, arms: Sequence[Node]) -> Node:
        return self._builder.node(Chosen, node.type, node.span, self._steps[id(choice)], tuple(arms))

    def _hoist(self, node: Node) -> Node:
        made = self._builder.node(Hoisted, node.type, node.span, len(self._raw))
        self._raw.append(node)
        return made


def answers(choice: Least, builder: Builder) -> list[Node]:
    """The codes that *choice* may give: one for each arm, then the one for no arm."""
    handlings = [*(a.handling for a in choice.arms), Handling.DISCARD]
    return [builder.node(Const, HANDLING, choice.span, float(h)) for h in handlings]


def columns_only(roots: Sequence[Node], builder: Builder) -> tuple[Node, ...]:
    """*roots* with each `Least` of rows as a `Chosen`, which is how columns compute it."""
    reach = reaches(roots)
    made: dict[int, Node] = {}
    for node in postorder(roots):
        new = with_operands(node, [made[id(c)] for c in children(node)], builder)
        if isinstance(new, Least) and reach[id(node)].per_row:
            new = builder.node(Chosen, HANDLING, node.span, new, tuple(answers(new, builder)))
        made[id(node)] = new
    return tuple(made[id(r)] for r in roots)
