"""A policy ready to answer: which request is next, what happens to a cache during a call, what is limited."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from policy_dsl import ir
from policy_dsl.catalogue import Changes, signal_of
from policy_dsl.codegen.lower import keys_read
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import decision_roots
from policy_dsl.codegen.texts import TextTable
from policy_dsl.diagnostics.model import Source
from policy_dsl.flat import alone
from policy_dsl.limits import of_waiting
from policy_dsl.scalar_rules import ScalarRules
from policy_dsl.settle import Rules, settle
from policy_dsl.types import Handling
from policy_dsl.verdict import Verdict

if TYPE_CHECKING:
    from policy_dsl.codegen.batch import BatchRules
    from policy_dsl.terms import Terms

__all__ = ["CompiledPolicy", "ParamError", "ScalarRules", "TextTable", "Verdict", "compile_policy"]


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


class CompiledPolicy:
    """One policy, checked and compiled. Immutable; `with_params` makes another.

    Which signals of a row its rules read (keys as `call.duration.p90`, `class.weight`, `hint.critical`):
    *rank_keys*: rank, promote, `admit` and the `by` of limits on what runs, of waiting requests; *row_keys*: rank,
    promote and the foreseen handling; *call_keys*: `on call`;
    *admit_keys*: `admit`; *victim_keys*: `victim`, of running requests; *paused_keys*: `while paused`, `yield` and
    the `by` of other limits, of paused sessions; *class_keys*: the conditions of classes.
    *limit_keys*: signals of the engine that the bounds of limits read. *promote_keys*: all that `promote` reads.
    *engine_keys*: signals of the engine that any rule reads, *call_engine_keys* that `on call` does.
    *statements*: the rules that the policy states, by their words ("on call at arrival", "limit batch.running"); a
    limit that is shared out has words of its own ("limit pinned ... by").
    *always_discards*: whether no call could be answered otherwise, whatever happens.
    *steady*: whether a waiting request's place among others follows from its own row alone, which only an event of that
    request rewrites, and nobody is promoted.
    *revision*: 12 hex digits that change with what the policy is made of (tests and comments are not) and with
    the parameters.
    """

    def __init__(self, policy: ir.Policy, source: Source, params: Mapping[str, float], texts: TextTable) -> None:
        self.name, self.title, self.path = policy.name, policy.title, source.path
        self.params, self.param_infos = params, policy.params
        self.hint_infos, self.budget = policy.hints, policy.budget
        self.on_call_at_arrival = policy.at_arrival
        self.always_discards = _discards(policy.on_call)
        self.statements = _statements(policy)
        self.classes = {c.name: dict(c.attributes) for c in policy.classes}
        self.revision = _revision(policy.flat or source.text, params)
        self._policy, self._source, self._texts = policy, source, texts
        self._rules = rules = settle(policy, params)
        reads = _reads(rules)
        row_keys = {rule: _rows(keys) for rule, keys in reads.items()}
        self.rank_keys, self.row_keys = row_keys["rank"] | row_keys["admit"] | row_keys["places"], row_keys["row"]
        self.call_keys, self.admit_keys = row_keys["call"], row_keys["admit"]
        self.victim_keys, self.paused_keys = row_keys["victim"], row_keys["paused"]
        self.class_keys, self.limit_keys, self.promote_keys = row_keys["class"], reads["limit"], reads["promote"]
        self.steady = rules.promote is None and all(map(_stays, keys_read(rules.rank)))
        everything = frozenset[str]().union(*reads.values())
        self.engine_keys, self.call_engine_keys = everything - _rows(everything), reads["call"] - _rows(reads["call"])

    def states(self, words: str) -> bool:
        """Whether the policy has the rule of these words, such as "while paused"."""
        return words in self.statements

    def highest(self, rule: str) -> tuple[bool, ...]:
        """Of each key of `rank`, `yield` or `victim`, whether the largest goes first; its rule answers it negated."""
        keys = {"rank": self._policy.rank, "yield": self._policy.yields, "victim": self._policy.victim}[rule]
        return tuple(key.highest for key in keys)

    @property
    def text(self) -> str:
        """The policy as one file that means the same: what it takes over written out, without tests, and of comments
        only what they allow."""
        return alone(self._policy.flat or self._source.text, self._source)

    @property
    def source(self) -> Source:
        """The file as it was given, comments and all."""
        return self._source

    @property
    def source_text(self) -> str:
        """The file as it was given; lines of verdicts refer to it."""
        return self._source.text

    def with_params(self, params: Mapping[str, float]) -> CompiledPolicy:
        """The same policy with *params* changed, the others as they are now. Raises `ParamError`."""
        return compile_policy(self._policy, self._source, {**self.params, **params}, self._texts)

    @cached_property
    def scalar(self) -> ScalarRules:
        """Answers for one request at a time."""
        return ScalarRules(self._rules, Places(self._source, self._policy.stated), self.hint_infos, self.classes)

    @cached_property
    def terms(self) -> Terms:
        """What the keys of the rank are made of, for people."""
        from policy_dsl.terms import terms_of

        policy = self._policy
        plain = replace(policy, rank=tuple(replace(key, highest=False) for key in policy.rank))
        return terms_of(policy.stated.get("rank"), settle(plain, self.params).rank, Places(self._source))

    @cached_property
    def batch(self) -> BatchRules:
        """Answers for all waiting requests at once. Imports numpy when first read."""
        from policy_dsl.codegen.batch import BatchRules

        rules = self._rules
        places = Places(self._source, self._policy.stated)
        shares = {limit.name: limit.by for limit in rules.limits if limit.by and of_waiting(limit.name)}
        return BatchRules(rules.rank, rules.promote, rules.by, places, self._texts, rules.admit, shares)


def _grants(decision: ir.Decision) -> frozenset[str]:
    """The hidden signals that say whether the handlings of *decision* can be carried out."""
    match decision:
        case ir.Again():
            return frozenset()
        case ir.Act(holds=links):
            return frozenset(f"allow.{h.handling.word}" for h in links) & {"allow.preserve", "allow.swap"}
        case ir.Choose(then=then, other=other):
            return _grants(then) | _grants(other)
        case ir.Pick(arms=arms):
            return frozenset[str]().union(*(_grants(a.act) for a in arms))


def _discards(decision: ir.Decision) -> bool:
    """Whether nothing but discard can come of it."""
    match decision:
        case ir.Act(holds=(ir.Hold(handling=Handling.DISCARD),)):
            return True
        case _:
            return False


def _stays(key: str) -> bool:
    signal = signal_of(key)
    return signal.per_row and signal.changes <= Changes.REQUEST


def _rows(keys: frozenset[str]) -> frozenset[str]:
    return frozenset(k for k in keys if signal_of(k).per_row)


def _reads(rules: Rules) -> dict[str, frozenset[str]]:
    """Every key that a rule reads, by who is asked."""
    promote = () if rules.promote is None else (rules.promote,)
    paused = () if rules.paused is None else decision_roots(rules.paused)
    again = rules.paused is not None and _asks_again(rules.paused)
    shared_out = [key for limit in rules.limits if not of_waiting(limit.name) for key in limit.by]
    places = [key for limit in rules.limits if of_waiting(limit.name) for key in limit.by]
    called = keys_read(decision_roots(rules.on_call)) | _grants(rules.on_call)
    granted = _grants(rules.paused) if rules.paused is not None else frozenset[str]()
    return {
        "rank": keys_read((*rules.rank, *rules.by, *promote)),
        "promote": keys_read(promote),
        "row": keys_read((*rules.rank, *rules.by, *promote, rules.handling)),
        "call": called,
        "places": keys_read(places),
        "admit": keys_read(() if rules.admit is None else (rules.admit,)),
        "victim": keys_read(rules.victim),
        "paused": keys_read((*paused, *rules.yields, *shared_out)) | granted | (called if again else frozenset()),
        "class": keys_read(when for _, when in rules.classes if when is not None),
        "limit": keys_read(limit.bound for limit in rules.limits),
    }


def _statements(policy: ir.Policy) -> tuple[str, ...]:
    on_call = "on call at arrival" if policy.at_arrival else "on call"
    stated = {
        "rank": True, on_call: True, "while paused": policy.paused is not None, "yield": bool(policy.yields),
        "victim": bool(policy.victim), "admit": policy.admit is not None, "promote": policy.promote is not None,
        "class": bool(policy.classes),
    }  # fmt: skip
    limits = (f"limit {limit.name} ... by" if limit.by else f"limit {limit.name}" for limit in policy.limits)
    return (*(word for word, there in stated.items() if there), *limits)


def _asks_again(decision: ir.Decision) -> bool:
    match decision:
        case ir.Again():
            return True
        case ir.Choose(then=then, other=other):
            return _asks_again(then) or _asks_again(other)
        case _:
            return False


def _revision(text: str, params: Mapping[str, float]) -> str:
    return hashlib.sha256((text + json.dumps(params, sort_keys=True)).encode()).hexdigest()[:12]
