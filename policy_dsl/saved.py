"""A saved state: the rows of an engine at one instant, as a document that people can write and a server saves.

A document is mappings: `engine` (signals of the engine), `params`, and by name the rows that wait (`requests`), run
(`running`), and the sessions whose call runs (`paused`). Numbers are in base units (tokens, seconds, ...), texts such
as "300tok" have their own; a prediction may be `{p50: 2s, p90: 9s}`, or all its statistics. What isn't given is
derived or has the default that it has in tests. Beside its signals a row may say its `session` and what holds it
(`held_by`), a session what is in force (`handling`), why it is no longer what was decided (`lost`), and the values of
when its call began (`decided`). A server adds its `policy`, and how many rows it has `left_out`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_dsl import nodes
from policy_dsl.catalogue import SHAPE, SIGNALS, STATISTICS, Changes, Signal, signal_of
from policy_dsl.diagnostics.model import Span
from policy_dsl.loading import Loaded
from policy_dsl.names import did_you_mean
from policy_dsl.situation import Maker, Session, Situation, StateError
from policy_dsl.types import BOOL, TEXT, Handling, Kind
from policy_dsl.units import SUFFIXES
from policy_dsl.worlds import Value

HELD_BY = ("gate", "kv", "seats", "token budget", "loading", "fault", "behind ", "limit ", "reserved for ")
"""What can hold a request that no expression of the policy knows of; those that end in a space name somebody."""
_PARTS = ("version", "engine", "params", "requests", "running", "paused", "policy", "left_out")
_WORDS = ("session", "held_by", "handling", "lost", "decided")
_WHOLE = frozenset({"mean", *STATISTICS, *SHAPE})
_QUANTITY = re.compile(r"([+-]?[0-9][0-9_.]*(?:e[+-]?[0-9]+)?)([A-Za-z%]*)")


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a document. *known*: keys with their values as they are, over what follows from *fields*."""

    fields: list[nodes.Field]
    known: dict[str, Value]
    words: Mapping[str, Any]


def of_document(loaded: Loaded, document: object) -> Situation:
    """What a saved state says. Raises `StateError`."""
    parts = _mapping(document, "a state")
    for key in parts:
        if key not in _PARTS:
            raise StateError(f"a state has no `{key}`", did_you_mean(key, _PARTS))
    reader = _Reader(loaded, saved="policy" in parts)
    requests, running, paused = (reader.rows(parts, part) for part in ("requests", "running", "paused"))
    if not (requests or running or paused or reader.saved):
        raise StateError("the state has no requests", "requests: {a: {request.context: 300tok}}")
    engine = [reader.field(n, v, False) for n, v in _mapping(parts.get("engine"), "`engine`").items()]
    maker = Maker(loaded, reader.params(parts.get("params")), engine)
    everybody = {**requests, **running}
    decided = {name: kept for name, row in everybody.items() if (kept := _decided(row)) is not None}
    return Situation(
        maker.policy,
        maker.engine,
        {name: maker.request(row.fields, row.known, decided.get(name)) for name, row in requests.items()},
        {n: _held_by(r.words["held_by"]) for n, r in (*everybody.items(), *paused.items()) if "held_by" in r.words},
        {name: maker.request(row.fields, row.known, decided.get(name)) for name, row in running.items()},
        {name: _session(maker, row) for name, row in paused.items()},
        {name: str(row.words["session"]) for name, row in everybody.items() if "session" in row.words},
        {part: int(n) for part, n in _mapping(parts.get("left_out"), "`left_out`").items()},
        decided,
    )


def _session(maker: Maker, row: _Row) -> Session:
    return Session(maker.paused(row.fields, row.known), _decided(row), str(row.words.get("lost", "")))


def _decided(row: _Row) -> dict[str, Value] | None:
    """What `on call` read when it was asked about the row, where that was kept."""
    decided = row.words.get("decided")
    return None if decided is None else {k: _plain(k, v) for k, v in _mapping(decided, "`decided`").items()}


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise StateError(f"{what} should be a mapping of names to values, not {value!r}")
    return {str(key): item for key, item in value.items()}


