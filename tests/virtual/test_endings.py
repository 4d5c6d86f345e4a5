"""Sessions that never come back, under the policies that keep KV by its price: what they leave is given up soon."""

from __future__ import annotations

from pathlib import Path

import pytest

import policies
from engine_adapter.virtual.simulate import SimResult, Simulation, simulate
from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.load import Load
from engine_adapter.workload.summary import summarize
from engine_adapter.workload.trace import SessionTrace, Trace, Turn
from tests.virtual.small import profile

TURNS, CLIENTS = 12, 4


def chat(number: int) -> SessionTrace:
    """A person who answers at once, twelve times, and then is gone."""
    turns = [Turn(400, 0, 8)]
    for _ in range(1, TURNS):
        before = turns[-1]
        turns.append(Turn(before.prompt + before.output + 8, before.prompt + before.output, 8, 0.2, "user"))
    return SessionTrace(f"s{number}", tuple(turns))


def served(policy: str) -> SimResult:
    """Ten times what the memory holds, four sessions at a time, which fit."""
    trace = Trace("chats", tuple(map(chat, range(40))))
    return simulate(Simulation(policy, trace, Load(arriving=Closed(CLIENTS)), profile(kv_tokens=3200)))


@pytest.mark.parametrize("policy", ["lamps", "bounded_tail"])
def test_what_sessions_leave_takes_no_cache_from_those_that_go_on(policy: str, tmp_path: Path) -> None:
    once = tmp_path / "once.lamps"
    once.write_text(
        f'lamps 1\npolicy once "Judged once."\nextends "{policies.find(policy)}"\ndrop while paused "to see"\n'
    )
    stock, found, before = served("stock"), served(policy), served(str(once))
    assert found.counters["runtime.decisions.preserve"] > 0
    shares = [summarize(result.result).prefix_hit_rate or 0.0 for result in (stock, found, before)]
    assert shares[0] > 0.85
    assert shares[1] >= shares[0]
    assert shares[2] < shares[0]
