"""The syntax of statements, those of tests included."""

from __future__ import annotations

from dataclasses import dataclass

from policy_dsl.nodes.expressions import Action, Decision, Expr, Ident, Number, Syntax, Text, Truth


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
