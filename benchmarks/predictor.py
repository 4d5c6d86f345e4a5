"""How well the online predictor foretells the shipped traces, against the running mean of all that was seen before.

Sessions are replayed in random order, 32 at a time, one turn each in rotation; every turn is predicted before it is
learned from. The engine is told that tools are offered and, when a call begins, which tool: no hint besides. Errors
are means over the second half of the turns (mean absolute error, and the part of the variance explained). Writes
benchmarks/results/predictor.json.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.predictor import USER, Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.workload.trace import SHIPPED, SessionTrace, load_trace

RESULTS = Path(__file__).parent / "results"
OFFERED = Hints(may_call=True)
CONCURRENT = 32
SEED = 1


@dataclass
class Score:
    """Predicted and true values of one quantity, and the running mean as the rival."""

    true: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)
    rival: list[float] = field(default_factory=list)
    within_p90: list[bool] = field(default_factory=list)
    _sum: float = 0.0

    def add(self, true: float, predicted: float, p90: float | None = None) -> None:
        self.rival.append(self._sum / max(len(self.true), 1))
        self.true.append(true)
        self.predicted.append(predicted)
        self._sum += true
        if p90 is not None:
            self.within_p90.append(true <= p90)

    def report(self) -> dict[str, float]:
        half = len(self.true) // 2
        true, predicted, rival = self.true[half:], self.predicted[half:], self.rival[half:]
        middle = sum(true) / len(true)
        spread = sum((t - middle) ** 2 for t in true) or 1.0
        return {
            "n": len(true),
            "mean": round(middle, 3),
            "mae": round(_mae(true, predicted), 3),
            "mae_running_mean": round(_mae(true, rival), 3),
            "r2": round(1 - sum((t - p) ** 2 for t, p in zip(true, predicted, strict=True)) / spread, 3),
        } | ({"share_within_p90": round(sum(self.within_p90) / len(self.within_p90), 3)} if self.within_p90 else {})


def _mae(true: list[float], guess: list[float]) -> float:
    return sum(abs(t - g) for t, g in zip(true, guess, strict=True)) / len(true)


def rotation(sessions: tuple[SessionTrace, ...]) -> Iterator[tuple[SessionTrace, int]]:
    """(session, index of its turn), so many sessions at once."""
    pending = random.Random(SEED).sample(sessions, len(sessions))
    active: list[tuple[SessionTrace, int]] = []
    while pending or active:
        while pending and len(active) < CONCURRENT:
            active.append((pending.pop(0), 0))
        yield from active
        active = [(session, index + 1) for session, index in active if index + 1 < len(session.turns)]


def replay(name: str) -> dict[str, object]:
    """Scores of one trace."""
    predictor = Predictor()
    sessions: dict[str, Session] = {}
    output, chance, duration, response = Score(), Score(), Score(), Score()
    began = time.perf_counter()
    turns = 0
    for trace, index in rotation(load_trace(name).sessions):
        turn, called = trace.turns[index], trace.calls_after(index)
        session = sessions.setdefault(trace.name, Session(trace.name, None, "", 0.0, 0.0))
        predictor.begin_turn(session, turn.prompt)
        found = predictor.forecast(session, OFFERED, True, None)
        output.add(turn.output, found.output.mean, float(found.output.stat("p90")))
        chance.add(float(called is not None), found.chance)
        predictor.learn_turn(session, OFFERED, turn.output, called is not None, called or USER)
        turns += 1
        if index + 1 < len(trace.turns):
            after = trace.turns[index + 1]
            call = predictor.call(session, OFFERED, (called or USER,))
            added = after.prompt - after.shared
            duration.add(after.gap_s, call.duration.mean, float(call.duration.stat("p90")))
            response.add(added, call.response.mean, float(call.response.stat("p90")))
            predictor.learn_call(session, called or USER, after.gap_s, added)
    scores = {"output_tok": output, "call_duration_s": duration, "response_tok": response, "chance_of_call": chance}
    return {
        "turns": turns,
        "us_per_turn_all_told": round((time.perf_counter() - began) / turns * 1e6, 1),
        **{label: score.report() for label, score in scores.items()},
    }


def main() -> int:
    figures = {name: replay(name) for name in SHIPPED}
    for name, found in figures.items():
        print(f"{name}: {found['turns']} turns, {found['us_per_turn_all_told']} us a turn to predict and learn")
        for label, report in found.items():
            if isinstance(report, dict):
                print(f"  {label:<16}" + "  ".join(f"{k} {v}" for k, v in report.items()))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "predictor.json").write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
