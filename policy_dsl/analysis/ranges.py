"""What every expression of a policy can be, from the ranges of signals and params.

Sound: whatever the signals are (inside their ranges), the reference reading lies inside. A test
narrows what its arms can see (`if n > 0 { x / n } else { 0 }`), an arm that cannot be taken is not
looked at. What can go wrong on the way (a divisor of 0, infinities that meet) is kept per operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from policy_dsl import ir
from policy_dsl.analysis import intervals
from policy_dsl.analysis.intervals import Interval, Truth
from policy_dsl.analysis.signals import Assumption, Values, assuming, declared, plausible
from policy_dsl.analysis.values import (
    MIRRORED,
    Codes,
    called,
    clock,
    compared,
    cut,
    merged,
    of_constant,
    possible_arms,
    text_is,
)

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_MOST_NODES = 4000  # past that no arm is narrowed: what a node contains is kept as a set of bits


class Hazard(Enum):
    """How an operation can leave the numbers."""

    ZERO_DIVISOR = "divisor 0"
    INFINITIES = "inf - inf"
    ZERO_TIMES_INFINITY = "0 * inf"


@dataclass(slots=True)
class _Shared:
    """What all scopes of one analysis have together."""

    assume: Assumption
    params: Mapping[str, Interval]
    found: dict[ir.Node, Values] = field(default_factory=dict)  # over all scopes
    hazards: dict[ir.Node, set[Hazard]] = field(default_factory=dict)
    parts: dict[ir.Node, int] = field(default_factory=dict)  # a bit for each node below


class Ranges:
    """Ranges of expressions over *params*; those in *fixed* have one value, the others their range."""

    def __init__(
        self, params: Iterable[ir.ParamInfo], assume: Assumption = plausible, fixed: Mapping[str, float] | None = None
    ) -> None:
        fixed = fixed or {}
        known = {p.name: Interval(fixed.get(p.name, p.low), fixed.get(p.name, p.high)) for p in params}
        self._shared = _Shared(assume, known)
        self._root = _Scope(self._shared, None, {})

    def of(self, node: ir.Node) -> Values:
        """What *node* can be, wherever it was reached; looked at by itself if it was not reached yet."""
        if node not in self._shared.found:
            self._root.value(node)
        return self._shared.found[node]

    def reached(self, node: ir.Node) -> bool:
        """Whether *node* was looked at: an arm that cannot be taken is not."""
        return node in self._shared.found

    def numbers(self, node: ir.Node) -> Interval:
        """`of` a quantity or an instant."""
        value = self.of(node)
        assert isinstance(value, Interval)
        return value

    def truth(self, node: ir.Node) -> Truth:
        """`of` a condition."""
        value = self.of(node)
        assert isinstance(value, Truth)
        return value

    def decide(self, decision: ir.Decision) -> None:
        """Looks at all that *decision* reads, each part where it can be reached."""
        self._root.decide(decision)

    @property
    def hazards(self) -> Mapping[ir.Node, set[Hazard]]:
        """What can go wrong in the operations looked at so far."""
        return self._shared.hazards


def ranges_of(policy: ir.Policy, assume: Assumption = plausible, fixed: Mapping[str, float] | None = None) -> Ranges:
    """Ranges of the expressions of *policy*, its classes and hints included."""
    return Ranges(policy.params, assuming(assume, declared(policy)), fixed)


class _Scope:
    """Values under the tests passed so far (*narrowed*)."""

    def __init__(self, shared: _Shared, outer: _Scope | None, narrowed: Mapping[ir.Node, Interval]) -> None:
        self._shared, self._outer, self._narrowed = shared, outer, narrowed
        self._known: dict[ir.Node, Values] = dict(narrowed)
        self._mask = 0
        for node in narrowed:
            self._mask |= _bit(shared, node)

    def value(self, node: ir.Node) -> Values:
        if node in self._known:
            return self._known[node]
        if self._outer is not None and not self._parts(node) & self._mask:
            return self._outer.value(node)
        value = self._known[node] = self._value(node)
        before = self._shared.found.get(node)
        self._shared.found[node] = value if node not in self._shared.found else merged(before, value)
        return value

    def _parts(self, node: ir.Node) -> int:
        """The nodes below *node*, and itself: that is the highest bit."""
        parts = self._shared.parts
        if node not in parts:
            below = 0
            for child in ir.children(node):
                below |= self._parts(child)
            parts[node] = below | (1 << len(parts))
        return parts[node]

    def numbers(self, node: ir.Node) -> Interval:
        value = self.value(node)
        assert isinstance(value, Interval), node
        return value

    def truth(self, node: ir.Node) -> Truth:
        value = self.value(node)
        assert isinstance(value, Truth), node
        return value

    def _value(self, node: ir.Node) -> Values:
        match node:
            case ir.Const(value=value):
                return of_constant(node, value)
            case ir.Param(name=name):
                return self._shared.params[name]
            case ir.Read(key=key):
                return self._shared.assume(key)
            case ir.Unary(op="not", operand=operand):
                truth = self.truth(operand)
                return Truth(truth.can_fail, truth.can_hold)
            case ir.Unary(operand=operand):
                return intervals.negate(self.numbers(operand))
            case ir.Binary():
                return self._binary(node)
            case ir.Call(name=name, args=args):
                return called(name, [self.numbers(a) for a in args])
            case ir.If():
                return self._if(node)
            case ir.TextIs(subject=subject, patterns=patterns):
                return text_is(subject, patterns)
            case ir.Least(arms=arms):
                return self._least(arms)
        raise TypeError(f"no range of {type(node).__name__}")

    def _binary(self, node: ir.Binary) -> Values:
        op, left, right = node.op, node.left, node.right
        if op in ("and", "or"):
            return self._logic(op == "and", left, right)
        if op in _COMPARISONS:
            return compared(op, self.value(left), self.value(right))
        age = clock(node)
        if age is not None:
            return self._shared.assume(age)
        x, y = self.numbers(left), self.numbers(right)
        self._note(node, x, y)
        return intervals.OPERATIONS[op](x, y)

    def _logic(self, both: bool, left: ir.Node, right: ir.Node) -> Truth:
        """`and`, `or`: the right side tells only where the left one holds (fails)."""
        a = self.truth(left)
        if not (a.can_hold if both else a.can_fail):
            return a
        b = self.where(left, both, (right,)).truth(right)
        if both:
            return Truth(b.can_hold, a.can_fail or b.can_fail)
        return Truth(a.can_hold or b.can_hold, b.can_fail)

    def _note(self, node: ir.Binary, x: Interval, y: Interval) -> None:
        found = set()
        match node.op:
            case "/" if y.low <= 0.0 <= y.high:
                found.add(Hazard.ZERO_DIVISOR)
            case "+" if intervals.meets_infinities(x, y):
                found.add(Hazard.INFINITIES)
            case "-" if intervals.meets_infinities(x, intervals.negate(y)):
                found.add(Hazard.INFINITIES)
            case "*" if intervals.zero_times_infinity(x, y) or intervals.zero_times_infinity(y, x):
                found.add(Hazard.ZERO_TIMES_INFINITY)
        if found:
            self._shared.hazards.setdefault(node, set()).update(found)

    def _if(self, node: ir.If) -> Values:
        test = self.truth(node.test)
        arms = []
        for holds, arm in ((True, node.then), (False, node.other)):
            if test.can_hold if holds else test.can_fail:
                arms.append(self.where(node.test, holds, (arm,)).value(arm))
        return arms[0] if len(arms) == 1 else merged(arms[0], arms[1])

    def where(self, test: ir.Node, holds: bool, seen_by: Iterable[ir.Node]) -> _Scope:
        """The scope in which *test* holds (or fails); itself where that narrows nothing below *seen_by*."""
        if len(self._shared.parts) > _MOST_NODES:
            return self
        below = 0
        for node in seen_by:
            below |= self._parts(node)
        narrowed: dict[ir.Node, Interval] = {}
        for node, interval in self._implied(test, holds):
            self._parts(node)
            before = narrowed.get(node, self.numbers(node))
            both = Interval(max(before.low, interval.low), min(before.high, interval.high), before.nan and interval.nan)
            if below & _bit(self._shared, node) and both != before and not both.empty:
                narrowed[node] = both
        return _Scope(self._shared, self, narrowed) if narrowed else self

    def _implied(self, test: ir.Node, holds: bool) -> Iterator[tuple[ir.Node, Interval]]:
        match test:
            case ir.Unary(op="not", operand=operand):
                yield from self._implied(operand, not holds)
            case ir.Binary(op="and" | "or" as op, left=left, right=right) if (op == "and") == holds:
                yield from self._implied(left, holds)
                yield from self._implied(right, holds)
            case ir.Binary(op=op, left=left, right=right) if op in _COMPARISONS:
                a, b = self.value(left), self.value(right)
                if not isinstance(a, Interval) or not isinstance(b, Interval):
                    return
                for node, mine, other, said in ((left, a, b, op), (right, b, a, MIRRORED[op])):
                    if not isinstance(node, ir.Const):
                        left_over = cut(mine, other, said, holds)
                        if left_over is not None:
                            yield node, left_over

    def _least(self, arms: tuple[ir.LeastArm, ...]) -> Codes:
        allowed = [Truth(True, False) if a.allowed is None else self.truth(a.allowed) for a in arms]
        costs = []
        for arm, may in zip(arms, allowed, strict=True):
            scope = self
            if arm.allowed is not None and may.can_hold:
                scope = self.where(arm.allowed, True, (arm.cost,))
            costs.append(scope.numbers(arm.cost) if may.can_hold else intervals.NOTHING)
        return possible_arms([a.handling for a in arms], costs, allowed)

    def decide(self, decision: ir.Decision) -> None:
        match decision:
            case ir.Act(holds=holds):
                for hold in holds:
                    if hold.lasts is not None:
                        self.value(hold.lasts)
            case ir.Again():
                pass
            case ir.Pick(arms=arms):
                for arm in arms:
                    scope = self
                    if arm.when is not None:
                        if not self.truth(arm.when).can_hold:
                            continue
                        scope = self.where(arm.when, True, (arm.cost,))
                    scope.value(arm.cost)
                    scope.decide(arm.act)
            case ir.Choose(test=test, then=then, other=other):
                truth = self.truth(test)
                if truth.can_hold:
                    self.where(test, True, _read_by(then)).decide(then)
                if truth.can_fail:
                    self.where(test, False, _read_by(other)).decide(other)


def _bit(shared: _Shared, node: ir.Node) -> int:
    """The bit of *node* itself: its highest."""
    parts = shared.parts.get(node, 0)
    return 1 << (parts.bit_length() - 1) if parts else 0


def _read_by(decision: ir.Decision) -> Iterator[ir.Node]:
    match decision:
        case ir.Act(holds=holds):
            yield from (h.lasts for h in holds if h.lasts is not None)
        case ir.Pick(arms=arms):
            for arm in arms:
                yield arm.cost
                if arm.when is not None:
                    yield arm.when
                yield from _read_by(arm.act)
        case ir.Choose(test=test, then=then, other=other):
            yield test
            yield from _read_by(then)
            yield from _read_by(other)
