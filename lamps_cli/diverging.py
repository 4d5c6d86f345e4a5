"""Where the policies of a comparison decide differently, with what each says of the moment at which they part.

Runs are deterministic: to see that moment, one of the two is run again up to it, and its engine's rows are saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine_adapter.workload.record import HANDLINGS, Decision, Moment, Record, Recording
from lamps_cli.report.difference import Difference, Divergence, difference

if TYPE_CHECKING:
    from engine_adapter.virtual.simulate import SimResult
    from lamps_cli.comparison import Comparison, Run

_DEPTH = 2  # levels of a tree that are shown: what the rank is made of
_NAMED = 3  # requests of each policy that are explained


def differences(comparison: Comparison) -> list[Difference]:
    """Every other policy against the first, at each load, for the first seed."""
    pairs = list(_pairs(comparison))
    found = [_difference(one, other) for one, other in pairs]
    states = _states([_moment(pair, d.divergence) for pair, d in zip(pairs, found, strict=True)])
    return [
        replace(d, explained=tuple(_explained(pair, d.divergence, state)))
        for pair, d, state in zip(pairs, found, states, strict=True)
    ]


def _pairs(comparison: Comparison) -> Iterator[tuple[Run, Run]]:
    first = next(iter(comparison.question.policies))
    done = [run for run in comparison.done if run.seed == 0]
    for one in done:
        if one.policy == first:
            yield from ((one, other) for other in done if other.share == one.share and other.policy != first)


def _difference(one: Run, other: Run) -> Difference:
    found, against = _result(one), _result(other)
    return difference(
        (one.policy, other.policy),
        one.share,
        one.seed,
        (found.result.sessions, _record(one)),
        (against.result.sessions, _record(other)),
    )


def _result(run: Run) -> SimResult:
    assert run.result is not None  # it is done
    return run.result


def _record(run: Run) -> Record:
    record = _result(run).record
    assert record is not None  # it was asked for
    return record


# --- the moment


def _moment(pair: tuple[Run, Run], divergence: Divergence | None) -> Run | None:
    """A run to be made again up to the moment, by a policy that has rows; None where there is nothing to see."""
    if divergence is None:
        return None
    sides = list(zip(pair, (divergence.one, divergence.other), strict=True))
    # Who decided something then saw it just then; who didn't is asked when it next decided anything.
    for run, did in sorted(sides, key=lambda side: not side[1]):
        if not _stock(run):
            decisions = _record(run).decisions
            later = (n for n, d in enumerate(decisions) if d.at_s >= divergence.at_s)
            number = decisions.index(did[0]) if did else next(later, None)
            if number is not None:
                recording = Recording(moment=Moment(number, decisions[number].step))
                return replace(run, simulation=replace(run.simulation, recording=recording), result=None)
    return None


def _stock(run: Run) -> bool:
    return run.policy.startswith("stock") and "runtime.turns" not in _result(run).counters


def _states(runs: Sequence[Run | None]) -> list[Mapping[str, Any] | None]:
    """The rows of each moment."""
    from engine_adapter.virtual.simulate import SimResult
    from engine_adapter.virtual.workers import Workers

    wanted = [n for n, run in enumerate(runs) if run is not None]
    found: list[Mapping[str, Any] | None] = [None] * len(runs)
    with Workers() as workers:
        for said in workers.run([run.simulation for run in runs if run is not None]):
            if isinstance(said.what, SimResult) and said.what.record is not None and said.what.record.state:
                found[wanted[said.number]] = json.loads(said.what.record.state)
    return found


# --- in the policies' words


def _explained(
    pair: tuple[Run, Run], divergence: Divergence | None, state: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """What each policy says of the requests that the two decided differently on."""
    if divergence is None or state is None:
        return
    named = _rows([*divergence.one[:_NAMED], *divergence.other[:_NAMED]], state)
    for run in pair:
        if named and not _stock(run):
            yield run.policy, _said(run, state, named)


def _rows(decisions: Sequence[Decision], state: Mapping[str, Any]) -> list[str]:
    """The names that the rows of *state* have for what was decided on."""
    found: dict[str, None] = {}
    for decision in decisions:
        session = decision.request.rpartition("/")[0]
        if decision.what in HANDLINGS:
            rows = [key for key in state["paused"] if key == session or key.endswith(f"/{session}")]
        else:
            rows = [name for name in (*state["requests"], *state["running"]) if name == decision.request]
        found |= dict.fromkeys(rows)
    return list(found)


def _said(run: Run, state: Mapping[str, Any], names: Sequence[str]) -> str:
    from lamps_cli.explain_view import show
    from lamps_cli.policy_files import checked
    from policy_dsl.explain import explain
    from policy_dsl.saved import of_document
    from policy_dsl.situation import StateError

    loaded = checked(run.policy)[0]
    # What holds a request is said in the order of the policy that ran.
    rows = {name: {k: v for k, v in row.items() if k != "held_by"} for name, row in state["requests"].items()}
    try:
        situation = of_document(loaded, {**state, "requests": rows, "params": dict(run.simulation.params)})
    except StateError as problem:
        return str(problem)
    explanation = replace(explain(loaded, situation, names), order=(), left_out=())
    head = f"at {float(situation.engine['engine.now']):,.3f} s, with the rows of the run of {state['policy']['name']}"
    return f"{head}\n{show(explanation, _DEPTH, float(situation.engine['engine.step_time']))}"
