"""`test` statements as the checker leaves them: names resolved, values typed, ready for the test runner."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy_dsl import ir
from policy_dsl.diagnostics.model import Span
from policy_dsl.types import Handling


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
