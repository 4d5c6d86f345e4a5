"""In virtual time too a rank that reads `handling` reads what `on call at arrival` answered when the turn came."""

from __future__ import annotations

from typing import Any

import pytest

from engine_adapter.runtime.core import Runtime
from engine_adapter.virtual.driver import run
from policy_dsl.types import Handling
from tests.virtual.small import profile, simulation

POLICY = """lamps 1
policy early "E."
rank match handling { preserve: 1, discard: 2, swap: 3, none: 4 }, request.arrival
on call at arrival if engine.running_tokens < 800tok { preserve } else { discard }
"""
PLACES = {Handling.PRESERVE: 1, Handling.DISCARD: 2, Handling.NONE: 4}


@pytest.mark.parametrize("ahead", [False, True], ids=["sync", "async"])
def test_the_order_is_by_what_was_decided_then(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, ahead: bool) -> None:
    seen, plain = {"ranked": 0, "otherwise by now": 0}, Runtime.first

    def first(runtime: Runtime, count: int) -> list[str]:
        found = plain(runtime, count)
        turns = [turn for name, turn in runtime.turns.items() if name in runtime.table]

        def place(turn: Any, verdict: Any) -> tuple[int, float]:
            return PLACES[verdict.holds[0][0] if turn.forecast.chance >= 0.5 else Handling.NONE], turn.arrival

        def by_then(turn: Any) -> tuple[int, float]:
            return place(turn, turn.foreseen)

        def by_now(turn: Any) -> tuple[int, float]:
            return place(turn, runtime.deciding.answer_now(turn))

        assert found == [turn.id for turn in sorted(turns, key=by_then)][:count]
        seen["ranked"] += len(turns) > 1
        seen["otherwise by now"] += found != [turn.id for turn in sorted(turns, key=by_now)][:count]
        return found

    monkeypatch.setattr(Runtime, "first", first)
    path = tmp_path / "early.lamps"
    path.write_text(POLICY)
    found = run(simulation(str(path), profile=profile(async_scheduling=ahead), predict="oracle"), None)
    assert found.ended == "finished", found.reason
    assert seen["ranked"] > 50 and seen["otherwise by now"] > 10, seen
