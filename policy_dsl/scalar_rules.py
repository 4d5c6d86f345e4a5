"""A policy's answers for one request, or one paused session, at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from policy_dsl import ir
from policy_dsl.codegen.places import Places
from policy_dsl.codegen.scalar import Module, add_decision, add_values
from policy_dsl.settle import Rules
from policy_dsl.types import TEXT, Handling
from policy_dsl.verdict import Verdict

Value = float | bool | str
Row = Mapping[str, Value]
Engine = Mapping[str, float | bool]
Keys = tuple[float, ...]


class ScalarRules:
    """*row* holds the keys that the policy names for the rule that is asked, *engine* its engine keys.

    Keys of an order are compared left to right, lowest first (`highest` keys are negated).
    """

    def __init__(
        self,
        rules: Rules,
        places: Places,
        hints: Sequence[ir.HintInfo] = (),
        classes: Mapping[str, Mapping[str, Value]] | None = None,
    ) -> None:
        module = Module()

        def values(rule: str, function: str, roots: Sequence[ir.Node]) -> None:
            add_values(module, places.of(rule), function, roots)

        values("rank", "rank", rules.rank)
        values("promote", "promote", () if rules.promote is None else (rules.promote,))
        values("promote", "promote_by", rules.by)
        values("on call", "handling", (rules.handling,))
        values("yield", "yields", rules.yields)
        values("victim", "victim", rules.victim)
        values("admit", "admit", () if rules.admit is None else (rules.admit,))
        add_decision(module, places.of("on call"), "on_call", rules.on_call)
        if rules.paused is not None:
            add_decision(module, places.of("while paused"), "paused", rules.paused)
        for i, (name, when) in enumerate(rules.classes):
            values(f"class {name}", f"class_{i}", () if when is None else (when,))
        for i, limit in enumerate(rules.limits):
            values(f"limit {limit.name}", f"limit_{i}", (limit.bound,))
            values(f"limit {limit.name}", f"limit_by_{i}", limit.by)
        functions = module.compile()
        self._promote, self._handling, self._admit = functions["promote"], functions["handling"], functions["admit"]
        self._paused: Callable[[Row, Engine], Verdict] | None = functions.get("paused")
        self._limits = {limit.name: functions[f"limit_{i}"] for i, limit in enumerate(rules.limits)}
        self._limits_by = {limit.name: functions[f"limit_by_{i}"] for i, limit in enumerate(rules.limits)}
        self._class_rules = [(name, functions[f"class_{i}"]) for i, (name, _) in enumerate(rules.classes)]
        self._hints = {hint.name: hint for hint in hints}
        self._classes = classes or {}
        self.rank: Callable[[Row, Engine], Keys] = functions["rank"]
        """The keys of the order of waiting requests."""
        self.promote_by: Callable[[Row, Engine], Keys] = functions["promote_by"]
        """The keys of the order among promoted rows; empty: by arrival."""
        self._decides: Callable[[Row, Engine], Verdict] = functions["on_call"]
        self.on_call: Callable[[Row, Engine], Verdict] = self._decides
        """What happens to the KV cache when the turn has ended in a call."""
        self.yield_keys: Callable[[Row, Engine], Keys] = functions["yields"]
        """The keys by which paused sessions give their memory back; empty: the policy doesn't say."""
        self.victim_keys: Callable[[Row, Engine], Keys] = functions["victim"]
        """The keys by which running requests are preempted; empty: the policy doesn't say."""
        self.paused_every_s: float | None = None if rules.every is None else rules.every.seconds
        """Least time between two askings of `paused` about a session; None: the policy has no `while paused`."""
        self.paused_every_steps: float | None = None if rules.every is None else rules.every.steps
        """Least number of engine steps between two askings; one of the two is 0."""

    def promote(self, row: Row, engine: Engine) -> bool:
        """Whether the row goes before all that are not promoted."""
        answer = self._promote(row, engine)
        return bool(answer and answer[0])

    def handling(self, row: Row, engine: Engine) -> Handling:
        """What `on call` would answer now, with predictions; NONE where no call is likely."""
        return Handling(int(self._handling(row, engine)[0]))

    def decided(self, row: Row, engine: Engine) -> float:
        """The code of the handling that `on call` begins with: under `at arrival` it is `call.decided` from then on."""
        return float(self._decides(row, engine).holds[0][0])

    def paused(self, row: Row, engine: Engine) -> Verdict:
        """What becomes of a session whose call still runs. ValueError when the policy has no `while paused`.

        *row* holds `call.handling`, the code of what is in force, where the policy reads it.
        """
        if self._paused is None:
            raise ValueError("the policy has no `while paused`")
        return self._paused(row, engine)

    def admit(self, row: Row, engine: Engine) -> bool:
        """Whether the request may start now. True where the policy has no gate, and where it gives no number."""
        answer = self._admit(row, engine)
        return bool(answer[0]) if answer else True

    def class_of(self, row: Row) -> str:
        """The class of a session whose first turn this is; "" when the policy has none."""
        for name, rule in self._class_rules:
            answer = rule(row, {})
            if not answer or answer[0]:
                return name
        return ""

    def attributes(self, name: str) -> Mapping[str, Value]:
        """What rows of class *name* have, by signal: `class.weight`. Empty for ""."""
        return {f"class.{key}": value for key, value in self._classes.get(name, {}).items()}

    def hint(self, name: str, given: object) -> float | str:
        """The value of `hint.NAME` when the client said *given* (None: nothing): clamped, or the default.

        A value of another type, and one that is not a number, counts as not given. KeyError for an unknown hint.
        """
        info = self._hints[name]
        if info.type == TEXT:
            return given if isinstance(given, str) else info.default
        if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
            return info.default
        return min(max(float(given), info.low), info.high)

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of what is limited."""
        return tuple(self._limits)

    def limit(self, name: str, engine: Engine) -> float | None:
        """The bound of *name*, in tokens or requests; None where nothing limits it. A bound that is NaN is 0."""
        rule = self._limits.get(name)
        if rule is None:
            return None
        (bound,) = rule({}, engine)
        return 0.0 if math.isnan(bound) else float(bound)

    def limit_by(self, name: str, row: Row, engine: Engine) -> Keys:
        """The keys by which what is left of the limit is shared out; empty: in the order of asking.

        *row*: of a paused session, of a waiting request for a limit on what runs.
        """
        rule = self._limits_by.get(name)
        return () if rule is None else rule(row, engine)
