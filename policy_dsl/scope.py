"""What names mean: params, lets and functions, each visible to what is written after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy_dsl import ir, nodes
from policy_dsl.diagnostics.model import Span


@dataclass(frozen=True, slots=True)
class Definition:
    """One param, let or function. *index* is its place in the order of definition, the prelude first.

    What `override` puts in the place of *replaced* is visible where that was, and *sees* all that stands before it.
    """

    name: str
    index: int
    syntax: nodes.ParamStatement | nodes.LetStatement | nodes.Broken
    prelude: bool
    sees: int
    replaced: Definition | None = None

    @property
    def span(self) -> Span:
        return self.syntax.span if isinstance(self.syntax, nodes.Broken) else self.syntax.name.span

    @property
    def is_function(self) -> bool:
        return isinstance(self.syntax, nodes.LetStatement) and bool(self.syntax.args)


@dataclass(frozen=True, slots=True)
class Use:
    """A call of a function of the policy: where, and of which."""

    span: Span
    function: str


@dataclass(frozen=True, slots=True)
class Env:
    """What an expression can see.

    *visible*: definitions with a smaller index. *local*: arguments of the function it stands in (None:
    an argument of unknown type). *trail*: the calls that lead into that function, outermost first.
    *rows*: names of the requests of a test. *again*: inside `while paused`, where `again` has a meaning.
    """

    visible: int
    local: Mapping[str, ir.Node | None] = field(default_factory=dict)
    trail: tuple[Use, ...] = ()
    rows: frozenset[str] = frozenset()
    again: bool = False
