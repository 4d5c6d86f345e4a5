"""Logged decisions as text: a line each, and for one request why it was decided so."""

from __future__ import annotations

from datetime import datetime

from engine_adapter.control.decision_log import LoggedDecision
from engine_adapter.control.naming import short


def line(decision: LoggedDecision) -> str:
    """One decision in one line: when (local time), about whom, what, and the note."""
    at = datetime.fromtimestamp(decision.time).strftime("%Y-%m-%d %H:%M:%S")
    who = decision.session or short(decision.request)[:16]
    note = f"  ({decision.note})" if decision.note else ""
    return f"{at}  {decision.kind:<7} {who:<24} {decision.what}{note}"


def explained(decision: LoggedDecision) -> list[str]:
    """The line, and under it by which rule of which revision, the alternatives and the values that were read."""
    lines = [line(decision)]
    where = f", line {decision.line}" if decision.line else ""
    lines.append(f"    {decision.policy} revision {decision.revision}{where}, engine {decision.engine}")
    for arm in decision.arms:
        cost = "no number" if arm.cost is None else f"{arm.cost:,.4g}"
        why = "chosen" if arm.chosen else "" if arm.allowed else "not possible"
        lines.append(f"    {arm.text}: {cost}{f', {why}' if why else ''}")
    lines += [f"    {name} = {_value(value)}" for name, value in sorted(decision.values.items())]
    return lines


def _value(value: float | bool | str | None) -> str:
    match value:
        case None:
            return "no number"
        case bool():
            return str(value).lower()
        case str():
            return value
        case _:
            return f"{value:,.6g}"
