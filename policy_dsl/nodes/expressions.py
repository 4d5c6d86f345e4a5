"""The syntax of expressions and decisions: whatever may stand in a rule. One class a form, every node with its span."""

from __future__ import annotations

from dataclasses import dataclass, field

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
