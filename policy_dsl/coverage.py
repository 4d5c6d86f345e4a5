"""Which statements, arms and branches of a policy its tests decided something with.

Tests run as always; whatever they ask is followed through the reference reading, and each choice
that it takes is noted. `admit` and limits are left out: no expectation of the language asks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from policy_dsl import ir
from policy_dsl.codegen.scalar import decision_roots
from policy_dsl.codegen.texts import TextTable
from policy_dsl.decisions import CALL_IS_LIKELY
from policy_dsl.diagnostics.model import Span
from policy_dsl.interpret import evaluate, label
from policy_dsl.loading import Loaded
from policy_dsl.testing import TestResult, run_tests
from policy_dsl.types import Handling
from policy_dsl.verdict import cheapest
from policy_dsl.watching import Values, Watched

_WORDS = ("rank", "on call", "while paused", "yield", "victim", "promote", "class")
_PRELUDE = "<prelude>"
Branch = TypeVar("Branch", ir.Node, ir.Decision)


@dataclass(frozen=True, slots=True)
class Point:
    """Something that a test can decide with: *what* it is (``case `swap` ``), and where."""

    what: str
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """All points of a policy, in the order of its text, and those that tests reached."""

    points: tuple[Point, ...]
    reached: frozenset[Point]

    @property
    def missed(self) -> tuple[Point, ...]:
        return tuple(p for p in self.points if p not in self.reached)

    def __or__(self, other: Coverage) -> Coverage:
        """Of both, run on the same policy or on one that is built on it."""
        return Coverage(_in_order({*self.points, *other.points}), self.reached | other.reached)


def run_covered(loaded: Loaded) -> tuple[tuple[TestResult, ...], Coverage]:
    """Runs the tests of a policy and says what they reached. ValueError when it has errors."""
    if loaded.policy is None:
        raise ValueError(f"{loaded.source.path} has errors")
    policy = loaded.policy
    trace = _Trace(policy, {_head(s.text): s.origin for s in loaded.flat})
    params = {p.name: p.default for p in policy.params}
    results = run_tests(loaded, Watched(loaded, params, TextTable(), trace.follow))
    return results, Coverage(_in_order(trace.all()), frozenset(trace.reached))


def _head(text: str) -> str:
    """The words that a statement begins with, and the name of a class."""
    words = text.split()
    word = next((w for w in _WORDS if text.startswith(w)), "")
    return f"class {words[1]}" if word == "class" else word


def _in_order(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda p: (p.path, p.line, p.column, p.what)))


# --- following


class _Trace:
    """What was reached so far. *statements*: where each statement stands, by its first words."""

    def __init__(self, policy: ir.Policy, statements: Mapping[str, Span]) -> None:
        self._policy, self._statements = policy, statements
        self.reached: set[Point] = set()

    def all(self) -> Iterator[Point]:
        """Every point of the policy."""
        policy, paused = self._policy, self._policy.paused
        for word, span in self._statements.items():
            if word == "promote":
                yield from (_point(f"`promote` {w}", span) for w in ("holding", "not holding"))
            elif word:
                yield _point(f"`{word}`", span)
        decisions = [policy.on_call, *([paused.decision] if paused else [])]
        for decision in decisions:
            yield from _points(decision)
        keys = (*policy.rank, *policy.yields, *policy.victim, *(policy.promote.by if policy.promote else ()))
        roots = [k.expr for k in keys] + ([policy.promote.when] if policy.promote else [])
        roots += [c.when for c in policy.classes if c.when is not None]
        for decision in decisions:
            roots += decision_roots(decision)
        for node in _below(roots, policy.handling):
            if isinstance(node, ir.If):
                yield from _branches(node.test, node.other, node.span)

    def follow(self, rule: str, row: Values, engine: Values, params: Mapping[str, float], answer: object) -> None:
        """Notes the choices on the way to the answer of *rule*."""
        policy = self._policy
        asking = _Asking(policy, row, engine, params, self.reached)
        match rule:
            case "promote" if policy.promote is not None:
                self._state("promote", " holding" if answer else " not holding")
                asking.value(policy.promote.when)
            case "rank" | "yield" | "victim" | "by":
                by = policy.promote.by if policy.promote else ()
                keys = {"rank": policy.rank, "yield": policy.yields, "victim": policy.victim, "by": by}[rule]
                self._state(rule)
                for key in keys:
                    asking.value(key.expr)
            case "on call":
                self._state(rule)
                asking.decision(policy.on_call)
            case "while paused" if policy.paused is not None:
                self._state(rule)
                asking.decision(policy.paused.decision)
            case "class":
                self._state(f"class {answer}")
                for group in policy.classes:
                    if group.when is not None:
                        asking.value(group.when)
                    if group.name == answer:
                        break

    def _state(self, word: str, more: str = "") -> None:
        if word in self._statements:
            self.reached.add(_point(f"`{word}`{more}", self._statements[word]))


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question to the policy."""

    policy: ir.Policy
    row: Values
    engine: Values
    params: Mapping[str, float]
    reached: set[Point]

    def value(self, root: ir.Node) -> None:
        """Follows an expression, of each `if` and `match` only the branch that counts."""
        seen: set[ir.Node] = set()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            match node:
                case _ if node is self.policy.handling:
                    if float(self.row["call.chance"]) >= CALL_IS_LIKELY:
                        self.decision(self.policy.on_call)
                case ir.If(test=test, then=then, other=other, span=span):
                    waiting += [test, self._branch(test, then, other, span)]
                case _:
                    waiting.extend(ir.children(node))

    def decision(self, decision: ir.Decision) -> None:
        match decision:
            case ir.Act(holds=holds):
                for hold in holds:
                    if hold.lasts is not None:
                        self.value(hold.lasts)
            case ir.Again():
                self.decision(self.policy.on_call)
            case ir.Choose(test=test, then=then, other=other, span=span):
                self.value(test)
                self.decision(self._branch(test, then, other, span))
            case ir.Pick(arms=arms):
                for arm in arms:
                    self.value(arm.cost)
                    if arm.when is not None:
                        self.value(arm.when)
                chosen = cheapest([(float(self._of(a.cost)), self._may(a)) for a in arms])
                if chosen is not None:
                    self.reached.add(_arm(arms[chosen]))
                    self.decision(arms[chosen].act)

    def _may(self, arm: ir.Arm) -> bool:
        first = arm.act.holds[0].handling
        able = first not in (Handling.PRESERVE, Handling.SWAP) or bool(self.engine[f"allow.{first.word}"])
        return able and (arm.when is None or bool(self._of(arm.when)))

    def _branch(self, test: ir.Node, then: Branch, other: Branch, span: Span) -> Branch:
        """The branch that is taken."""
        taken = bool(self._of(test))
        if taken or not _goes_on(other, span):
            points = list(_branches(test, other, span))
            self.reached.update(points[:1] if taken else points[1:])
        return then if taken else other

    def _of(self, node: ir.Node) -> float | bool | str:
        return evaluate(node, self.row, self.engine, self.params)


