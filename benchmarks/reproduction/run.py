"""Carries out the cases in virtual time and keeps what they measured, a line each.

    python -m benchmarks.reproduction.run [QUESTION ...]

A run that is interrupted keeps what is done, and goes on from there. A line is used again as long as the policy it was
measured with is the same and virtual time does the same (`behaviour`). With benchmarks/results/reproduction.jsonl taken
away, everything is measured anew.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import policies
from benchmarks.reproduction.behaviour import behaviour_of
from benchmarks.reproduction.cases import ALONE, LENGTH_SCALE, MAX_GAP_S, Case, questions
from benchmarks.saturation import arriving
from engine_adapter.virtual.jobs import Saturation, Search
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.remembered import at_scale, recall, remember
from engine_adapter.virtual.saturation import SEARCH, backlog, queue_of, window
from engine_adapter.virtual.simulate import SimResult, Simulation
from engine_adapter.virtual.workers import Workers
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import SessionResult
from engine_adapter.workload.summary import quantile, summarize
from engine_adapter.workload.trace import Trace, load_trace
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load

RESULTS = Path(__file__).parents[1] / "results" / "reproduction.jsonl"
Line = dict[str, Any]


def key(case: Case, behaviour: str = "") -> Line:
    """What a line is found again by: the case, the revision of its policy, what load 1 was, and what the code does.

    *behaviour*: of other code than what stands here.
    """
    found: Line = {
        "system": case.system.name,
        "trace": case.trace,
        "profile": case.profile,
        case.by: case.at,
        "seed": case.seed,
        "sessions": case.sessions,
        "begins": "behind" if case.behind else "empty",
        "revision": _revision(case.system.policy, tuple(case.system.params.items())),
        "behaviour": behaviour or behaviour_of(case.system),
    }
    return found if case.by == "rate" else found | {"saturation": SEARCH[0]}


@cache
def _revision(policy: str, params: tuple[tuple[str, float], ...]) -> str:
    if policy.startswith("stock"):
        return policy
    loaded = load(policies.find(policy))
    assert loaded.policy is not None, policy
    return compile_policy(loaded.policy, loaded.source, dict(params)).revision


def known(path: Path = RESULTS) -> dict[str, Line]:
    """What was measured before, by key."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {name(line["case"]): line for line in lines}


def name(key: Line) -> str:
    return json.dumps(key, sort_keys=True)


def simulation(case: Case, rate: float) -> Simulation:
    """The run of *case*: *rate* sessions a second, drawn with replacement, at random times, or a window on such."""
    system, profile = case.system, load_profile(case.profile)
    trace = sized(case.trace)
    load = Load(rate, case.sessions, case.seed, replacement=True)
    if case.behind or case.sessions is None or system == ALONE:
        given = window(trace, rate) if case.sessions is None else arriving(trace, rate, case.sessions, case.seed)
        waiting = backlog(trace, sum(queue_of(trace, profile))) if case.behind else ()
        trace = Trace(trace.name, (*waiting, *given.sessions))
        trace = one_by_one(trace) if system == ALONE else trace
        load = Load(rate, seed=case.seed, arriving=Recorded())
    return Simulation(system.policy, trace, load, profile, system.predict, system.params)


def one_by_one(trace: Trace) -> Trace:
    """The same sessions, each arriving when the one before is done: of no engine here do a token or a prompt take more
    than a tenth of a second and a second."""
    came, at_s = [], 0.0
    for session in trace.sessions:
        came.append(replace(session, start_s=at_s))
        at_s += sum(turn.gap_s + 0.1 * turn.output + 1.0 for turn in session.turns)
    return Trace(trace.name, tuple(came))


@cache
def sized(trace: str) -> Trace:
    """The trace as the engines take it."""
    scale, gap_s = LENGTH_SCALE.get(trace, 1.0), MAX_GAP_S.get(trace)
    return at_scale(load_trace(trace), Load(length_scale=scale, max_gap_s=gap_s))


