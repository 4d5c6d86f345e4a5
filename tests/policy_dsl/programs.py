"""Random policies written out: every statement, signal and function of the language, for the test of agreement.

An expression is written for a *unit* (a plain number, a duration, tokens) and a *scope*: what the
rule that it stands in may read. All is drawn from one `random.Random`, so a seed is a policy.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from policy_dsl.catalogue import SIGNALS, STATISTICS, Signal
from policy_dsl.types import BOOL, INSTANT, TEXT

NUMBER, TIME, TOKENS = "number", "duration", "tokens"
UNITS = (NUMBER, TIME, TOKENS)
# What may be read: only constants, the engine's values, those fixed at birth, all but `handling`, everything.
NOTHING, ENGINE, BIRTH, ROW, ALL = "nothing", "engine", "birth", "row", "all"
_SEES = {
    NOTHING: (NOTHING,), ENGINE: (NOTHING, ENGINE), BIRTH: (NOTHING, BIRTH), ROW: (NOTHING, ENGINE, BIRTH, ROW),
    ALL: (NOTHING, ENGINE, BIRTH, ROW, ALL),
}  # fmt: skip
_LITERALS = {
    NUMBER: ("0.5", "2", "60%", "1e300", "3"),
    TIME: ("0s", "250ms", "2min", "1e200s", "3us"),
    TOKENS: ("512tok", "0tok", "1e9tok", "1tok"),
}
# Signals of other units, brought to one of the three.
_CONVERTED = {
    "request.blocks": (NUMBER, "request.blocks / 1blk"),
    "request.unshared_blocks": (NUMBER, "request.unshared_blocks / 1blk"),
    "request.waited_steps": (TIME, "request.waited_steps * engine.step_time"),
    "engine.step_time": (TIME, "engine.step_time * 1step"),
    "engine.block_size": (TOKENS, "engine.block_size * 1blk"),
    "engine.token_bytes": (NUMBER, "engine.token_bytes * 1tok / 1KiB"),
}
_TEXTS = ("bash", "web_*", "user", "web_fetch", "p*", "")
_PREDICTIONS = {TIME: ("call.duration",), TOKENS: ("call.response", "predict.output", "predict.output_after")}
PARTS = (
    "extends", "override let", "override param", "drop ", "include", "hint.", "class.weight", "class.label in",
    "tenant.name", "tenant.charged_output", "session.seated_for", "chance(", "capped(", "best_hold(", ".p99", ".known",
    "match call.tool", "match handling", "handling ==", "handling !=", "swap_time(", "decode_area(", "prefill_time(",
    "at arrival", "while paused every", "again", "admit when", "victim", "yield", "promote when", " by ", "least {",
    " when ", "then", "limit pinned", "limit batch.running", "limit swapping", "fast(", "clamp(", "^", "log2(", "exp(",
    "engine.reserved_elsewhere", "request.deadline", "session.arrival", "if ", "not ", " in [", "highest ",
)  # fmt: skip


@dataclass(frozen=True)
class Let:
    """A name that has been defined, and who may read it."""

    name: str
    unit: str
    scope: str


@dataclass
class Writer:
    random: Random
    lets: list[Let] = field(default_factory=list)
    declared: bool = False  # whether there are hints and classes to read

    # --- expressions

    def value(self, unit: str, scope: str, depth: int = 3) -> str:
        if depth == 0:
            return self._leaf(unit, scope)
        written = self.random.choice(self._ways(unit))(unit, scope, depth - 1)
        return f"({written})" if " " in written else written

    def _ways(self, unit: str) -> list[Callable[[str, str, int], str]]:
        common = [
            self._sum, self._product, self._choice, self._extreme, self._by_text, self._by_handling, self._leaf,
            self._function, self._negative,
        ]  # fmt: skip
        own = {NUMBER: [self._ratio, self._maths, self._chance], TIME: [self._cost, self._of_prediction]}
        return common + own.get(unit, [self._of_prediction])

    def _leaf(self, unit: str, scope: str, depth: int = 0) -> str:
        known = [x.name for x in self.lets if x.unit == unit and x.scope in _SEES[scope]]
        pick = self.random.random()
        if pick < 0.3 and known:
            return self.random.choice(known)
        signals = self._signals(unit, scope)
        return self.random.choice(signals if pick < 0.9 and signals else _LITERALS[unit])

    def _signals(self, unit: str, scope: str) -> list[str]:
        found = _known(unit, scope)
        if self.declared and scope in (ROW, ALL):
            found = found + {NUMBER: ["class.weight"] * 9, TIME: ["class.slack"] * 9}.get(unit, [])
        if self.declared and scope in (BIRTH, ROW, ALL):
            found = found + {NUMBER: ["hint.critical"] * 9, TOKENS: ["hint.size"] * 9}.get(unit, [])
        return found

    def _sum(self, unit: str, scope: str, depth: int) -> str:
        return f"{self.value(unit, scope, depth)} {self.random.choice('+-')} {self.value(unit, scope, depth)}"

    def _product(self, unit: str, scope: str, depth: int) -> str:
        return f"{self.value(unit, scope, depth)} {self.random.choice('*/')} {self.value(NUMBER, scope, depth)}"

    def _ratio(self, unit: str, scope: str, depth: int) -> str:
        of = self.random.choice(UNITS)
        return f"{self.value(of, scope, depth)} / {self.value(of, scope, depth)}"

    def _negative(self, unit: str, scope: str, depth: int) -> str:
        return self.random.choice(["-({})", "abs({})"]).format(self.value(unit, scope, depth))

    def _choice(self, unit: str, scope: str, depth: int) -> str:
        then, other = self.value(unit, scope, depth), self.value(unit, scope, depth)
        return f"if {self.flag(scope, depth)} {{ {then} }} else {{ {other} }}"

    def _extreme(self, unit: str, scope: str, depth: int) -> str:
        name, count = self.random.choice([("min", 2), ("max", 3), ("clamp", 3)])
        return f"{name}({', '.join(self.value(unit, scope, depth) for _ in range(count))})"

    def _by_text(self, unit: str, scope: str, depth: int) -> str:
        if scope not in (ROW, ALL):
            return self._leaf(unit, scope)
        a, b, *_ = self._patterns(2)
        arms = f"{a}: {self.value(unit, scope, depth)}, {b}: {self.value(unit, scope, depth)}"
        return f"match call.tool {{ {arms} _: {self.value(unit, scope, depth)} }}"

    def _by_handling(self, unit: str, scope: str, depth: int) -> str:
        if scope != ALL:
            return self._leaf(unit, scope)
        one, two = self.value(unit, scope, depth), self.value(unit, scope, depth)
        return self.random.choice([
            f"match handling {{ preserve, swap: {one} discard, none: {two} }}",
            f"match handling {{ swap: {one} _: {two} }}",
        ])  # fmt: skip

    def _function(self, unit: str, scope: str, depth: int) -> str:
        if unit == TIME:
            return f"fast({self.value(NUMBER, scope, depth)}, {self.value(TIME, scope, depth)})"
        return f"halved({self.value(unit, scope, depth)})"

    def _maths(self, unit: str, scope: str, depth: int) -> str:
        x = self.value(NUMBER, scope, depth)
        forms = ("exp({})", "log({})", "log2({})", "sqrt({})", "floor({})", "ceil({})", "({}) ^ 2", "({}) ^ -0.5")
        return self.random.choice(forms).format(x)

    def _cost(self, unit: str, scope: str, depth: int) -> str:
        if scope in (NOTHING, BIRTH):  # what the engine costs is not known there
            return self._leaf(unit, scope)
        forms = (
            "prefill_time({})", "prefill_time({}, {})", "decode_time({})", "swap_time({})",
            "decode_area({}, {}) / 1tok",
        )  # fmt: skip
        form = self.random.choice(forms)
        return form.format(*(self.value(TOKENS, scope, depth) for _ in range(form.count("{}"))))

    def _chance(self, unit: str, scope: str, depth: int) -> str:
        if scope not in (ROW, ALL):
            return self._leaf(unit, scope)
        of = self.random.choice([TIME, TOKENS])
        op = self.random.choice(["<", "<=", ">", ">="])
        return f"chance({self.random.choice(_PREDICTIONS[of])} {op} {self.value(of, scope, depth)})"

    def _of_prediction(self, unit: str, scope: str, depth: int) -> str:
        if scope not in (ROW, ALL):
            return self._leaf(unit, scope)
        name = self.random.choice(_PREDICTIONS[unit])
        if self.random.random() < 0.5:
            return f"capped({name}, {self.value(unit, scope, depth)})"
        price = self.value(NUMBER, scope, depth)
        return f"best_hold({name}, {self.value(unit, scope, depth)}, {price})"

    def flag(self, scope: str, depth: int = 2) -> str:
        ways = [self._compared, self._compared, self._true_signal]
        if depth:
            ways += [self._joined, self._joined, self._negated]
        if scope in (BIRTH, ROW, ALL):
            ways += [self._text, self._instants]
        if scope == ALL:
            ways.append(lambda _s, _d: f"handling {self._of(['==', '!='])} {self._of(['swap', 'none', 'discard'])}")
        return self.random.choice(ways)(scope, max(depth - 1, 0))

    def _compared(self, scope: str, depth: int) -> str:
        unit, op = self._of(UNITS), self._of(["<", "<=", ">", ">=", "==", "!="])
        return f"{self.value(unit, scope, depth)} {op} {self.value(unit, scope, depth)}"

    def _true_signal(self, scope: str, depth: int) -> str:
        found = [s.name for s in SIGNALS.values() if s.type == BOOL and _readable(s, scope)]
        found += [f"{p}.known" for ps in _PREDICTIONS.values() for p in ps if scope in (ROW, ALL)]
        found += ["class.urgent"] if self.declared and scope in (ROW, ALL) else []
        return self._of(found or ["true", "false"])

    def _joined(self, scope: str, depth: int) -> str:
        return f"({self.flag(scope, depth)} {self._of(['and', 'or'])} {self.flag(scope, depth)})"

    def _negated(self, scope: str, depth: int) -> str:
        return f"not ({self.flag(scope, depth)})"

    def _text(self, scope: str, depth: int) -> str:
        found = [s.name for s in SIGNALS.values() if s.type == TEXT and _readable(s, scope)]
        if self.declared:
            found += ["hint.kind", *(["class.label"] if scope in (ROW, ALL) else [])]
        one = self._of(found)
        if self.random.random() < 0.3:
            return f'{one} {self._of(["==", "!="])} "bash"'
        return f"{one} in [{', '.join(self._patterns(self.random.randint(1, 3)))}]"

    def _instants(self, scope: str, depth: int) -> str:
        found = [s.name for s in SIGNALS.values() if s.type == INSTANT and _readable(s, scope)]
        shift = f" {self._of('+-')} {self.value(TIME, scope, 0)}" if self.random.random() < 0.5 else ""
        return f"{self._of(found)}{shift} {self._of(['<', '>='])} {self._of(found)}"

    def _patterns(self, count: int) -> list[str]:
        return [f'"{t}"' for t in self.random.sample(_TEXTS, count)]

    def _of(self, choices):
        return self.random.choice(choices)

    # --- orders and decisions

    def order(self, scope: str = ALL) -> str:
        instants = [s.name for s in SIGNALS.values() if s.type == INSTANT]
        keys = (
            self._of(["", "highest ", "lowest "])
            + self._of([self.value(self._of(UNITS), scope), self.flag(scope), self._of(instants)])
            for _ in range(self.random.randint(1, 3))
        )
        return ", ".join(keys)

    def decision(self, scope: str, again: bool, depth: int = 2) -> str:
        shape = self._of(["action", "least", *(["again"] if again else []), *(["if", "match"] * 2 if depth else [])])
        match shape:
            case "again":
                return "again"
            case "action":
                return self._action(scope)
            case "least":
                unit = self._of(UNITS)
                return "least {\n" + "".join(self._arm(unit, scope) for _ in range(self.random.randint(1, 3))) + "}"
            case "if":
                then, other = (self.decision(scope, again, depth - 1) for _ in range(2))
                return f"if {self.flag(scope)} {{ {then} }} else {{ {other} }}"
            case _:
                a, b = self._patterns(2)
                one, two = (self.decision(scope, again, depth - 1) for _ in range(2))
                return f"match call.tool {{ {a}, {b}: {one}, _: {two} }}"

    def _arm(self, unit: str, scope: str) -> str:
        when = f" when {self.flag(scope)}" if self.random.random() < 0.4 else ""
        return f"  {self._action(scope)}: {self.value(unit, scope)}{when}\n"

    def _action(self, scope: str) -> str:
        links = [self._of(["preserve", "swap", "preserve", "swap", "discard"])]
        while links[-1] != "discard" and self.random.random() < 0.4 and len(links) < 3:
            links[-1] += f" for {self.value(TIME, scope, 1)}"
            links.append(self._of(["preserve", "swap", "discard"]))
        if links[-1] != "discard" and self.random.random() < 0.5:
            links[-1] += f" for {self.value(TIME, scope, 1)}"
        return " then ".join(links)


def _readable(s: Signal, scope: str) -> bool:
    allowed = {NOTHING: False, ENGINE: not s.per_row, BIRTH: s.at_birth}.get(scope, True)
    return allowed and not s.hidden


@cache
def _known(unit: str, scope: str) -> list[str]:
    return [text for s in SIGNALS.values() if _readable(s, scope) for text in _readings(s, unit)]


def _readings(s: Signal, unit: str) -> list[str]:
    """How *s* is read where *unit* is wanted."""
    if s.name in _CONVERTED:
        wanted, text = _CONVERTED[s.name]
        return [f"({text})"] if wanted == unit else []
    if str(s.type) != {NUMBER: "number", TIME: "seconds", TOKENS: "tokens"}[unit]:
        return []
    return [s.name, *(f"{s.name}.{q}" for q in STATISTICS[:-1] if s.distribution)]


# --- policies


def written(random: Random) -> dict[str, str]:
    """The files of one policy, by name: `child.lamps`, which is built on the others."""
    w = Writer(random)
    return {
        "shared.lamps": _shared(w),
        "parent.lamps": _parent(w),
        "child.lamps": _child(w),
    }


def _let(w: Writer, name: str, unit: str, scope: str) -> str:
    text = f"let {name} = {w.value(unit, scope)}\n"
    w.lets.append(Let(name, unit, scope))
    return text


def _shared(w: Writer) -> str:
    text = "lamps 1\nparam steady = 3 in 1..9\nparam pause = 2s in 100ms..1h\n"
    w.lets += [Let("steady", NUMBER, NOTHING), Let("pause", TIME, NOTHING)]
    text += "let halved(x) = max(x / 2, x * steady - x)\n"
    text += "let fast(x, t: duration) = if x > steady and t < pause { t * x } else { t / (x + 1) }\n"
    return text + _let(w, "room", TOKENS, ENGINE)


def _parent(w: Writer) -> str:
    w.declared = True
    lets = [
        _let(w, f"p{i}", w.random.choice(UNITS), w.random.choice([NOTHING, ENGINE, BIRTH, ROW, ALL])) for i in range(4)
    ]
    lets.append(_let(w, "turned", TIME, ROW))
    aside = replace(w, random=copy(w.random))  # what it draws shifts nothing: seeds keep the rest of their programs
    arrival = w.random.choice(["", " at arrival"])
    return f"""lamps 1
