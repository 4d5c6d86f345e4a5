"""The syntax tree of a policy, and the checked tests made from it. All values are frozen.

The parser builds the first part, one class per form of the grammar; every node knows its span. The
checker turns rules into `ir.Policy` and `test` statements into the classes of the last section, which
the test runner executes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from policy_dsl import ir
from policy_dsl.diagnostics.model import Span
from policy_dsl.types import Handling
from policy_dsl.units import Dim


@dataclass(frozen=True, slots=True)
class Syntax:
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ident(Syntax):
    """A name where one is defined or mentioned."""

    name: str


# --- expressions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Syntax):
    """A literal. *value* is in base units (`2min` is 120.0); *unit* its suffix, "" for a plain number."""

    value: float
    dim: Dim
    unit: str


@dataclass(frozen=True, slots=True)
class Text(Syntax):
    value: str


@dataclass(frozen=True, slots=True)
class Truth(Syntax):
    value: bool


@dataclass(frozen=True, slots=True)
class HandlingWord(Syntax):
    """`preserve`, `discard`, `swap` or `none`."""

    handling: Handling


@dataclass(frozen=True, slots=True)
class Foreseen(Syntax):
    """The word `handling`."""


@dataclass(frozen=True, slots=True)
class Name(Syntax):
    name: str


@dataclass(frozen=True, slots=True)
class Path(Syntax):
    """A dotted name, such as `call.duration.p90`."""

    path: str


@dataclass(frozen=True, slots=True)
class Prefix(Syntax):
    op: str  # "-" "not"
    operand: Expr


@dataclass(frozen=True, slots=True)
class Infix(Syntax):
    op: str  # + - * / ^ < <= > >= == != and or
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Member(Syntax):
    """`call.tool in ["bash", "web_*"]`."""

    subject: Expr
    patterns: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Apply(Syntax):
    function: Ident
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Cond(Syntax):
    test: Expr
    then: Expr
    other: Expr


@dataclass(frozen=True, slots=True)
class Anything(Syntax):
    """The pattern `_`."""


@dataclass(frozen=True, slots=True)
class Match(Syntax):
    subject: Expr
    cases: tuple[Case, ...]


Expr = Number | Text | Truth | HandlingWord | Foreseen | Name | Path | Prefix | Infix | Member | Apply | Cond | Match
Pattern = Text | HandlingWord | Anything


# --- decisions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link(Syntax):
    """One part of an action: `preserve for 30s`."""

    handling: Handling
    lasts: Expr | None


@dataclass(frozen=True, slots=True)
class Action(Syntax):
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Arm(Syntax):
    action: Action
    cost: Expr
    when: Expr | None


@dataclass(frozen=True, slots=True)
class LeastOf(Syntax):
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class DecideIf(Syntax):
    test: Expr
    then: Decision
    other: Decision


@dataclass(frozen=True, slots=True)
class DecideMatch(Syntax):
    subject: Expr
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Again(Syntax):
    """`again`: what `on call` answers, asked with today's values. Only in `while paused`."""


Decision = Action | LeastOf | DecideIf | DecideMatch | Again


@dataclass(frozen=True, slots=True)
class Case(Syntax):
    """`"bash", "python*": VALUE`; the value is an expression, or a decision in `on call` and `while paused`."""

    patterns: tuple[Pattern, ...]
    value: Expr | Decision


# --- statements ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyStatement(Syntax):
    name: Ident
    title: str


@dataclass(frozen=True, slots=True)
class ExtendsStatement(Syntax):
    """The policy this one is built on: a shipped policy's name, or the path of a file."""

    parent: Ident | Text


@dataclass(frozen=True, slots=True)
class IncludeStatement(Syntax):
    """A file whose lets and params are read as if they stood here."""

    path: Text


@dataclass(frozen=True, slots=True)
class DropStatement(Syntax):
    """A statement of the parent that is left out. *what*: its words ("while paused"); *limit*: which, of limits."""

    what: str
    limit: Ident | None
    reason: Text


@dataclass(frozen=True, slots=True)
class ParamStatement(Syntax):
    name: Ident
    default: Number
    low: Number
    high: Number
    override: bool = False


@dataclass(frozen=True, slots=True)
class HintStatement(Syntax):
    """What a client may say about a request: a number in a range (clamped), or a text (no range)."""

    name: Ident
    default: Number | Text
    low: Number | None
    high: Number | None


@dataclass(frozen=True, slots=True)
class Argument(Syntax):
    """An argument of a `let` function. *type* is None where it is checked at each use."""

    name: str
    type: Ident | None


@dataclass(frozen=True, slots=True)
class LetStatement(Syntax):
    """A named value, or a function where *args* is not empty."""

    name: Ident
    args: tuple[Argument, ...]
    value: Expr
    override: bool = False


@dataclass(frozen=True, slots=True)
class Key(Syntax):
    expr: Expr
    highest: bool


@dataclass(frozen=True, slots=True)
class RankStatement(Syntax):
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class YieldStatement(Syntax):
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class VictimStatement(Syntax):
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class OnCallStatement(Syntax):
    """*at_arrival*: decided when the turn arrives, and kept."""

    decision: Decision
    at_arrival: bool = False


@dataclass(frozen=True, slots=True)
class PausedStatement(Syntax):
    """`while paused every D ...`."""

    every: Expr
    decision: Decision


