"""The rows of an engine as a saved state, which `lamps explain` reads: numbers and names, no text that anybody wrote.

Every signal that the adapter knows is in it, not only those that the present policy reads, so that the same moment can
be explained by another policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine_adapter.control.naming import means
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.held import Holding, held_by
from engine_adapter.runtime.turn import SIGNALS, Turn
from policy_dsl.catalogue import SHAPE, STATISTICS, signal_of
from policy_dsl.prediction import Dist

VERSION = 1
# Rows of a kind. 500 take 40 ms to read and write (of 4,000, by lamps.lamps, 2 cores), between two steps of the engine.
LISTED = 500


def state(runtime: Runtime, running: Sequence[str], holding: Holding, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON-ready document, at most `LISTED` rows of a kind and beyond those what *wanted* names.

    *running*: ids in the engine's order. A request whose turn has ended, but not yet said how, is not in it.
    """
    engine, policy = runtime.engine_now(), runtime.policy
    waiting, words = _waiting(runtime, holding)
    paused = [key for key, session in runtime.calls.paused.items() if not session.provisional]
    shown = _shown(runtime, waiting, wanted)
    seen = paused[:LISTED] + [key for key in paused[LISTED:] if key in wanted]
    return {
        "version": VERSION,
        "policy": {
            "name": policy.name,
            "revision": policy.revision,
            "path": policy.path,
            "text": policy.text,
            "params": dict(policy.params),
        },
        "engine": {name: _written(value) for name, value in engine.items()},
        "requests": {name: _request(runtime, name, words.get(name, "")) for name in shown},
        "running": {name: _request(runtime, name, "") for name in running if name in runtime.turns},
        "paused": {key: _paused(runtime, key) for key in seen},
        "left_out": {"requests": len(waiting) - len(shown), "paused": len(paused) - len(seen)},
    }


def _waiting(runtime: Runtime, holding: Holding) -> tuple[list[str], dict[str, str]]:
    """All that wait, first to last, and what holds each."""
    places = runtime.places(len(runtime.table))
    faulty = {place.id for place in places if any(map(math.isnan, place.keys)) and not place.promoted}
    order = [place.id for place in places]
    if len(order) < len(runtime.table):  # the rank fails
        order = runtime.table.by_arrival(len(runtime.table))
        faulty = set(order)
    words = held_by(runtime, order, holding) | dict.fromkeys(faulty, "fault")
    words |= dict.fromkeys(holding.loading, "loading")
    order += [name for name in holding.loading if name in runtime.turns and name not in runtime.table]
    return order, words


def _shown(runtime: Runtime, waiting: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The first, and each that is wanted with the one just ahead of it."""
    beyond: dict[str, None] = {}
    for ahead, name in zip(waiting[LISTED - 1 :], waiting[LISTED:], strict=False):
        if any(means(w, name, runtime.turns[name].session.key) for w in wanted):
            beyond |= {ahead: None, name: None}
    first = waiting[:LISTED]
    return [*first, *(name for name in beyond if name not in first[-1:])]


def _request(runtime: Runtime, name: str, word: str) -> dict[str, Any]:
    turn = runtime.turns[name]
    row = {"session": turn.session.key, **({"held_by": word} if word else {}), **_signals(runtime, turn)}
    row["request.promoted"] = turn.promoted or runtime.is_promoted(name)
    return row | _decided(turn.decided)


def _paused(runtime: Runtime, key: str) -> dict[str, Any]:
    paused = runtime.calls.paused[key]
    call = paused.turn.call
    assert call is not None  # it is not provisional
    row: dict[str, Any] = {"handling": paused.handling.word}
    row |= {word: value for word, value in (("held_by", call.held_by), ("lost", paused.lost)) if value}
    return row | _decided(call.decided) | _signals(runtime, paused.turn)


def _decided(values: Mapping[str, float | bool | str] | None) -> dict[str, Any]:
    """What `on call` has read where it was asked about a turn, at its arrival or at its call."""
    return {} if values is None else {"decided": {name: _written(value) for name, value in values.items()}}


def _signals(runtime: Runtime, turn: Turn) -> dict[str, Any]:
    """What is known of a turn; hints as the policy reads them."""
    now = runtime.engine.clock()
    values = {name: read(turn, now, runtime.step) for name, read in SIGNALS.items() if not signal_of(name).hidden}
    hint, said = runtime.policy.scalar.hint, turn.hints.declared
    values |= {f"hint.{info.name}": hint(info.name, said.get(info.name)) for info in runtime.policy.hint_infos}
    return {name: _prediction(value) if isinstance(value, Dist) else _written(value) for name, value in values.items()}


def _prediction(dist: Dist) -> Mapping[str, Any]:
    return {name: _written(dist.stat(name)) for name in ("mean", *STATISTICS, *SHAPE)}


def _written(value: float | bool | str) -> float | bool | str:
    """JSON has no infinite numbers: a saved state says "inf"."""
    if isinstance(value, bool | str) or math.isfinite(value):
        return value
    return str(float(value))
