"""The state of one engine as a status frame: what `lamps status` and the monitor show. No prompt text.

A frame is made between two steps of the engine, so it lists the first rows of each kind and counts the rest, judges
only rows that somebody looks at, and tells a reader who has had decisions only of later ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from engine_adapter.control.frames import JUDGED
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.held import Holding, held_by
from engine_adapter.runtime.in_force import ON
from engine_adapter.runtime.paused import Paused
from engine_adapter.runtime.table import Place
from engine_adapter.runtime.turn import Turn
from engine_adapter.runtime.watch import described
from policy_dsl.contributions import unit_of_type

VERSION = 1
# Rows of a kind listed one by one; the rest are counted. What a watched engine loses: benchmarks/top.py.
LISTED = 50
MOST_LISTED = 1000
DECISIONS = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants in a frame.

    *rows*: how many of each kind are listed. *judged*: of which kinds with what is foretold of them and what the policy
    says of them now: nearly as long as all the rest (benchmarks/frame.py). *since*: the last decision that it knows.
    """

    rows: int = LISTED
    judged: Sequence[str] = JUDGED
    since: int = 0


@dataclass(frozen=True, slots=True)
class RunningNow:
    """A request in the batch, as the engine counts its tokens."""

    id: str
    context_tokens: int
    generated_tokens: int


@dataclass(frozen=True, slots=True)
class View:
    """What only the binding knows of its engine, now. *running*: in its order. *free_tokens*: KV memory that can be
    allocated; *cached_tokens* of them have a prefix in them. *commands*: what the engine can be told. *pending*:
    the policy that is being compiled. *id*: the engine's, among those of its server.
    """

    running: Sequence[RunningNow]
    holding: Holding
    free_tokens: int
    cached_tokens: int = 0
    commands: tuple[str, ...] = ()
    pending: str = ""
    id: str = ""


def frame(runtime: Runtime, view: View, wanted: Wanted) -> dict[str, Any]:
    """A JSON-ready frame, but for infinite numbers. At most `MOST_LISTED` rows of a kind, whatever is *wanted*."""
    wanted = replace(wanted, rows=min(max(wanted.rows, 0), MOST_LISTED))
    now = runtime.engine.clock()
    engine = runtime.engine_now()
    ledger, watch = runtime.calls.ledger, runtime.watch
    meter = watch.meter
    total = runtime.engine.facts.kv_total_tokens
    return {
        "version": VERSION,
        "id": view.id,
        "at": now,
        "step": runtime.step,
        "policy": _policy(runtime),
        "engine": dict(engine),
        "running": [_running(runtime, one, now) for one in view.running[: wanted.rows] if one.id in runtime.turns],
        "running_total": len(view.running),
        "waiting": _waiting(runtime, view.holding, now, wanted),
        "waiting_total": len(runtime.table),
        "paused": _paused_rows(runtime, now, wanted),
        "paused_total": len(runtime.calls.paused),
        "pins": {"count": len(ledger), "tokens": ledger.tokens, "share": ledger.tokens / total},
        "memory": _memory(runtime, total, view),
        "swap": _swap(runtime),
        "latency": {
            "first_token": meter.first_token.quantiles(now),
            "turn": meter.turn.quantiles(now),
            "queue": meter.queue.quantiles(now),
        },
        "flow": {
            "prompt_tokens": meter.prompt_tokens,
            "cached_tokens": meter.cached_tokens,
            "generated_tokens": meter.generated_tokens + sum(one.generated_tokens for one in view.running),
            "turns": meter.turns,
        },
        "rules": watch.journal.rows(),
        "predictor": _predictor(runtime),
        "predictors": watch.calibrations.rows(),
        "decisions": [entry.document() for entry in watch.journal.since(wanted.since, DECISIONS)],
        "guard": _guard(runtime),
        "shadow": None if runtime.shadow is None else runtime.shadow.document(),
        "capabilities": list(view.commands),
        "pending": view.pending,
        "profile": runtime.profile,
        "counters": dict(sorted(runtime.counters.items())),
    }


def _policy(runtime: Runtime) -> dict[str, Any]:
    policy = runtime.policy
    return {
        "name": policy.name,
        "title": policy.title,
        "revision": policy.revision,
        "path": policy.path,
        "text": policy.source_text,
        "params": dict(policy.params),
        "statements": list(policy.statements),
        "ranges": {
            info.name: {
                "value": policy.params[info.name],
                "low": info.low,
                "high": info.high,
                "unit": unit_of_type(info.type),
            }
            for info in policy.param_infos
        },
        "terms": [
            {"text": t.text, "unit": t.unit, "key": t.key, "highest": t.highest, "negative": t.negative}
            for t in policy.terms.terms
        ],
    }


def _predictor(runtime: Runtime) -> dict[str, Any]:
    if runtime.expecting.foretelling is None:
        return {"name": "online", "reason": runtime.expecting.no_model}
    return runtime.expecting.foretelling.document()


