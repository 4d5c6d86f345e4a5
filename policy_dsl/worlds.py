"""The values that a test sees: those it gives, what follows from them, else defaults, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from policy_dsl import nodes
from policy_dsl.catalogue import SHAPE, SIGNALS, STATISTICS, Signal
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load_text
from policy_dsl.prediction import Dist

Value = float | bool | str
Given = float | bool | str | nodes.Lognormal


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
    """All signals of one row: given, else derived from what is, else the test default.

    How long a call takes is conditioned on the time it is given to have run.
    """
    return values_of({f.path: f.value for f in fields}, engine)


def values_of(given: Mapping[str, Given], engine: Mapping[str, Value]) -> dict[str, Value]:
    """`row_values` of what is *given* by signal."""
    elapsed = given.get("call.elapsed", 0.0)
    assert isinstance(elapsed, float)
    values: dict[str, Value] = {}
    open_signals = []
    for signal in SIGNALS.values():
        if not signal.per_row:
            continue
        if signal.name in given or not signal.derive:
            values.update(_read(signal, given.get(signal.name), elapsed))
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
            (values[signal.name],) = _derivation(signal).scalar.rank(values, engine)  # type: ignore[arg-type]
        open_signals.remove(signal)


def _inputs(signal: Signal) -> frozenset[str]:
    policy = _derivation(signal)
    return policy.row_keys | policy.engine_keys


@cache
def _derivation(signal: Signal) -> CompiledPolicy:
    """The catalogue's expression for *signal*, as the only key of a policy's rank."""
    loaded = load_text(f'lamps 1\npolicy derivation "of a signal"\nrank {signal.derive}\n', f"<{signal.name}>")
    assert loaded.policy is not None, loaded.diagnostics
    return compile_policy(loaded.policy, loaded.source)


def _read(signal: Signal, given: Given | None, elapsed_s: float) -> dict[str, Value]:
    """Every key of *signal*. A number given for a prediction is certain; none: the test default, not known."""
    if not signal.distribution:
        return {signal.name: signal.test if given is None or isinstance(given, nodes.Lognormal) else given}
    if isinstance(given, nodes.Lognormal):
        dist = Dist.between(given.p50, given.p90)
    else:
        dist = Dist.point(float(signal.test if given is None else given), known=given is not None)
    if signal.name == "call.duration":
        dist = dist.conditioned(elapsed_s)
    return {signal.name: dist.mean, **{f"{signal.name}.{s}": dist.stat(s) for s in (*STATISTICS, *SHAPE)}}
