"""Requests at one instant, to be explained: from a saved state, or from what a test of the policy gives.

A saved state is a document of mappings: `engine` (signals of the engine), `params`, and `requests`, by name the
signals of each. Numbers are in base units (tokens, seconds, ...), texts such as "300tok" have their own; a prediction
may be `{p50: 2s, p90: 9s}`. What isn't given is derived or has the default that it has in tests. Beside its signals
a request may say what holds it: `held_by`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS, Changes, Signal
from policy_dsl.compiled import CompiledPolicy, ParamError, compile_policy
from policy_dsl.diagnostics.model import Span
from policy_dsl.loading import Loaded
from policy_dsl.names import did_you_mean
from policy_dsl.types import BOOL, TEXT, Kind
from policy_dsl.units import SUFFIXES
from policy_dsl.worlds import Value, declared_values, engine_values, row_values

HELD_BY = ("gate", "kv", "seats", "token budget", "loading", "fault", "behind ", "limit ", "reserved for ")
"""What can hold a request that no expression of the policy knows of; those that end in a space name somebody."""
_QUANTITY = re.compile(r"([+-]?[0-9][0-9_.]*(?:e[+-]?[0-9]+)?)([A-Za-z%]*)")


class StateError(ValueError):
    """A state that describes no situation of this policy. *help*: what may have been meant."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


@dataclass(frozen=True, slots=True)
class Situation:
    """All signals of the engine and of each request, in the order they were given. *held_by*: of some, what for."""

    policy: CompiledPolicy
    engine: Mapping[str, Value]
    rows: Mapping[str, Mapping[str, Value]]
    held_by: Mapping[str, str]


def of_test(loaded: Loaded, name: str) -> Situation:
    """What the test called *name* gives at its start. Raises `StateError`."""
    test = next((t for t in loaded.tests if t.name == name), None)
    if test is None:
        names = [t.name for t in loaded.tests]
        help = did_you_mean(name, names) or "it has: " + ", ".join(f'"{n}"' for n in names)
        raise StateError(f"the policy has no test {name!r}", help if names else "it has no tests")
    steps = []
    for step in test.steps:
        if isinstance(step, nodes.At):
            break
        if isinstance(step, nodes.Given):
            steps.append(step)
    shared = [f for s in steps if s.name is None for f in s.fields]
    requests = dict.fromkeys(s.name for s in steps if s.name is not None and not s.paused)
    if not requests:
        raise StateError("this test gives no request")
    fields = {n: [f for s in steps if s.name == n for f in s.fields] for n in requests if n is not None}
    params = {f.path: f.value for f in shared if "." not in f.path and isinstance(f.value, float)}
    return _made(loaded, params, [f for f in shared if "." in f.path], fields, {})


def of_document(loaded: Loaded, document: object) -> Situation:
    """What a saved state says. Raises `StateError`."""
    parts = _mapping(document, "a state")
    for key in parts:
        if key not in ("engine", "params", "requests"):
            raise StateError(f"a state has no `{key}`", did_you_mean(key, ("engine", "params", "requests")))
    requests = _mapping(parts.get("requests"), "`requests`")
    if not requests:
        raise StateError("the state has no requests", "requests: {a: {request.context: 300tok}}")
    assert loaded.policy is not None
    at = Span(loaded.source, 1, 1, 1, 1)
    params = {}
    infos = {p.name: p for p in loaded.policy.params}
    for name, value in _mapping(parts.get("params"), "`params`").items():
        if name not in infos:
            raise StateError(f"the policy has no param `{name}`", did_you_mean(name, infos))
        info = infos[name]
        params[name] = _number(name, value, Signal(name, info.type, "", Changes.EPOCH, info.low, info.high))
    engine = [_field(n, v, False, loaded, at) for n, v in _mapping(parts.get("engine"), "`engine`").items()]
    fields, held = {}, {}
    for request, given in requests.items():
        signals = dict(_mapping(given, f"request `{request}`"))
        if "held_by" in signals:
            held[request] = _held_by(signals.pop("held_by"))
        fields[request] = [_field(n, v, True, loaded, at) for n, v in signals.items()]
    return _made(loaded, params, engine, fields, held)