@dataclass(frozen=True, slots=True)
class AdmitStatement(Syntax):
    when: Expr


@dataclass(frozen=True, slots=True)
class PromoteStatement(Syntax):
    when: Expr
    by: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Attribute(Syntax):
    name: Ident
    value: Number | Text | Truth


@dataclass(frozen=True, slots=True)
class ClassStatement(Syntax):
    """A group of sessions. *when* is None for the one that takes the rest."""

    name: Ident
    when: Expr | None
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class LimitStatement(Syntax):
    """*by*: who gets what is left of it in a step; empty: in order of asking."""

    name: Ident
    bound: Expr
    by: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetStatement(Syntax):
    """`budget 200us at 4096 requests`. *unit* is the word `requests`."""

    cost: Number
    requests: Number
    unit: Ident


@dataclass(frozen=True, slots=True)
class FieldSyntax(Syntax):
    path: Ident
    value: Expr


@dataclass(frozen=True, slots=True)
class GivenSyntax(Syntax):
    """`given { ... }`, `request NAME { ... }`, `session NAME { ... }`."""

    subject: Ident
    name: Ident | None
    fields: tuple[FieldSyntax, ...]


@dataclass(frozen=True, slots=True)
class AtSyntax(Syntax):
    """`at 5s`: what follows is said of that time, from the start of the test."""

    time: Number


@dataclass(frozen=True, slots=True)
class ExpectRankSyntax(Syntax):
    """`expect rank a, b`. *rule*: the word of the order: "rank", "yield" or "victim"."""

    names: tuple[Ident, ...]
    rule: str = "rank"


@dataclass(frozen=True, slots=True)
class ExpectCallSyntax(Syntax):
    name: Ident
    action: Action


@dataclass(frozen=True, slots=True)
class ExpectPausedSyntax(Syntax):
    name: Ident
    action: Action


@dataclass(frozen=True, slots=True)
class ExpectTrueSyntax(Syntax):
    expr: Expr


Step = GivenSyntax | AtSyntax | ExpectRankSyntax | ExpectCallSyntax | ExpectPausedSyntax | ExpectTrueSyntax


@dataclass(frozen=True, slots=True)
class TestStatement(Syntax):
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Broken(Syntax):
    """A statement that could not be read. It still defines *name*, so that no use of it is a second error."""

    keyword: str
    name: str


Statement = (
    PolicyStatement | ExtendsStatement | IncludeStatement | DropStatement | ParamStatement | HintStatement
    | LetStatement | RankStatement | YieldStatement | VictimStatement | OnCallStatement | PausedStatement
    | AdmitStatement | PromoteStatement | ClassStatement | LimitStatement | BudgetStatement | TestStatement | Broken
)  # fmt: skip


# --- checked tests ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A distribution given by two quantiles, in base units of its signal; p50 > 0, p90 >= p50."""

    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Field:
    """One given value, its type and range already checked.

    *path* is a param's name (no dot) or an `engine.*` signal in `given`, a row signal or a hint
    (`hint.critical`) in `request` and `session`.
    A distribution signal has a float (a point mass, known) or a Lognormal (known); its key with
    `.known` may be given as a bool of its own, which then wins. Instants are seconds of virtual time.
    """

    path: str
    value: float | bool | str | Lognormal
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """`given {...}` (name None: params and engine signals), `request NAME {...}` or `session NAME {...}` (one row).

    Requests wait; with *paused*, a session: its turn has ended in a call, which began at the start of the test.
    After an `At` only engine signals are given: they have these values from then on.
    """

    name: str | None
    fields: tuple[Field, ...]
    span: Span = field(repr=False)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class At:
    """What follows holds at this instant of virtual time, in seconds from the start; ascending."""

    time_s: float
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpectRank:
    """These requests, all given in this test, run in this order (promotion included).

    With *rule* "victim" they are preempted, with "yield" these sessions give their memory up, in this order.
    """

    names: tuple[str, ...]
    span: Span = field(repr=False)
    rule: str = "rank"


@dataclass(frozen=True, slots=True)
class ExpectCall:
    """What `on call` answers for request *name*: handlings and how long each lasts (s; None: to the end)."""

    name: str
    holds: tuple[tuple[Handling, float | None], ...]
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpectPaused:
    """What is in force for session *name* at this instant, after `while paused` was asked as often as it asks."""

    name: str
    holds: tuple[tuple[Handling, float | None], ...]
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpectTrue:
    """A condition over signals, params and lets. *expr* is of type bool.

    Row reads have the key `NAME/signal` (`slow/call.duration.p90`), engine reads their own. The
    tolerance of `==` and `!=` between numbers (1e-9 relative) is already part of *expr*.
    *operands* are the two sides of a comparison as written, with their nodes, to show in a failure;
    empty where *expr* is no comparison.
    """

    expr: ir.Node
    operands: tuple[tuple[str, ir.Node], ...]
    span: Span = field(repr=False)


CheckedStep = Given | At | ExpectRank | ExpectCall | ExpectPaused | ExpectTrue


@dataclass(frozen=True, slots=True)
class Test:
    """A checked `test` statement. `Given` steps before the first `At` hold for all expectations, in any order."""

    __test__ = False  # no test of pytest

    name: str
    steps: tuple[CheckedStep, ...]
    span: Span = field(repr=False)
