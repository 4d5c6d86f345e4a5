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


Decision = Action | LeastOf | DecideIf | DecideMatch


@dataclass(frozen=True, slots=True)
class Case(Syntax):
    """`"bash", "python*": VALUE`; the value is an expression, or a decision in `on call`."""

    patterns: tuple[Pattern, ...]
    value: Expr | Decision


# --- statements ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyStatement(Syntax):
    name: Ident
    title: str


@dataclass(frozen=True, slots=True)
class ParamStatement(Syntax):
    name: Ident
    default: Number
    low: Number
    high: Number


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


@dataclass(frozen=True, slots=True)
class Key(Syntax):
    expr: Expr
    highest: bool


@dataclass(frozen=True, slots=True)
class RankStatement(Syntax):
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class OnCallStatement(Syntax):
    decision: Decision


@dataclass(frozen=True, slots=True)
class PromoteStatement(Syntax):
    when: Expr
    by: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class LimitStatement(Syntax):
    name: Ident
    bound: Expr


@dataclass(frozen=True, slots=True)
class FieldSyntax(Syntax):
    path: Ident
    value: Expr


@dataclass(frozen=True, slots=True)
class GivenSyntax(Syntax):
    """`given { ... }`, `request NAME { ... }`."""

    subject: Ident
    name: Ident | None
    fields: tuple[FieldSyntax, ...]


@dataclass(frozen=True, slots=True)
class ExpectRankSyntax(Syntax):
    names: tuple[Ident, ...]


@dataclass(frozen=True, slots=True)
class ExpectCallSyntax(Syntax):
    name: Ident
    action: Action


@dataclass(frozen=True, slots=True)
class ExpectTrueSyntax(Syntax):
    expr: Expr


Step = GivenSyntax | ExpectRankSyntax | ExpectCallSyntax | ExpectTrueSyntax


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
    PolicyStatement | ParamStatement | LetStatement | RankStatement | OnCallStatement | PromoteStatement
    | LimitStatement | TestStatement | Broken
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

    *path* is a param's name (no dot) or an `engine.*` signal in `given`, a row signal in `request`.
    A distribution signal has a float (a point mass, known) or a Lognormal (known); its key with
    `.known` may be given as a bool of its own, which then wins. Instants are seconds of virtual time.
    """

    path: str
    value: float | bool | str | Lognormal
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """`given {...}` (name None: params and engine signals) or `request NAME {...}` (one row)."""

    name: str | None
    fields: tuple[Field, ...]
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpectRank:
    """These requests, all given in this test, run in this order (promotion included)."""

    names: tuple[str, ...]
    span: Span = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpectCall:
    """What `on call` answers for request *name*: handlings and how long each lasts (s; None: to the end)."""

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


CheckedStep = Given | ExpectRank | ExpectCall | ExpectTrue


@dataclass(frozen=True, slots=True)
class Test:
    """A checked `test` statement. All `Given` steps hold for all expectations: their order doesn't matter."""

    __test__ = False  # no test of pytest

    name: str
    steps: tuple[CheckedStep, ...]
    span: Span = field(repr=False)