def saturations(cases: Sequence[Case], workers: Workers) -> dict[tuple[str, str], float]:
    """Sessions a second that stock can serve once it is behind, by trace and profile, for cases at loads."""
    pairs = sorted({(case.trace, case.profile) for case in cases if case.by == "load"})
    found: dict[tuple[str, str], float] = {}
    searches = {}
    for trace, profile in pairs:
        rate = recall(sized(trace), load_profile(profile))
        if rate is None:
            searches[trace, profile] = Search(sized(trace), load_profile(profile))
        else:
            found[trace, profile] = rate
    for said in workers.run(list(searches.values())):
        (pair, search) = list(searches.items())[said.number]
        match said.what:
            case Saturation(rate):
                remember(search.trace, search.profile, rate)
                found[pair] = rate
            case Exception() as problem:
                raise SystemExit(f"{pair}: {problem}")
    return found


def measured(case: Case, rate: float, result: SimResult) -> Line:
    """The figures of a run: of every session, and of those that had finished when the last one arrived.

    The second is how the code of MARS counts: what a window of arrivals leaves unfinished is left out.
    """
    sessions = result.result.sessions
    window_s = max(session.arrival_s for session in sessions)
    early = [s for s in sessions if s.end_to_end_s is not None and s.arrival_s + s.end_to_end_s <= window_s]
    summary = summarize(result.result)
    return {
        "case": key(case),
        "rate": rate,
        "ended": result.ended,
        "all": _figures([s for s in sessions if s.finished]),
        "window": _figures(early),
        "unfinished": summary.failed,
        "output_tokens_per_s": summary.output_tokens_per_s,
        "recomputed_tokens": summary.recomputed_tokens,
        "prefix_hit_rate": summary.prefix_hit_rate,
        "preemptions": summary.preemptions,
        "decisions": {k: v for k, v in result.counters.items() if k.startswith("runtime.decisions.")},
    }


def _figures(sessions: Sequence[SessionResult]) -> Line:
    found = {
        "end_to_end_s": [s.end_to_end_s for s in sessions if s.end_to_end_s is not None],
        "without_tools_s": [s.end_to_end_s - s.tool_time_s for s in sessions if s.end_to_end_s is not None],
        "ttft_s": [s.turns[0].ttft_s for s in sessions if s.turns[0].ttft_s is not None],
        "ttft_turn_s": [turn.ttft_s for s in sessions for turn in s.turns if turn.ttft_s is not None],
    }
    return {"sessions": len(sessions), **{metric: _spread(sorted(values)) for metric, values in found.items()}}


def _spread(ordered: Sequence[float]) -> dict[str, float | None]:
    if not ordered:
        return dict.fromkeys(("mean", "p50", "p95", "p99", "max"))
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {"mean": math.fsum(ordered) / len(ordered)} | {k: quantile(ordered, share) for k, share in shares.items()}


def carry_out(cases: Sequence[Case], path: Path = RESULTS, at_once: int | None = None) -> None:
    """Run those that aren't known yet, *at_once* of them (None: as many as there are cores), adding lines to *path*."""
    with path.open("a") as out:
        for line in _lines(cases, known(path), at_once):
            out.write(json.dumps(line) + "\n")
            out.flush()


def _lines(cases: Sequence[Case], before: Mapping[str, Line], at_once: int | None) -> Iterator[Line]:
    missing = list({name(key(case)): case for case in cases if name(key(case)) not in before}.values())
    print(f"{len(cases)} runs asked for, {len(missing)} to make", file=sys.stderr)
    if not missing:
        return
    with Workers(at_once) as workers:
        rates = saturations(missing, workers)
        at = [c.at if c.by == "rate" else c.at * rates[c.trace, c.profile] for c in missing]
        jobs = [simulation(case, rate) for case, rate in zip(missing, at, strict=True)]
        done = 0
        for said in workers.run(jobs):
            case = missing[said.number]
            match said.what:
                case SimResult() as result:
                    done += 1
                    print(
                        f"{done}/{len(jobs)} {case.system.name}, {case.trace}, {case.by} {case.at:.3g}", file=sys.stderr
                    )
                    yield measured(case, jobs[said.number].load.rate, result)
                case Exception() as problem:
                    done += 1
                    print(f"{case}: {problem}", file=sys.stderr)


def main() -> None:
    names = [question.name for question in questions()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(names))
    parser.add_argument("--at-once", type=int, metavar="N", help="runs at once; all cores unless said")
    given = parser.parse_args()
    wanted = given.questions or names
    cases = [case for question in questions() if question.name in wanted for case in question.cases]
    carry_out(cases, at_once=given.at_once)


if __name__ == "__main__":
    main()
