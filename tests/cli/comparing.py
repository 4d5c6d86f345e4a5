"""A comparison with made-up results: what is shown of one, without running any."""

from __future__ import annotations

from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.simulate import Measured, Simulation, assembled
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import SessionResult, TurnResult
from engine_adapter.workload.trace import SessionTrace, Trace, Turn
from lamps_cli.comparison import Comparison, Question, Run

TRACE = Trace("made-up", (SessionTrace("s", (Turn(100, 0, 50), Turn(200, 150, 50, 4.0, "tool"))),))
PROFILE = load_profile("gptj-6b-a100")


def session(number: int, wait_s: float) -> SessionResult:
    """Two turns with a tool of 4 s between, each first token *wait_s* late."""
    arrival_s = number / 2
    first = TurnResult(100, 50, 0.0, arrival_s, 0.0, 0, arrival_s + wait_s, arrival_s + wait_s + 1.5)
    due_s = arrival_s + wait_s + 5.5
    second = TurnResult(200, 50, 4.0, due_s, 0.0, 120, due_s + wait_s, due_s + wait_s + 1.5, 150)
    tenant = ("red", "blue")[number % 2]
    return SessionResult(f"s{number}", "search", arrival_s, 2, [first, second], tenant=tenant)


def run(share: float | None, policy: str, seed: int, waits_s: float, failed: int = 0) -> Run:
    """A run of twenty sessions, the last of which *failed*."""
    params = {"patience": 5.0} if policy == "lamps" else {}
    load = Load(10.0 * (share or 1.0), 20, seed)
    sessions = [session(number, waits_s * (1 + number / 10)) for number in range(20)]
    for lost in sessions[20 - failed :]:
        del lost.turns[1]
        lost.error = "3000 tokens don't fit"
    counters = {"prompt_tokens": 6000.0, "prefix_cache_queries": 6000.0, "prefix_cache_hits": 2400.0}
    counters |= {"preemptions": 3.0 + seed, "recomputed_after_preemption": 900.0} if policy != "lamps" else {}
    measured = Measured(tuple(sessions), "finished", "", 30.0, 1000 + seed, counters, ())
    simulation = Simulation(policy, TRACE, load, PROFILE, "oracle", params)
    return Run(share, policy, seed, simulation, assembled(simulation, measured))


def comparison() -> Comparison:
    """lamps against a policy with a long name at two loads; at the second one run was lost and one wasn't begun."""
    other = "policies/experiments/shortest_remaining_prompt_first.lamps"
    question = Question({"lamps": {"patience": 5.0}, other: {}}, TRACE, PROFILE, "oracle", Load(), (0.9, 1.1), 1.0, 3)
    runs = [
        run(share, name, seed, (share + seed / 10) * wait_s, failed=int(share > 1 and seed == 0 and name == other))
        for seed in range(3)
        for share in (0.9, 1.1)
        for name, wait_s in (("lamps", 0.5), (other, 1.0))
    ]
    runs[-1].result = None
    runs[-3].result, runs[-3].lost = None, "its worker was killed by SIGKILL, as happens when memory runs out"
    return Comparison(question, 10.0, runs, interrupted=True)