def _memory(runtime: Runtime, total: int, view: View) -> dict[str, int]:
    free = view.free_tokens
    held = min(runtime.calls.ledger.tokens, total - free)
    cached = min(view.cached_tokens, free)
    return {
        "total": total,
        "running": total - free - held,
        "pinned": held,
        "cached": cached,
        "free": free - cached,
        "host": runtime.calls.copies.ledger.tokens,
    }


def _swap(runtime: Runtime) -> dict[str, Any]:
    facts = runtime.engine.facts
    return {"possible": facts.can_swap, "reason": facts.no_swap, "total": runtime.calls.copies.total_tokens}


def _guard(runtime: Runtime) -> dict[str, Any]:
    in_force, guard = runtime.in_force, runtime.guard
    state = in_force.state if in_force.state != ON else "fallback" if guard.failures else "ok"
    return {
        "state": state,
        "reason": "; ".join(filter(None, (in_force.reason, guard.sentence if in_force.state == ON else ""))),
        "chosen": in_force.chosen.name,
        "revision": in_force.chosen.revision,
        "on_trial": in_force.on_trial,
    }


def _running(runtime: Runtime, one: RunningNow, now: float) -> dict[str, Any]:
    turn = runtime.turns[one.id]
    return {
        "id": one.id,
        "session": turn.session.key,
        "tenant": turn.session.tenant,
        "turn": turn.session.turn,
        "context_tokens": one.context_tokens,
        "generated_tokens": one.generated_tokens,
        "for_s": now - turn.running_since if turn.running_since is not None else 0.0,
        "waited_s": turn.waited(now),
        "preemptions": turn.preemptions,
    }


def _waiting(runtime: Runtime, holding: Holding, now: float, wanted: Wanted) -> list[dict[str, Any]]:
    listed = []
    # Where the rank fails, those that wait are told in the order that stands in for it.
    places = runtime.places(wanted.rows) or [Place(name, (), False) for name in runtime.table.by_arrival(wanted.rows)]
    words = held_by(runtime, [place.id for place in places], holding)
    for number, place in enumerate(places, 1):
        turn = runtime.turns[place.id]
        row = {
            "id": place.id,
            "session": turn.session.key,
            "tenant": turn.session.tenant,
            "turn": turn.session.turn,
            "place": number,
            "rank": list(place.keys),
            "promoted": place.promoted,
            "waited_s": turn.waited(now),
            "prompt_tokens": turn.prompt_tokens,
            "held_by": "loading" if place.id in holding.loading else words[place.id],
            "cached_tokens": turn.cached_tokens,
            "pinned_tokens": turn.pinned_tokens,
            "preemptions": turn.preemptions,
        }
        listed.append(row | _judged(runtime, turn) if "waiting" in wanted.judged else row)
    return listed


def _judged(runtime: Runtime, turn: Turn) -> dict[str, Any]:
    """What is foretold of a waiting request, what its rank is made of, and what would become of its KV."""
    return {
        "terms": list(runtime.deciding.terms(turn)),
        "output_tokens": turn.forecast.output.mean,
        "tool": turn.forecast.tool,
        "chance": turn.forecast.chance,
        "foreseen": runtime.deciding.foreseen(turn).word,
    }


def _paused_rows(runtime: Runtime, now: float, wanted: Wanted) -> list[dict[str, Any]]:
    """Those that hold most memory, then those that were paused last: of ten thousand, only a few are looked at."""
    paused, ledger = runtime.calls.paused, runtime.calls.ledger
    most = heapq.nlargest(wanted.rows, ledger, key=lambda pin: (pin.tokens, pin.since))
    keys = [pin.session for pin in most if pin.session in paused]
    keys += islice((key for key in reversed(paused) if key not in ledger), max(wanted.rows - len(keys), 0))
    return [_paused(runtime, key, paused[key], now, "paused" in wanted.judged) for key in keys]


def _paused(runtime: Runtime, key: str, paused: Paused, now: float, judged: bool) -> dict[str, Any]:
    turn, call, pin = (
        paused.turn,
        paused.turn.call,
        runtime.calls.ledger.get(key) or runtime.calls.copies.ledger.get(key),
    )
    costs = runtime.costs.costs
    context = turn.context_tokens
    row: dict[str, Any] = {
        "session": key,
        "handling": "provisional" if paused.provisional else paused.handling.word,
        "tokens": 0 if pin is None else pin.tokens,
        "context_tokens": context,
        "held_token_s": 0.0 if pin is None else pin.tokens * (now - pin.since),
        "redo_s": costs.prefill_s_per_tok * context + costs.prefill_context_s_per_tok2 * context * context / 2,
        "until_s": None if pin is None else pin.until - now,
        "lost": paused.lost,
    }
    if call is None:
        return row
    answer = runtime.deciding.asked_now(turn) if judged else None
    return row | {
        "tool": call.tool,
        "age_s": now - call.since,
        "expected_s": call.duration.mean,
        "p90_s": call.duration.stat("p90"),
        "known": call.duration.known,
        "now": "" if answer is None else described(answer),
        "held_by": call.held_by,
        "line": call.line,
    }