policy parent "p"
include "shared.lamps"
hint critical = 0 in 0..1
hint size = 10tok in 1tok..1000tok
hint kind = "x"
{"".join(lets)}
class batch when {w.flag(BIRTH)} {{ weight: -2 slack: 5s urgent: true label: "web_fetch" }}
class rest {{ weight: 0.5, slack: 0, urgent: false, label: "bash" }}

rank {w.order()}
on call{arrival} {w.decision(ROW, again=False)}
while paused every {w.random.choice(["pause", "500ms", "1step", "pause / 2"])} {w.decision(ALL, again=True)}
yield {w.order()}
victim {w.order()}
admit when {w.flag(ROW, 3)}
promote when {w.flag(ALL)} by {w.order()}
limit pinned <= {w.random.choice(["40%", w.value(TOKENS, ENGINE), w.value(NUMBER, ENGINE)])} by {w.order()}
limit batch.running <= 3 by {aside.order()}
limit swapping <= engine.hidden_swap / 2
"""


def _child(w: Writer) -> str:
    plain = Writer(w.random)  # of nothing that may be made of `turned` itself
    text = f"""lamps 1
policy child "c"
extends "parent.lamps"
override param steady = 4 in 2..8
override let turned = {plain.value(TIME, ROW).replace("fast(", "max(0s * ").replace("halved(", "abs(")}
let own = turned * {w.value(NUMBER, ROW)}
"""
    w.lets.append(Let("own", TIME, ROW))
    own = {
        "rank": f"rank own, {w.order()}",
        "on call": f"on call {w.decision(ROW, again=False)}",
        "while paused": f"while paused every 1s {w.decision(ALL, again=True)}",
        "yield": f"yield {w.order()}",
        "victim": f"victim {w.order()}",
        "admit": f"admit when {w.flag(ROW)}",
        "promote": f"promote when {w.flag(ALL)}",
        "limit pinned": f"limit pinned <= {w.value(TOKENS, ENGINE)}",
    }
    for what, statement in own.items():
        match w.random.randrange(5):
            case 0:
                text += f'drop {what} "drawn"\n'
            case 1 | 2:
                text += statement + "\n"
    return text
