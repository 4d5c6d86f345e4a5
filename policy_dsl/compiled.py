"""A policy ready to answer: which request is next, what happens to a cache during a call, what is limited."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from policy_dsl import ir
from policy_dsl.catalogue import signal_of
from policy_dsl.codegen.lower import keys_read, with_params
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import Module, add_decision, add_values, decision_roots
from policy_dsl.codegen.texts import TextTable
from policy_dsl.diagnostics.model import Source
from policy_dsl.types import INSTANT, Handling, Kind, quantity
from policy_dsl.units import NUMBER, TOKEN
from policy_dsl.verdict import Verdict

if TYPE_CHECKING:
    from policy_dsl.codegen.batch import BatchRules

__all__ = ["CompiledPolicy", "ParamError", "ScalarRules", "TextTable", "Verdict", "compile_policy"]

Row = Mapping[str, float | bool | str]
Engine = Mapping[str, float | bool]


class ParamError(ValueError):
    """A parameter that the policy doesn't have, or a value out of its range."""


def compile_policy(
    policy: ir.Policy, source: Source, params: Mapping[str, float] | None = None, texts: TextTable | None = None
) -> CompiledPolicy:
    """*policy* with its parameters at their defaults, but for *params* (in base units).

    *texts* numbers the texts in columns; policies that share it can read the same columns.
    Raises `ParamError`.
    """
    return CompiledPolicy(policy, source, _effective(policy.params, params or {}), texts or TextTable())


def _effective(infos: Sequence[ir.ParamInfo], given: Mapping[str, float]) -> dict[str, float]:
    values = {p.name: p.default for p in infos}
    ranges = {p.name: p for p in infos}
    for name, value in given.items():
        if name not in ranges:
            known = ", ".join(ranges) or "none"
            raise ParamError(f"the policy has no param `{name}` (it has: {known})")
        info = ranges[name]
        if not info.low <= value <= info.high:
            raise ParamError(f"param `{name}` must lie in {info.low:g}..{info.high:g} ({info.type}), not {value:g}")
        values[name] = float(value)
    return values


@dataclass(frozen=True, slots=True)
class _Rules:
    """The expressions of a policy with its parameters written in and `highest` keys negated."""

    rank: tuple[ir.Node, ...]
    promote: ir.Node | None
    by: tuple[ir.Node, ...]
    handling: ir.Node
    limits: tuple[ir.Limit, ...]
    on_call: ir.Decision


class CompiledPolicy:
    """One policy, checked and compiled. Immutable; `with_params` makes another.

    *row_keys*: signals of a waiting row that rank, promote and the foreseen handling read (`call.duration.p90`);
    *call_keys*: those that `on call` reads; *engine_keys*: signals of the engine that any rule reads.
    *revision*: 12 hex digits that change with the text and the parameters.
    """

    def __init__(self, policy: ir.Policy, source: Source, params: Mapping[str, float], texts: TextTable) -> None:
        self.name, self.title, self.path = policy.name, policy.title, source.path
        self.params, self.param_infos = params, policy.params
        self.revision = hashlib.sha256((source.text + json.dumps(params, sort_keys=True)).encode()).hexdigest()[:12]
        self._policy, self._source, self._texts = policy, source, texts
        self._rules = rules = _settle(policy, params)
        promote = () if rules.promote is None else (rules.promote,)
        asked = keys_read((*rules.rank, *rules.by, *promote, rules.handling))
        called = keys_read(decision_roots(rules.on_call)) | _grants(rules.on_call)
        limited = keys_read(limit.bound for limit in rules.limits)
        self.row_keys, self.call_keys = _rows(asked), _rows(called)
        self.engine_keys = (asked | called | limited) - self.row_keys - self.call_keys

    def with_params(self, params: Mapping[str, float]) -> CompiledPolicy:
        """The same policy with *params* changed, the others as they are now. Raises `ParamError`."""
        return compile_policy(self._policy, self._source, {**self.params, **params}, self._texts)

    @cached_property
    def scalar(self) -> ScalarRules:
        """Answers for one request at a time."""
        return ScalarRules(self._rules, Places(self._source))

    @cached_property
    def batch(self) -> BatchRules:
        """Answers for all waiting requests at once. Imports numpy when first read."""
        from policy_dsl.codegen.batch import BatchRules

        rules = self._rules
        return BatchRules(rules.rank, rules.promote, rules.by, Places(self._source), self._texts)