def _made(
    loaded: Loaded,
    params: Mapping[str, float],
    engine_fields: list[nodes.Field],
    fields: Mapping[str, list[nodes.Field]],
    held_by: Mapping[str, str],
) -> Situation:
    assert loaded.policy is not None
    try:
        policy = compile_policy(loaded.policy, loaded.source, params)
    except ParamError as problem:
        raise StateError(str(problem)) from None
    engine = engine_values(engine_fields)
    rows = {}
    for name, given in fields.items():
        row = row_values(given, engine)
        rows[name] = row | declared_values(given, row, policy)
    return Situation(policy, engine, rows, held_by)


# --- values of a document


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise StateError(f"{what} should be a mapping of names to values, not {value!r}")
    return {str(key): item for key, item in value.items()}


def _held_by(value: object) -> str:
    text = str(value)
    if any(text.startswith(h) and text != h if h.endswith(" ") else text == h for h in HELD_BY):
        return text
    words = ", ".join(f"{h}NAME" if h.endswith(" ") else h for h in HELD_BY)
    raise StateError(f"`held_by` is none of {words}: {text!r}")


def _field(path: str, value: object, per_row: bool, loaded: Loaded, at: Span) -> nodes.Field:
    signal = _signal(path, loaded)
    if signal.per_row != per_row:
        where = "`requests`" if signal.per_row else "`engine`"
        raise StateError(f"`{path}` belongs in {where}")
    if isinstance(value, Mapping):
        return nodes.Field(path, _lognormal(path, value, signal), at)
    if signal.type in (BOOL, TEXT):
        wanted = bool if signal.type == BOOL else str
        if not isinstance(value, wanted):
            raise StateError(f"`{path}` is {'true or false' if wanted is bool else 'a text'}, not {value!r}")
        return nodes.Field(path, value, at)
    return nodes.Field(path, _number(path, value, signal), at)


def _signal(path: str, loaded: Loaded) -> Signal:
    base, _, last = path.rpartition(".")
    if path in SIGNALS and not SIGNALS[path].hidden:
        return SIGNALS[path]
    if last == "known" and base in SIGNALS and SIGNALS[base].distribution:
        return Signal(path, BOOL, "", Changes.REQUEST)
    if path.startswith("hint.") and path in loaded.types:
        return Signal(path, loaded.types[path], "", Changes.REQUEST, -math.inf)
    hints = [n for n in loaded.types if n.startswith("hint.")]
    near = did_you_mean(path, [*(s.name for s in SIGNALS.values() if not s.hidden), *hints])
    raise StateError(f"unknown signal `{path}`", near)


def _lognormal(path: str, value: Mapping[Any, Any], signal: Signal) -> nodes.Lognormal:
    if not signal.distribution or set(value) != {"p50", "p90"}:
        raise StateError(f"`{path}` cannot be {dict(value)!r}", "a prediction is a number or {p50: ..., p90: ...}")
    p50, p90 = (_number(f"{path}.{q}", value[q], signal) for q in ("p50", "p90"))
    if not 0 < p50 <= p90 < math.inf:
        raise StateError(f"`{path}`: p50 lies above 0 and not above p90")
    return nodes.Lognormal(p50, p90)


def _number(path: str, value: object, signal: Signal) -> float:
    """In base units, inside the range of the signal."""
    number = _measured(path, value, signal) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
        raise StateError(f"`{path}` is {signal.type}, not {value!r}")
    if not signal.low <= number <= signal.high:
        raise StateError(f"`{path}` lies in {signal.low:g}..{signal.high:g}, not at {number:g}")
    return float(number)


def _measured(path: str, text: str, signal: Signal) -> float:
    """`"300tok"` in base units; an instant is written as seconds."""
    if text in ("inf", "-inf"):
        return float(text)
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or (match[2] and match[2] not in SUFFIXES):
        raise StateError(f"`{path}`: {text!r} is no quantity", "units: " + " ".join(SUFFIXES))
    try:
        number = float(match[1])
    except ValueError:
        raise StateError(f"`{path}`: {text!r} is no quantity") from None
    if not match[2]:
        return number
    dim, size = SUFFIXES[match[2]]
    if dim != (SUFFIXES["s"][0] if signal.type.kind is Kind.INSTANT else signal.type.dim):
        raise StateError(f"`{path}` is {signal.type}, {text!r} is not")
    return number * size
