"""Runs the tests that stand in a policy file.

A test describes a few requests and says in which order they run or what a call does to their KV
cache. The rules are asked through scalar code, at the costs of the catalogue's test profile, so a
test says the same on every machine. `at` lets time pass (`passing.World`). An order must not depend
on which request is written first: every one is tried both ways round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from pathlib import Path

from policy_dsl import nodes
from policy_dsl.comparing import comparable
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.diagnostics.model import Span
from policy_dsl.interpret import evaluate
from policy_dsl.loading import Loaded, load
from policy_dsl.passing import MOST_ASKINGS, TooManyAskings, World
from policy_dsl.places import SPARED_AFTER, victim_group, yields_last
from policy_dsl.types import Handling
from policy_dsl.verdict import Held, Verdict
from policy_dsl.worlds import Value


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that does not hold. *values*: what was looked at and what it was.

    *at_s*: of what instant of the test it is said; None at its start.
    """

    message: str
    span: Span
    values: tuple[tuple[str, str], ...]
    at_s: float | None = None

    @property
    def said(self) -> str:
        """The message, with the instant it is of."""
        return self.message if self.at_s is None else f"at {self.at_s:g}s: {self.message}"


@dataclass(frozen=True, slots=True)
class TestResult:
    __test__ = False  # no test of pytest

    name: str
    span: Span
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def run_file(path: str | Path) -> tuple[TestResult, ...]:
    """Runs the tests in a policy file. OSError when it can't be read, ValueError when it has errors."""
    return run_tests(load(path))