class ScalarRules:
    """Answers for one request: *row* holds the policy's row or call keys, *engine* its engine keys."""

    def __init__(self, rules: _Rules, places: Places) -> None:
        module = Module(places)
        add_values(module, "rank", rules.rank)
        add_values(module, "promote", () if rules.promote is None else (rules.promote,))
        add_values(module, "promote_by", rules.by)
        add_values(module, "handling", (rules.handling,))
        add_decision(module, "on_call", rules.on_call)
        for i, limit in enumerate(rules.limits):
            add_values(module, f"limit_{i}", (limit.bound,))
        functions = module.compile()
        self._promote, self._handling = functions["promote"], functions["handling"]
        self._limits = tuple((limit.name, functions[f"limit_{i}"]) for i, limit in enumerate(rules.limits))
        self.rank: Callable[[Row, Engine], tuple[float, ...]] = functions["rank"]
        """The keys of the order, compared left to right, lowest first (`highest` keys are negated)."""
        self.promote_by: Callable[[Row, Engine], tuple[float, ...]] = functions["promote_by"]
        """The keys of the order among promoted rows; empty: by arrival."""
        self.on_call: Callable[[Row, Engine], Verdict] = functions["on_call"]
        """What happens to the KV cache when the turn has ended in a call."""

    def promote(self, row: Row, engine: Engine) -> bool:
        """Whether the row goes before all that are not promoted."""
        answer = self._promote(row, engine)
        return bool(answer and answer[0])

    def handling(self, row: Row, engine: Engine) -> Handling:
        """What `on call` would answer now, with predictions; NONE where no call is likely."""
        return Handling(int(self._handling(row, engine)[0]))

    def limit(self, name: str, engine: Engine) -> float | None:
        """The bound of *name*, in tokens; None where nothing limits it. A bound that is NaN allows nothing."""
        bounds = [bound({}, engine)[0] for limited, bound in self._limits if limited == name]
        return min((0.0 if math.isnan(b) else b for b in bounds), default=None)


def _settle(policy: ir.Policy, params: Mapping[str, float]) -> _Rules:
    builder = ir.Builder()

    def one(node: ir.Node) -> ir.Node:
        return with_params((node,), params, builder)[0]

    def key(given: ir.Key) -> ir.Node:
        expr = one(given.expr)
        if not given.highest:
            return expr
        return builder.node(ir.Unary, expr.type, expr.span, "not" if expr.type.kind is Kind.BOOL else "-", expr)

    def bound(limit: ir.Limit) -> ir.Limit:
        tokens = one(limit.bound)
        if tokens.type == quantity(NUMBER):
            total = builder.read("engine.kv_total", quantity(TOKEN), limit.span)
            tokens = builder.node(ir.Binary, quantity(TOKEN), limit.span, "*", tokens, total)
        return ir.Limit(limit.name, tokens, limit.span)

    promote = policy.promote
    return _Rules(
        tuple(map(key, policy.rank)) or (builder.read("request.arrival", INSTANT, policy.handling.span),),
        None if promote is None else one(promote.when),
        () if promote is None else tuple(map(key, promote.by)),
        one(policy.handling),
        tuple(map(bound, policy.limits)),
        _settled(policy.on_call, one),
    )


def _settled(decision: ir.Decision, one: Callable[[ir.Node], ir.Node]) -> ir.Decision:
    def act(given: ir.Act) -> ir.Act:
        links = tuple(ir.Hold(h.handling, None if h.lasts is None else one(h.lasts)) for h in given.holds)
        return ir.Act(links, given.span)

    match decision:
        case ir.Act():
            return act(decision)
        case ir.Choose(test=test, then=then, other=other, span=span):
            return ir.Choose(one(test), _settled(then, one), _settled(other, one), span)
        case ir.Pick(arms=arms, span=span):
            return ir.Pick(
                tuple(ir.Arm(act(a.act), one(a.cost), None if a.when is None else one(a.when)) for a in arms), span
            )


def _grants(decision: ir.Decision) -> frozenset[str]:
    """The hidden signals that say whether the handlings of *decision* can be carried out."""
    match decision:
        case ir.Act(holds=links):
            return frozenset(f"allow.{h.handling.word}" for h in links) & {"allow.preserve", "allow.swap"}
        case ir.Choose(then=then, other=other):
            return _grants(then) | _grants(other)
        case ir.Pick(arms=arms):
            return frozenset[str]().union(*(_grants(a.act) for a in arms))


def _rows(keys: frozenset[str]) -> frozenset[str]:
    return frozenset(k for k in keys if signal_of(k).per_row)
