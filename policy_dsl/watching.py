"""A policy that tells what it is asked while it answers: how tests are followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from policy_dsl.codegen.places import Places
from policy_dsl.codegen.texts import TextTable
from policy_dsl.compiled import CompiledPolicy
from policy_dsl.loading import Loaded
from policy_dsl.scalar_rules import Keys, ScalarRules
from policy_dsl.verdict import Verdict

Values = Mapping[str, float | bool | str]
Follow = Callable[[str, Values, Values, Mapping[str, float], object], None]
"""Rule, row, engine, params, and the answer where it is a condition or a class."""
_Asked = Callable[[str, Values, Values, object], None]


class Watched(CompiledPolicy):
    """A policy that tells *follow* what it is asked."""

    def __init__(self, loaded: Loaded, params: Mapping[str, float], texts: TextTable, follow: Follow) -> None:
        assert loaded.policy is not None
        super().__init__(loaded.policy, loaded.source, params, texts)
        self._loaded, self._follow = loaded, follow

    def with_params(self, params: Mapping[str, float]) -> CompiledPolicy:
        return Watched(self._loaded, {**self.params, **params}, self._texts, self._follow)

    @cached_property
    def scalar(self) -> ScalarRules:
        def asked(rule: str, row: Values, engine: Values, answer: object) -> None:
            self._follow(rule, row, engine, self.params, answer)

        return _Rules(self, asked)


class _Rules(ScalarRules):
    def __init__(self, policy: CompiledPolicy, asked: _Asked) -> None:
        super().__init__(policy._rules, Places(policy._source), policy.hint_infos, policy.classes)
        self._asked = asked
        self.rank = self._keys("rank", self.rank)
        self.promote_by = self._keys("by", self.promote_by)
        self.yield_keys = self._keys("yield", self.yield_keys)
        self.victim_keys = self._keys("victim", self.victim_keys)
        inner = self.on_call

        def on_call(row: Values, engine: Mapping[str, float | bool]) -> Verdict:
            asked("on call", row, engine, None)
            return inner(row, engine)

        self.on_call = on_call

    def _keys(self, rule: str, inner: Callable[..., Keys]) -> Callable[..., Keys]:
        def keys(row: Values, engine: Values) -> Keys:
            self._asked(rule, row, engine, None)
            return inner(row, engine)

        return keys

    def promote(self, row: Values, engine: Mapping[str, float | bool]) -> bool:
        answer = super().promote(row, engine)
        self._asked("promote", row, engine, answer)
        return answer

    def paused(self, row: Values, engine: Mapping[str, float | bool]) -> Verdict:
        self._asked("while paused", row, engine, None)
        return super().paused(row, engine)

    def class_of(self, row: Values) -> str:
        name = super().class_of(row)
        self._asked("class", row, {}, name)
        return name
