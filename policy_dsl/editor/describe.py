"""Signals, functions, params and lets in words: what hovering and completion show."""

from __future__ import annotations

import math

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS, STATISTICS, Changes, Signal
from policy_dsl.functions import BUILTINS
from policy_dsl.lint.syntax import text
from policy_dsl.scope import Definition
from policy_dsl.types import BOOL, Kind, Type

_CHANGES = {
    Changes.NEVER: "constant",
    Changes.EPOCH: "changes rarely",
    Changes.REQUEST: "fixed while a request waits",
    Changes.STEP: "changes every step",
}
_STATISTICS = {"known": "whether it was measured, not a default"}


MOST_VALUE = 90  # characters of a let's value that are shown


def signal_named(path: str) -> tuple[Signal, str] | None:
    """A signal of the catalogue and the statistic of it that *path* reads ("" for the value itself)."""
    signal = SIGNALS.get(path)
    statistic = ""
    if signal is None:
        base, _, statistic = path.rpartition(".")
        signal = SIGNALS.get(base)
    if signal is None or signal.hidden or (statistic and not (signal.distribution and statistic in STATISTICS)):
        return None
    return signal, statistic


def type_of_signal(signal: Signal, statistic: str) -> Type:
    return BOOL if statistic == "known" else signal.type


def signal_page(signal: Signal, statistic: str) -> str:
    """Markdown: name, unit, meaning, range, and how often it changes."""
    name = f"{signal.name}.{statistic}" if statistic else signal.name
    lines = [code(f"{name}: {type_of_signal(signal, statistic)}"), signal_doc(signal, statistic) + "."]
    facts = [_CHANGES[signal.changes]]
    if signal.type.kind is Kind.QUANTITY and math.isfinite(signal.high):
        facts.insert(0, f"{signal.low:g} to {signal.high:g}")
    elif signal.type.kind is Kind.QUANTITY and signal.low > 0:
        facts.insert(0, f"{signal.low:g} or more")
    lines.append(f"*{', '.join(facts)}*")
    if signal.distribution and not statistic:
        lines.append("A prediction: this is its mean. " + " ".join(f"`.{s}`" for s in STATISTICS) + " can be read too.")
    return "\n\n".join(lines)


def signal_doc(signal: Signal, statistic: str) -> str:
    """One sentence without its full stop."""
    if not statistic:
        return signal.doc[0].upper() + signal.doc[1:]
    if statistic in _STATISTICS:
        return f"{signal.doc[0].upper()}{signal.doc[1:]}: {_STATISTICS[statistic]}"
    return f"{signal.doc[0].upper()}{signal.doc[1:]}: {statistic[1:]} of 100 are at most this"


def builtin_page(name: str) -> str:
    known = BUILTINS[name]
    return code(known.signature) + f"\n\n{known.doc[0].upper()}{known.doc[1:]}."


def definition_page(known: Definition, type_: Type | None) -> str:
    """Markdown for a param or let: its line, its type, the comments that belong to it."""
    syntax = known.syntax
    match syntax:
        case nodes.ParamStatement():
            said = f"param {known.name}: {type_ or 'number'} = {text(syntax.default.span)}"
            said += f" in {text(syntax.low.span)}..{text(syntax.high.span)}"
        case nodes.LetStatement():
            value = text(syntax.value.span)
            said = f"let {signature(syntax)}{colon(type_)}" + (f" = {value}" if len(value) <= MOST_VALUE else "")
        case nodes.Broken():
            return ""
    parts = [code(said), comments_of(syntax), "From the prelude." if known.prelude else ""]
    return "\n\n".join(part for part in parts if part)


def signature(let: nodes.LetStatement) -> str:
    """`f(x: tokens, y)`, or the name alone."""
    args = ", ".join(a.name if a.type is None else f"{a.name}: {a.type.name}" for a in let.args)
    return f"{let.name.name}({args})" if args else let.name.name


def colon(type_: Type | None) -> str:
    return "" if type_ is None else f": {type_}"


def comments_of(syntax: nodes.Syntax) -> str:
    """The comment behind a statement, else those on the lines right above it."""
    lines = syntax.span.source.text.split("\n")
    behind = lines[syntax.span.end_line - 1][syntax.span.end_column - 1 :].strip()
    if behind.startswith("#"):
        return behind.lstrip("# ")
    above = []
    for line in reversed(lines[: syntax.span.line - 1]):
        if not line.strip().startswith("#"):
            break
        above.append(line.strip().lstrip("# "))
    return " ".join(reversed(above))


def code(text: str) -> str:
    return f"```lamps\n{text}\n```"