def run_tests(loaded: Loaded, compiled: CompiledPolicy | None = None) -> tuple[TestResult, ...]:
    """Runs the tests of a loaded policy. ValueError when it has errors (show its diagnostics instead).

    *compiled*: this policy, parameters at their defaults, where the caller wants to see what it is asked.
    """
    if loaded.policy is None:
        raise ValueError(f"{loaded.source.path} has errors")
    plain = compiled or compile_policy(loaded.policy, loaded.source)
    return tuple(_run(test, plain) for test in loaded.tests)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is given and expected at one instant. *at*: the step that names it; None at the start."""

    at: nodes.At | None
    givens: tuple[nodes.Given, ...]
    expected: tuple[nodes.CheckedStep, ...]


def _moments(test: nodes.Test) -> list[_Moment]:
    made: list[_Moment] = []
    starts = [0, *(i for i, step in enumerate(test.steps) if isinstance(step, nodes.At)), len(test.steps)]
    for start, end in pairwise(starts):
        steps = test.steps[start:end]
        at = steps[0] if steps and isinstance(steps[0], nodes.At) else None
        givens = tuple(s for s in steps if isinstance(s, nodes.Given))
        made.append(_Moment(at, givens, tuple(s for s in steps if not isinstance(s, nodes.Given | nodes.At))))
    return made


def _run(test: nodes.Test, plain: CompiledPolicy) -> TestResult:
    first, *later = _moments(test)
    fields = [f for g in first.givens if g.name is None for f in g.fields]
    params = {f.path: f.value for f in fields if "." not in f.path and isinstance(f.value, float)}
    world = World(plain.with_params(params) if params else plain, first.givens)
    failures = [_check(step, world) for step in first.expected]
    for moment in later:
        assert moment.at is not None
        try:
            world.move(moment.at.time_s, [f for g in moment.givens for f in g.fields])
        except TooManyAskings:
            message = f"the way there takes more than {MOST_ASKINGS} steps: give a longer `engine.step_time`"
            failures.append(Failure(message, moment.at.span, (), moment.at.time_s))
            break
        found = (_check(step, world) for step in moment.expected)
        failures += [None if f is None else replace(f, at_s=moment.at.time_s) for f in found]
    return TestResult(test.name, test.span, tuple(f for f in failures if f is not None))


def _check(step: nodes.CheckedStep, world: World) -> Failure | None:
    match step:
        case nodes.ExpectRank(names=names, span=span, rule="rank"):
            return _check_rank(names, span, world)
        case nodes.ExpectRank(names=names, span=span, rule=rule):
            return _check_order(names, span, rule, world)
        case nodes.ExpectPaused(name=name, holds=holds, span=span):
            return _check_paused(name, holds, span, world)
        case nodes.ExpectCall(name=name, holds=holds, span=span):
            verdict = world.on_call(name)
            return None if _alike(holds, verdict.holds) else _wrong(f"{name} on call", holds, verdict, span)
        case nodes.ExpectTrue():
            return _check_true(step, world)
        case _:
            raise TypeError(f"nothing to check in {type(step).__name__}")


def _check_rank(names: tuple[str, ...], span: Span, world: World) -> Failure | None:
    absent = [name for name in names if world.at_s and world.arrives_s(name) > world.at_s]
    if absent:
        values = tuple((name, f"arrives at {world.arrives_s(name):g}s") for name in absent)
        return Failure(f"not here yet: {', '.join(absent)}", span, values)
    written = [name for name in world.rows if name in names]
    found = _ordered(written, world)
    message = _misplaced(names, found, _ordered(written[::-1], world))
    return Failure(message, span, tuple((name, _place(name, world)) for name in found)) if message else None


def _check_order(names: tuple[str, ...], span: Span, rule: str, world: World) -> Failure | None:
    """`yield` and `victim`: who is first to give way, within what the engine adapter guarantees."""
    if rule == "victim" and not world.policy.states(rule):
        message = "the policy has no `victim`: the engine chooses, and no engine runs in a test"
        return Failure(message, span, ())
    scalar = world.policy.scalar
    ask = scalar.yield_keys if rule == "yield" else scalar.victim_keys
    keys = {name: ask(row, world.engine) for name, row in world.rows.items() if name in names}  # type: ignore[arg-type]

    def place(name: str) -> tuple[object, ...]:
        row, own = world.rows[name], comparable(keys[name])
        if rule == "yield":
            return (*own, yields_last(row))
        return (victim_group(row, world.promoted(name)), *own, row["request.arrival"])

    def shown(name: str) -> str:
        said = _keys_shown(rule, keys[name], world)
        if rule == "yield":
            return said
        promoted, times = world.promoted(name), float(world.rows[name]["request.preemptions"])
        return said + ", promoted" * promoted + f", preempted {times:g} times" * (times >= SPARED_AFTER)

    backwards = [*keys][::-1]
    found = sorted(keys, key=place)
    message = _misplaced(names, found, sorted(backwards, key=place))
    return Failure(message, span, tuple((name, shown(name)) for name in found)) if message else None


def _misplaced(names: tuple[str, ...], found: Sequence[str], turned: Sequence[str]) -> str:
    """What is wrong with an order, *found* and *turned* of rows written one way round and the other; "" if nothing."""
    if found != turned:
        return "the order depends on which is written first: nothing tells them apart"
    return "" if tuple(found) == names else f"expected {', '.join(names)}; the order is {', '.join(found)}"


def _check_paused(name: str, wanted: Sequence[Held], span: Span, world: World) -> Failure | None:
    """What is in force: answered by `while paused`, or by `on call` before it was asked."""
    found = world.in_force(name)
    if _alike(wanted, found.holds):
        return None
    failure = _wrong(f"{name} paused", wanted, found.verdict, span, found.holds)
    elapsed = _shown(world.rows[name]["call.elapsed"])
    return replace(
        failure, values=(*failure.values, (f"{name}.call.elapsed", elapsed), ("decided at", f"{found.asked_s:g}s"))
    )


def _ordered(names: Sequence[str], world: World) -> list[str]:
    """*names* as the engine would take them; equal rows stay as they are."""

    def key(name: str) -> tuple[object, ...]:
        row, scalar = world.rows[name], world.policy.scalar
        promoted = world.promoted(name)
        ask = scalar.promote_by if promoted else scalar.rank
        return (not promoted, *comparable(ask(row, world.engine)), row["request.arrival"])  # type: ignore[arg-type]

    return sorted(names, key=key)


def _place(name: str, world: World) -> str:
    keys = world.policy.scalar.rank(world.rows[name], world.engine)  # type: ignore[arg-type]
    return _keys_shown("rank", keys, world) + (", promoted" if world.promoted(name) else "")


def _keys_shown(rule: str, keys: Sequence[Value], world: World) -> str:
    """The keys of a row under the word of their rule, as the policy writes them: "victim highest 9, 3"."""
    shown = [
        f"highest {_shown(not key if isinstance(key, bool) else -float(key))}" if highest else _shown(key)
        for key, highest in zip_longest(keys, world.policy.highest(rule), fillvalue=False)
    ]
    return f"{rule} {', '.join(shown)}"


def _alike(wanted: Sequence[Held], found: Sequence[Held]) -> bool:
    return len(wanted) == len(found) and all(
        w is f and (a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9)))
        for (w, a), (f, b) in zip(wanted, found, strict=True)
    )


def _wrong(
    what: str, wanted: Sequence[Held], verdict: Verdict, span: Span, left: Sequence[Held] | None = None
) -> Failure:
    """*left*: what the verdict comes to by now, where it isn't as it was given."""
    costs = tuple((label, _shown(cost) + ("" if may else ", not allowed")) for label, cost, may in verdict.costs)
    message = f"expected {what} {_said(wanted)}; the answer is {_said(left or verdict.holds)} (line {verdict.line})"
    return Failure(message, span, costs)


def _said(holds: Sequence[Held]) -> str:
    return " then ".join(_word(h) + ("" if lasts is None else f" for {lasts:g}s") for h, lasts in holds)


def _word(handling: Handling) -> str:
    return handling.word


def _check_true(step: nodes.ExpectTrue, world: World) -> Failure | None:
    values = {f"{name}/{key}": value for name, row in world.rows.items() for key, value in row.items()}
    if evaluate(step.expr, values, world.engine, world.policy.params):
        return None
    sides = ((text, evaluate(node, values, world.engine, world.policy.params)) for text, node in step.operands)
    return Failure("this does not hold", step.span, tuple((text, _shown(value)) for text, value in sides))


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else f"{value:.6g}"
