"""The typed intermediate representation that every reading of a policy is made from.

The checker builds it (names resolved, lets and functions inlined, `match` lowered to `If`); the
reference interpreter and both code generators read it. Nodes compare by identity and are interned
by `Builder`, so that a let used twice is one node and a policy is a graph, never an exploded tree.

Values at run time: float (quantities, instants, percent), bool, str (text in scalar code; an
integer code of a `TextTable` in columns), and the codes of `types.Handling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from policy_dsl.diagnostics.model import Span
from policy_dsl.types import BOOL, HANDLING, Handling, Type


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One typed expression. *span* is where it stands in the policy (for tracebacks and explain)."""

    type: Type
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Const(Node):
    value: float | bool | str  # a handling is its code, as float


@dataclass(frozen=True, slots=True, eq=False)
class Read(Node):
    """A signal. A distribution's statistic has a key of its own: `call.duration.p90`; the mean is `call.duration`."""

    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Param(Node):
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Unary(Node):
    op: str  # "-" "not"
    operand: Node


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Node):
    op: str  # + - * / ^ < <= > >= == != and or
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """A total built-in: min max clamp abs floor ceil sqrt exp log log2 normal_cdf."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class If(Node):
    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True, eq=False)
class TextIs(Node):
    """Whether a text matches one of *patterns*; a pattern may end in `*`. Type bool."""

    subject: Node
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LeastArm:
    handling: Handling
    cost: Node
    allowed: Node | None  # bool; None: always


@dataclass(frozen=True, slots=True, eq=False)
class Least(Node):
    """Code of the allowed arm with the least cost, NaN not considered, ties to the first; DISCARD if none."""

    arms: tuple[LeastArm, ...]


# --- rules -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    expr: Node
    highest: bool


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """One link of an action: a handling and how long it lasts, seconds from the start of the call."""

    handling: Handling
    lasts: Node | None  # None: until the call returns


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """`preserve for 30s then discard`. Not allowed (see *allowed*): the next link is tried, then DISCARD."""

    holds: tuple[Hold, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    act: Act
    cost: Node
    when: Node | None


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """`least { ... }`: the arm with the least cost whose first handling is allowed and whose *when* holds."""

    arms: tuple[Arm, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Choose:
    test: Node
    then: Decision
    other: Decision
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """What `on call` answers, asked with the values of now. Only in `while paused`."""

    span: Span


Decision = Act | Pick | Choose | Again


@dataclass(frozen=True, slots=True, eq=False)
class Paused:
    """`while paused every D ...`. *every* is a duration or steps, made of constants and params."""

    every: Node
    decision: Decision
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Promote:
    when: Node
    by: tuple[Key, ...]  # empty: request.arrival


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A hard bound on what `limits.limit_of(name)` says. *by*: who gets what is left of it in a step."""

    name: str  # "pinned", "batch.running"
    bound: Node  # of the limit's own unit, or (*share*) a part of its total
    span: Span
    share: bool = True
    by: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A group of sessions: the first whose *when* holds (None: always) as the session's first turn arrives."""

    name: str
    when: Node | None
    attributes: tuple[tuple[str, float | bool | str], ...]  # the same names and types in every class
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class HintInfo:
    """What a client may say about a request. A number is clamped to *low*..*high*; a text has neither."""

    name: str
    type: Type
    default: float | str
    low: float
    high: float
    doc: str
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """The most that a step's decisions may cost with so many requests waiting."""

    cost_s: float
    requests: float
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class ParamInfo:
    """A tunable. *default*, *low*, *high* in base units of *type*; *doc* is the comment on its line."""

    name: str
    type: Type
    default: float
    low: float
    high: float
    doc: str
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A checked policy. Statements that are absent are None or empty; the default for `on call` is discard.

    Rules about waiting and running rows read `handling` as foreseen, or as decided at arrival (the hidden signal
    `call.decided`). `paused`, `yields` and the `by` of limits, but for those on what runs, are asked about paused
    sessions: there it is what is in force (the hidden signal `call.handling`).
    *flat* is the text that the policy is made of, inherited statements included, tests not. *stated*: where each rule
    stands, by its words ("while paused", "limit pinned", "class batch"): inherited ones are in other files.
    """

    name: str
    title: str
    params: tuple[ParamInfo, ...]
    rank: tuple[Key, ...]  # absent: (request.arrival)
    on_call: Decision
    promote: Promote | None
    limits: tuple[Limit, ...]
    handling: Node  # what on_call would answer now, or has at arrival, NONE where call.chance < 0.5; rank reads it here
    at_arrival: bool = False  # on_call is asked once, when the turn arrives
    paused: Paused | None = None
    yields: tuple[Key, ...] = ()
    victim: tuple[Key, ...] = ()
    admit: Node | None = None
    classes: tuple[Class, ...] = ()
    hints: tuple[HintInfo, ...] = ()
    budget: Budget | None = None
    flat: str = ""
    stated: Mapping[str, Span] = field(default_factory=dict)


def children(node: Node) -> tuple[Node, ...]:
    """The operands of *node*, in order of evaluation."""
    found: list[Node] = []
    for name in _operands_of(type(node)):
        match getattr(node, name):
            case Node() as child:
                found.append(child)
            case tuple() as several:
                for item in several:
                    if isinstance(item, Node):
                        found.append(item)
                    elif isinstance(item, LeastArm):
                        found.append(item.cost)
                        if item.allowed is not None:
                            found.append(item.allowed)
    return tuple(found)


# Fields that may hold operands, by class: a compilation asks 15,000 times, and `fields` alone took a sixth of it.
_OPERANDS: dict[type[Node], tuple[str, ...]] = {}


def _operands_of(cls: type[Node]) -> tuple[str, ...]:
    if cls not in _OPERANDS:
        _OPERANDS[cls] = tuple(f.name for f in fields(cls) if f.name not in {"type", "span"})
    return _OPERANDS[cls]


def mapped(decision: Decision, one: Callable[[Node], Node]) -> Decision:
    """*decision* with *one* applied to every expression that stands in it."""

    def act(given: Act) -> Act:
        holds = tuple(Hold(h.handling, None if h.lasts is None else one(h.lasts)) for h in given.holds)
        return Act(holds, given.span)

    match decision:
        case Act():
            return act(decision)
        case Again():
            return decision
        case Choose(test=test, then=then, other=other, span=span):
            return Choose(one(test), mapped(then, one), mapped(other, one), span)
        case Pick(arms=arms, span=span):
            made = (Arm(act(a.act), one(a.cost), None if a.when is None else one(a.when)) for a in arms)
            return Pick(tuple(made), span)


def allowed(handling: Handling, span: Span, builder: Builder) -> Node | None:
    """The hidden signal that says whether *handling* can be carried out now; None where it always can."""
    match handling:
        case Handling.PRESERVE:
            return builder.read("allow.preserve", BOOL, span)
        case Handling.SWAP:
            return builder.read("allow.swap", BOOL, span)
        case _:
            return None


class Builder:
    """Makes nodes; the same node for the same operands."""

    def __init__(self) -> None:
        self._seen: dict[tuple[object, ...], Node] = {}

    def node(self, cls: type[Node], type_: Type, span: Span, *operands: object) -> Node:
        key = (cls, type_, *(_identity(o) for o in operands))
        if key not in self._seen:
            self._seen[key] = cls(type_, span, *operands)
        return self._seen[key]

    def read(self, key: str, type_: Type, span: Span) -> Node:
        return self.node(Read, type_, span, key)

    def least(self, arms: tuple[LeastArm, ...], span: Span) -> Node:
        return self.node(Least, HANDLING, span, arms)


def _identity(operand: object) -> object:
    match operand:
        case Node():
            return id(operand)
        case LeastArm():
            return (operand.handling, id(operand.cost), id(operand.allowed))
        case tuple():
            return tuple(_identity(o) for o in operand)
        case float():
            return ("float", operand.hex())
        case _:
            return (type(operand), operand)
