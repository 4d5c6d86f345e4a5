"""How two policies differ in what they mean: layout, comments, order and names of lets don't count.

Rules are compared as the checked graph that every reading is made from, lets and functions written out. Parameters
count by name, default and range.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

from policy_dsl import ir, nodes
from policy_dsl.loading import Loaded
from policy_dsl.reopened import reopened
from policy_dsl.types import Type


@dataclass(frozen=True, slots=True)
class Difference:
    """*what* differs: "rank", "limit pinned", "param patience", "let keep".

    *before* and *after* are what the one and the other say, "" where it says nothing of it.
    """

    what: str
    before: str
    after: str


def differences(one: Loaded, other: Loaded) -> tuple[Difference, ...]:
    """What *other* says differently from *one*, rules first. ValueError when either has errors."""
    before, after = _Described(one), _Described(other)
    changed = [w for w in _union(before.rules, after.rules) if before.rules.get(w) != after.rules.get(w)]
    # A let is said where rules changed with it: one that is renamed, or reads what changed, is not at the root of it.
    lets = [w for w in before.lets if w in after.lets and before.lets[w] != after.lets[w]] if changed else []
    lets = [w for w in lets if not same_words(before.texts[w], after.texts[w])]
    return tuple(Difference(w, before.texts.get(w, ""), after.texts.get(w, "")) for w in (*changed, *lets))


def same_words(one: str, other: str) -> bool:
    """Whether two statements are written alike but for layout and comments."""
    return _words(one) == _words(other)


def _words(text: str) -> str:
    lines = (line.partition("#")[0] if '"' not in line else line for line in text.splitlines())
    return " ".join(" ".join(lines).split())


def _union(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*one, *other)))


class _Described:
    """A policy as a meaning for each of its rules and lets, and the text of each."""

    def __init__(self, loaded: Loaded) -> None:
        el, policy = reopened(loaded), loaded.policy
        assert policy is not None
        self.rules: dict[str, str] = {w: _digest(what) for w, what in _rules(policy).items() if what}
        self.lets: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        for s in loaded.composed:
            word = _word(s)
            if word in self.rules:
                self.texts[word] = s.span.text
        for name, known in loaded.definitions.items():
            if isinstance(known.syntax, nodes.LetStatement) and not known.prelude:
                text = known.syntax.span.text
                self.lets[f"let {name}"] = _words(text) if known.is_function else _digest(el.value(known))
                self.texts[f"let {name}"] = text


def _rules(policy: ir.Policy) -> dict[str, object]:
    """What each statement comes to; empty where there is none."""
    promote, paused = policy.promote, policy.paused
    return {
        **{f"param {p.name}": (p.type, p.default, p.low, p.high) for p in policy.params},
        **{f"hint {h.name}": (h.type, h.default, h.low, h.high) for h in policy.hints},
        **{f"class {c.name}": (i, c.when, c.attributes) for i, c in enumerate(policy.classes)},
        "rank": policy.rank,
        "on call": (policy.on_call, policy.at_arrival),
        "while paused": paused and (paused.every, paused.decision),
        "yield": policy.yields,
        "victim": policy.victim,
        "admit": policy.admit,
        "promote": promote and (promote.when, promote.by),
        **{f"limit {m.name}": (m.bound, m.by, m.share) for m in policy.limits},
        "budget": policy.budget,
    }


_WORDS: dict[type, str] = {
    nodes.RankStatement: "rank", nodes.OnCallStatement: "on call", nodes.PausedStatement: "while paused",
    nodes.YieldStatement: "yield", nodes.VictimStatement: "victim", nodes.AdmitStatement: "admit",
    nodes.PromoteStatement: "promote", nodes.BudgetStatement: "budget",
}  # fmt: skip


def _word(s: nodes.Statement) -> str:
    match s:
        case nodes.ParamStatement(name=name):
            return f"param {name.name}"
        case nodes.HintStatement(name=name):
            return f"hint {name.name}"
        case nodes.ClassStatement(name=name):
            return f"class {name.name}"
        case nodes.LimitStatement(name=name):
            return f"limit {name.name}"
        case _:
            return _WORDS.get(type(s), "")


def _digest(root: object) -> str:
    """A hash of what *root* means; where it stands in the file is no part of it."""
    done: dict[int, str] = {}

    def of(value: object) -> str:
        match value:
            case ir.Node():
                if id(value) not in done:
                    done[id(value)] = _hash(type(value).__name__, value.type, *(of(o) for o in _inside(value)))
                return done[id(value)]
            case Type() | str() | float() | bool() | int() | None:
                return repr(value)
            case tuple():
                return _hash("tuple", *(of(item) for item in value))
            case _:  # rules: keys, holds, arms, decisions, budgets
                return _hash(type(value).__name__, *(of(o) for o in _inside(value)))

    return of(root)


def _inside(value: object) -> list[object]:
    own = fields(value)  # type: ignore[arg-type]
    return [getattr(value, f.name) for f in own if f.name not in ("span", "type", "doc")]


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
