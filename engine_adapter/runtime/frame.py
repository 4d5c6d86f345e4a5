"""The state of one engine as a status frame: what `lamps status` and the monitor show. No prompt text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine_adapter.runtime.core import Runtime

VERSION = 1
# Waiting requests listed one by one; the rest are counted.
LISTED = 50


def frame(runtime: Runtime, running: Sequence[str]) -> dict[str, Any]:
    """A JSON-ready frame. *running*: ids in the engine's order."""
    now = runtime.engine.clock()
    engine = runtime.engine_now()
    policy = runtime.policy
    ledger = runtime.calls.ledger
    return {
        "version": VERSION,
        "policy": {
            "name": policy.name,
            "title": policy.title,
            "revision": policy.revision,
            "path": policy.path,
            "params": dict(policy.params),
        },
        "engine": dict(engine),
        "running": [_running(runtime, request_id) for request_id in running if request_id in runtime.turns],
        "waiting": _waiting(runtime, now),
        "waiting_total": len(runtime.table),
        "paused": [
            {
                "session": paused.turn.session.key,
                "tool": paused.turn.call.tool if paused.turn.call is not None else "",
                "handling": "provisional" if paused.provisional else paused.handling.word,
                "tokens": ledger.tokens_of(key),
                "age_s": now - paused.turn.call.since if paused.turn.call is not None else 0.0,
                "expected_s": paused.turn.call.duration.mean if paused.turn.call is not None else None,
            }
            for key, paused in runtime.calls.paused.items()
        ],
        "pins": {
            "count": len(ledger),
            "tokens": ledger.tokens,
            "share": ledger.tokens / runtime.engine.facts.kv_total_tokens,
        },
        "counters": dict(sorted(runtime.counters.items())),
    }


def _running(runtime: Runtime, request_id: str) -> dict[str, Any]:
    turn = runtime.turns[request_id]
    return {
        "id": request_id,
        "session": turn.session.key,
        "turn": turn.session.turn,
        "context_tokens": turn.context_tokens,
        "generated_tokens": turn.generated_tokens,
    }


def _waiting(runtime: Runtime, now: float) -> list[dict[str, Any]]:
    rows = []
    for number, place in enumerate(runtime.places(LISTED), 1):
        turn = runtime.turns[place.id]
        rows.append(
            {
                "id": place.id,
                "session": turn.session.key,
                "place": number,
                "rank": list(place.keys),
                "promoted": place.promoted,
                "waited_s": turn.waited(now),
                "prompt_tokens": turn.prompt_tokens,
            }
        )
    return rows
