"""Rows at one instant, to be explained: what waits, what runs, whose call runs. Here as a test gives them.

A saved state gives them too (`policy_dsl.saved`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from policy_dsl import nodes
from policy_dsl.catalogue import signal_of
from policy_dsl.compiled import CompiledPolicy, ParamError, compile_policy
from policy_dsl.loading import Loaded
from policy_dsl.names import did_you_mean
from policy_dsl.worlds import Value, declared_values, engine_values, row_values

Values = Mapping[str, Value]


class StateError(ValueError):
    """A state that describes no situation of this policy. *help*: what may have been meant."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


@dataclass(frozen=True, slots=True)
class Session:
    """A paused session. *row*: its values now, `call.handling` (what is in force) among them.

    *decided*: values of when its call began, those that were kept; None where nothing is known of them. *lost*: why
    its memory is no longer held as was decided, "" where it is or nothing is known.
    """

    row: Values
    decided: Values | None = None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """All signals of the engine and of each row, in the order they were given: *rows* wait.

    *held_by*: of some rows, what for. *session_of*: the sessions of requests, where they are known. *left_out*: how
    many rows of a kind the state doesn't show. *decided*: of some requests, what `on call at arrival` read when it was
    asked.
    """

    policy: CompiledPolicy
    engine: Values
    rows: Mapping[str, Values]
    held_by: Mapping[str, str]
    running: Mapping[str, Values] = field(default_factory=dict)
    paused: Mapping[str, Session] = field(default_factory=dict)
    session_of: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    decided: Mapping[str, Values] = field(default_factory=dict)


def of_test(loaded: Loaded, name: str) -> Situation:
    """What the test called *name* gives at its start: its requests wait, and run where `victim` is asked of them.

    Raises `StateError`.
    """
    test = next((t for t in loaded.tests if t.name == name), None)
    if test is None:
        names = [t.name for t in loaded.tests]
        help = did_you_mean(name, names) or "it has: " + ", ".join(f'"{n}"' for n in names)
        raise StateError(f"the policy has no test {name!r}", help if names else "it has no tests")
    steps: list[nodes.Given] = []
    victims: dict[str, None] = {}
    for step in test.steps:
        if isinstance(step, nodes.At):
            break
        if isinstance(step, nodes.Given):
            steps.append(step)
        if isinstance(step, nodes.ExpectRank) and step.rule == "victim":
            victims.update(dict.fromkeys(step.names))
    shared = [f for s in steps if s.name is None for f in s.fields]
    params = {f.path: f.value for f in shared if "." not in f.path and isinstance(f.value, float)}
    maker = Maker(loaded, params, [f for f in shared if "." in f.path])
    given = {n: [f for s in steps if s.name == n for f in s.fields] for s in steps if (n := s.name) is not None}
    paused = {s.name for s in steps if s.paused}
    if not given:
        raise StateError("this test gives no request")
    rows = {name: maker.request(fields) for name, fields in given.items() if name not in paused}
    return Situation(
        maker.policy,
        maker.engine,
        rows,
        {},
        {name: _promoted(maker, row) for name, row in rows.items() if name in victims},
        {name: Session(maker.paused(fields)) for name, fields in given.items() if name in paused},
    )


def _promoted(maker: Maker, row: dict[str, Value]) -> dict[str, Value]:
    """*row*, promoted where it would have been while it waited: that lasts until its turn ends."""
    promoted = row["request.promoted"] or maker.policy.scalar.promote(row, maker.engine)  # type: ignore[arg-type]
    return row | {"request.promoted": promoted}


def of_then(policy: CompiledPolicy, row: Values, engine: Values, kept: Values | None) -> tuple[Values, Values] | None:
    """*row* and *engine* as they were when `on call` was asked and read *kept*; None where that isn't all it reads."""
    if kept is None or not kept.keys() >= policy.call_keys | policy.call_engine_keys:
        return None
    shared = {key: value for key, value in kept.items() if not signal_of(key).per_row}
    return {**row, **kept}, {**engine, **shared}


class Maker:
    """Whole rows out of given fields: what isn't given is derived, or has its default. Raises `StateError`."""

    def __init__(self, loaded: Loaded, params: Mapping[str, float], engine: Sequence[nodes.Field]) -> None:
        assert loaded.policy is not None
        try:
            self.policy = compile_policy(loaded.policy, loaded.source, params)
        except ParamError as problem:
            raise StateError(str(problem)) from None
        self.engine = engine_values(engine)

    def row(self, fields: Sequence[nodes.Field], known: Values | None = None) -> dict[str, Value]:
        """A row out of *fields*, with *known* keys (`call.duration.p90`) over what follows from those."""
        row = row_values(fields, self.engine) | dict(known or {})
        return row | declared_values(fields, row, self.policy)

    def request(
        self, fields: Sequence[nodes.Field], known: Values | None = None, decided: Values | None = None
    ) -> dict[str, Value]:
        """The row of a request that waits or runs. What was decided at its arrival follows from *decided*, the values
        that were read then, or where they aren't all known from those of now."""
        row = self.row(fields, known)
        if self.policy.on_call_at_arrival:
            asked = of_then(self.policy, row, self.engine, decided) or (row, self.engine)
            row["call.decided"] = self.policy.scalar.decided(*asked)  # type: ignore[arg-type]
        return row

    def paused(self, fields: Sequence[nodes.Field], known: Values | None = None) -> dict[str, Value]:
        """The row of a paused session; where *known* has no `call.handling`, what `on call` answers is in force."""
        row = self.row(fields, known)
        if known is None or "call.handling" not in known:
            row["call.handling"] = self.policy.scalar.decided(row, self.engine)  # type: ignore[arg-type]
        return row | {"call.decided": row["call.handling"]}
