"""The values that a test sees: those it gives, what follows from them, else defaults, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache

from policy_dsl import ir, nodes
from policy_dsl.catalogue import SIGNALS, Signal
from policy_dsl.codegen.lower import keys_read
from policy_dsl.compiled import CompiledPolicy
from policy_dsl.interpret import evaluate
from policy_dsl.loading import load_text

Value = float | bool | str
Given = float | bool | str | nodes.Lognormal
_Z = {"p50": 0.0, "p90": 1.2815515655446004, "p95": 1.6448536269514722, "p99": 2.3263478740408408}


def engine_values(fields: Iterable[nodes.Field]) -> dict[str, Value]:
    """All signals of the engine, costs among them: given, else derived, else as in the catalogue's test profile."""
    fields = tuple(fields)
    values: dict[str, Value] = {s.name: s.test for s in SIGNALS.values() if not s.per_row}
    values.update((f.path, f.value) for f in fields if "." in f.path and not isinstance(f.value, nodes.Lognormal))
    given = {f.path for f in fields}
    _derive([s for s in SIGNALS.values() if not s.per_row and s.derive and s.name not in given], values, {})
    values["allow.swap"] = values["engine.can_swap"]
    return values


def declared_values(
    fields: Iterable[nodes.Field], row: Mapping[str, Value], policy: CompiledPolicy
) -> dict[str, Value]:
    """What *policy* declares itself, of one row: hints as given, clamped, and the attributes of the row's class."""
    given = {f.path: f.value for f in fields}
    values = {f"hint.{h.name}": policy.scalar.hint(h.name, given.get(f"hint.{h.name}")) for h in policy.hint_infos}
    return values | dict(policy.scalar.attributes(policy.scalar.class_of({**row, **values})))


def row_values(fields: Iterable[nodes.Field], engine: Mapping[str, Value]) -> dict[str, Value]:
    """All signals of one row: given, else derived from what is, else the test default."""
    given: dict[str, Given] = {f.path: f.value for f in fields}
    values: dict[str, Value] = {}
    open_signals = []
    for signal in SIGNALS.values():
        if not signal.per_row:
            continue
        if signal.name in given or not signal.derive:
            values.update(statistics(signal, given.get(signal.name), signal.name in given))
        else:
            open_signals.append(signal)
    values.update((path, value) for path, value in given.items() if path.endswith(".known") and isinstance(value, bool))
    _derive(open_signals, values, engine)
    return values


def _derive(open_signals: list[Signal], values: dict[str, Value], engine: Mapping[str, Value]) -> None:
    """Fills in what follows. Two signals may be derived from each other: then the first takes its default."""
    for waiting in open_signals:
        values.pop(waiting.name, None)
    while open_signals:
        signal = next((s for s in open_signals if _inputs(s) <= values.keys() | engine.keys()), None)
        if signal is None:
            signal = open_signals[0]
            values[signal.name] = signal.test
        else:
            values[signal.name] = evaluate(_derivation(signal), values, engine, {})
        open_signals.remove(signal)


def _inputs(signal: Signal) -> frozenset[str]:
    return keys_read((_derivation(signal),))


@cache
def _derivation(signal: Signal) -> ir.Node:
    """The catalogue's expression for *signal*, read as the only key of a policy."""
    loaded = load_text(f'lamps 1\npolicy derivation "of a signal"\nrank {signal.derive}\n', f"<{signal.name}>")
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy.rank[0].expr


def statistics(signal: Signal, given: Given | None, known: bool) -> dict[str, Value]:
    """Every key of *signal*. A number given for a prediction is certain; none: the test default, not known."""
    if not signal.distribution:
        return {signal.name: signal.test if given is None or isinstance(given, nodes.Lognormal) else given}
    if isinstance(given, nodes.Lognormal):
        mu, sigma = math.log(given.p50), math.log(given.p90 / given.p50) / _Z["p90"]
        mean = math.exp(mu + sigma * sigma / 2)
        quantiles = {name: math.exp(mu + z * sigma) for name, z in _Z.items()}
    else:
        mean = float(signal.test if given is None else given)
        mu, sigma = math.log(mean) if mean > 0 else -math.inf, 0.0
        quantiles = dict.fromkeys(_Z, mean)
    stats: dict[str, Value] = {**quantiles, "known": known, "mu": mu, "sigma": sigma}
    return {signal.name: mean, **{f"{signal.name}.{name}": value for name, value in stats.items()}}