class _Reader:
    """Values of a document, against what the policy declares. *saved*: by a server, perhaps under another policy."""

    def __init__(self, loaded: Loaded, saved: bool) -> None:
        self.saved = saved
        self._loaded = loaded
        self._at = Span(loaded.source, 1, 1, 1, 1)

    def params(self, given: object) -> dict[str, float]:
        assert self._loaded.policy is not None
        infos = {p.name: p for p in self._loaded.policy.params}
        values = {}
        for name, value in _mapping(given, "`params`").items():
            if name not in infos:
                raise StateError(f"the policy has no param `{name}`", did_you_mean(name, infos))
            info = infos[name]
            values[name] = _number(name, value, Signal(name, info.type, "", Changes.EPOCH, info.low, info.high))
        return values

    def rows(self, parts: Mapping[str, Any], part: str) -> dict[str, _Row]:
        given = _mapping(parts.get(part), f"`{part}`")
        return {name: self._row(_mapping(values, f"request `{name}`")) for name, values in given.items()}

    def _row(self, given: Mapping[str, Any]) -> _Row:
        words = {key: value for key, value in given.items() if key in _WORDS}
        known: dict[str, Value] = {}
        if "handling" in words:
            known["call.handling"] = _handling(words["handling"])
        fields = []
        for path, value in given.items():
            if path in words or (self.saved and path.startswith("hint.") and path not in self._loaded.types):
                continue
            if isinstance(value, Mapping) and set(value) == _WHOLE:
                signal = self._signal(path)
                if not signal.distribution:
                    raise StateError(f"`{path}` is no prediction")
                stats = {f"{path}.{name}": _plain(f"{path}.{name}", v) for name, v in value.items()}
                known |= stats | {path: stats.pop(f"{path}.mean")}
                value = known[path]
            fields.append(self.field(path, value, True))
        return _Row(fields, known, words)

    def field(self, path: str, value: object, per_row: bool) -> nodes.Field:
        signal = self._signal(path)
        if signal.per_row != per_row:
            where = "`requests`" if signal.per_row else "`engine`"
            raise StateError(f"`{path}` belongs in {where}")
        if isinstance(value, Mapping):
            return nodes.Field(path, _lognormal(path, value, signal), self._at)
        if signal.type in (BOOL, TEXT):
            wanted = bool if signal.type == BOOL else str
            if not isinstance(value, wanted):
                raise StateError(f"`{path}` is {'true or false' if wanted is bool else 'a text'}, not {value!r}")
            return nodes.Field(path, value, self._at)
        return nodes.Field(path, _number(path, value, signal), self._at)

    def _signal(self, path: str) -> Signal:
        base, _, last = path.rpartition(".")
        if path in SIGNALS and (not SIGNALS[path].hidden or not SIGNALS[path].per_row):
            return SIGNALS[path]
        if last == "known" and base in SIGNALS and SIGNALS[base].distribution:
            return Signal(path, BOOL, "", Changes.REQUEST)
        if path.startswith("hint.") and path in self._loaded.types:
            return Signal(path, self._loaded.types[path], "", Changes.REQUEST, -math.inf)
        hints = [n for n in self._loaded.types if n.startswith("hint.")]
        near = did_you_mean(path, [*(s.name for s in SIGNALS.values() if not s.hidden), *hints])
        raise StateError(f"unknown signal `{path}`", near)


# --- values


def _held_by(value: object) -> str:
    text = str(value)
    if any(text.startswith(h) and text != h if h.endswith(" ") else text == h for h in HELD_BY):
        return text
    words = ", ".join(f"{h}NAME" if h.endswith(" ") else h for h in HELD_BY)
    raise StateError(f"`held_by` is none of {words}: {text!r}")


def _handling(value: object) -> float:
    found = next((h for h in Handling if h.word == value), None)
    if found is None:
        raise StateError(f"`handling` is none of {', '.join(h.word for h in Handling)}: {value!r}")
    return float(found)


def _plain(key: str, value: object) -> Value:
    """A value as a rule reads it, by its key (`call.duration.p90`): a truth, a text, or a number in base units."""
    try:
        signal_of(key)
    except KeyError:
        raise StateError(f"unknown signal `{key}`") from None
    if isinstance(value, bool) or (isinstance(value, str) and value not in ("inf", "-inf")):
        return value
    if not isinstance(value, int | float | str) or math.isnan(float(value)):
        raise StateError(f"`{key}` is no value: {value!r}")
    return float(value)


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
