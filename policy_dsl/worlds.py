"""The values that a test sees: those it gives, what follows from them, else defaults, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from policy_dsl import nodes
from policy_dsl.catalogue import SHAPE, SIGNALS, STATISTICS, Signal
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load_text
from policy_dsl.prediction import Dist

Value = float | bool | str
Given = float | bool | str | nodes.Lognormal
_Follows = Callable[[Mapping[str, Value], Mapping[str, Value]], tuple[float, ...]]


def engine_values(fields: Iterable[nodes.Field]) -> dict[str, Value]:
    """All signals of the engine, costs among them: given, else derived, else as in the catalogue's test profile."""
    fields = tuple(fields)
    values: dict[str, Value] = {s.name: s.test for s in SIGNALS.values() if not s.per_row}
    values.update((f.path, f.value) for f in fields if "." in f.path and not isinstance(f.value, nodes.Lognormal))
    given = {f.path for f in fields}
    _derive([s for s in SIGNALS.values() if not s.per_row and s.derive and s.name not in given], values, values)
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
    for name, follows in _order(tuple(signal.name for signal in open_signals)):
        if follows is None:
            values[name] = SIGNALS[name].test
        else:
            (values[name],) = follows(values, engine)


@cache
def _order(names: tuple[str, ...]) -> tuple[tuple[str, _Follows | None], ...]:
    """In which order these signals can be had when all others are; None for one that must take its default."""
    left = list(names)
    made: list[tuple[str, _Follows | None]] = []
    while left:
        name = next((n for n in left if _inputs(n).isdisjoint(left)), None)
        made.append((left[0], None) if name is None else (name, _derivation(name).scalar.rank))  # type: ignore[arg-type]
        left.remove(made[-1][0])
    return tuple(made)


def _inputs(name: str) -> frozenset[str]:
    return _derivation(name).row_keys | _derivation(name).engine_keys


@cache
def _derivation(name: str) -> CompiledPolicy:
    """The catalogue's expression for a signal, as the only key of a policy's rank."""
    loaded = load_text(f'lamps 1\npolicy derivation "of a signal"\nrank {SIGNALS[name].derive}\n', f"<{name}>")
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
