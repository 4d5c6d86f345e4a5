"""Gates, limits, classes and victims under a load that is too much: everybody is served, whatever the policy says."""

from __future__ import annotations

import pytest

from engine_adapter.virtual.driver import run
from engine_adapter.virtual.jobs import encode_measured
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import Trace
from tests.virtual.small import profile, session, simulation

HEAD = 'lamps 1\npolicy tried "P."\nrank request.arrival\n'
GATE = HEAD + "admit when engine.running_tokens + request.context + predict.output.p90 <= 50% * engine.kv_total\n"
PROMOTED = GATE + "promote when request.waited >= 5s\n"


@pytest.mark.parametrize("ahead", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "rules",
    [
        GATE,
        HEAD + "admit when false\n",
        HEAD + "admit when request.prompt > 100000tok\npromote when request.waited >= 1s\n",
        HEAD + "limit running <= 0.1%\n",
        HEAD + "class all { reserve: 90% }\nadmit when engine.held_tokens <= 1tok\nlimit all.running <= 3\n",
        HEAD + "limit running <= 3 by request.context\n",
        HEAD
        + "class all { weight: 1 }\nlimit all.running <= 2 by predict.output\nlimit running <= 3 by request.context\n",
        HEAD + "victim request.arrival\n",
        HEAD + "on call preserve\nlimit pinned <= 20% by highest call.duration\nvictim highest request.context\n",
    ],
    ids=["gate", "closed", "closed to all", "one at a time", "class", "places", "of a class", "oldest first", "shared"],
)
def test_everybody_is_served(tmp_path, rules: str, ahead: bool) -> None:
    path = tmp_path / "p.lamps"
    path.write_text(rules)
    found = run(simulation(str(path), profile=profile(async_scheduling=ahead)), None)
    assert found.ended == "finished", found.reason
    assert all(result.finished for result in found.sessions)
    assert not any(value for name, value in found.counters.items() if name.startswith("runtime.faults"))


CLASSES = HEAD + "class small when request.prompt < 100tok { weight: 1 }\nclass large { weight: 1 }\n"


def test_places_of_a_class_go_to_whom_its_order_names(tmp_path) -> None:
    """Eight of a class come at once, in order of size: two run at a time, the largest first."""
    path = tmp_path / "p.lamps"
    path.write_text(CLASSES + "limit large.running <= 2 by highest request.context\n")
    sessions = [*(session(f"large{n}", (110 + 10 * n, 20)) for n in range(8)), session("small", (60, 20))]
    found = run(simulation(str(path), trace=Trace("sizes", tuple(sessions)), load=Load(rate=1e6, seed=3)), None)
    assert found.ended == "finished", found.reason
    started = {turn.prompt_tokens: turn.started_s for one in found.sessions for turn in one.turns}
    order = sorted(started, key=lambda tokens: started[tokens])
    assert started[60] <= started[order[1]]
    large = [tokens for tokens in order if tokens > 60]
    assert large[2:] == sorted(large[2:], reverse=True)


def mixed() -> Trace:
    """Small sessions without end in sight, and a few that take half of the memory."""
    sessions = [session(f"small{n}", (60, 30)) for n in range(500)]
    sessions[20:20] = [session(f"large{n}", (800, 40)) for n in range(4)]
    return Trace("mixed", tuple(sessions))


def waits(tmp_path, rules: str) -> tuple[float, bytes]:
    """The longest wait of a large session, and the whole result."""
    path = tmp_path / "p.lamps"
    path.write_text(rules)
    found = run(simulation(str(path), trace=mixed(), load=Load(rate=30.0, seed=3)), None)
    assert found.ended == "finished", found.reason
    large = [turn for one in found.sessions for turn in one.turns if turn.prompt_tokens == 800]
    assert len(large) == 4
    return max(turn.started_s - turn.due_s for turn in large), encode_measured(found)


def test_large_sessions_are_not_starved_by_small_ones_that_fit(tmp_path) -> None:
    forgotten_s, _ = waits(tmp_path, GATE)
    waited_s, result = waits(tmp_path, PROMOTED)
    assert forgotten_s > 10.0
    assert 5.0 < waited_s < 7.0
    assert waits(tmp_path, PROMOTED)[1] == result


@pytest.mark.parametrize(
    "policy", ["coding_agents", "tokencake_like", "edf", "vtc", "autellix", "priority", "continuum"]
)
def test_shipped_policies_serve_everybody(policy: str) -> None:
    found = run(simulation(policy), None)
    assert found.ended == "finished", found.reason
    assert not any(value for name, value in found.counters.items() if name.startswith("runtime.faults"))