# --- points


def _points(decision: ir.Decision) -> Iterator[Point]:
    """The branches and arms of a decision."""
    match decision:
        case ir.Choose(test=test, then=then, other=other, span=span):
            yield from _branches(test, other, span)
            yield from _points(then)
            yield from _points(other)
        case ir.Pick(arms=arms):
            yield from map(_arm, arms)


def _arm(arm: ir.Arm) -> Point:
    return _point(f"arm `{label(arm.act)}`", arm.act.span)


def _branches(test: ir.Node, other: ir.Node | ir.Decision, span: Span) -> Iterator[Point]:
    """The one or two branches that begin at a test: in a `match` the rest may be further cases."""
    if span.source.path == _PRELUDE:
        return
    if span.text.startswith("if"):
        yield _point("`if` holding", span)
        yield _point("`if` not holding", span)
    elif span.text.startswith("match"):
        yield _point(f"case {_case(test)}", span)
        if not _goes_on(other, span):
            yield _point("the last case", span)


def _goes_on(other: ir.Node | ir.Decision, span: Span) -> bool:
    """Whether *other* is the next case of the same `match`."""
    return isinstance(other, ir.If | ir.Choose) and other.span == span and span.text.startswith("match")


def _case(test: ir.Node) -> str:
    """What a case of `match` asks for: `"bash", "web_*"`, or handlings."""
    match test:
        case ir.TextIs(patterns=patterns):
            return ", ".join(f'"{p}"' for p in patterns)
        case ir.Binary(op="or", left=left, right=right):
            return f"{_case(left)}, {_case(right)}"
        case ir.Binary(op="==", right=ir.Const(value=float() as code)):
            return f"`{Handling(int(code)).word}`"
        case _:
            return "of `match`"


def _point(what: str, span: Span) -> Point:
    return Point(what, span.source.path, span.line, span.column)


def _below(roots: Iterable[ir.Node], border: ir.Node) -> Iterator[ir.Node]:
    """Every node reached from *roots*, once, but not through *border*."""
    seen: set[ir.Node] = {border}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(ir.children(node))
            yield node
