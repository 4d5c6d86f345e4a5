"""How well the online predictor foretells the shipped traces, against the running mean of all that was seen before.

Sessions are replayed in random order, 32 at a time, one turn each in rotation; every turn is predicted before it is
learned from. The engine is told that tools are offered and, when a call begins, which tool: no hint besides. Errors
are means over the second half of the turns (mean absolute error, and the part of the variance explained). Writes
benchmarks/results/predictor.json.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from engine_adapter.runtime import modes
from engine_adapter.runtime.forecast import CallForecast
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.predictor import USER, Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.training.samples import rotation
from engine_adapter.workload.trace import SHIPPED, load_trace
from policy_dsl.prediction import Dist

RESULTS = Path(__file__).parent / "results"
OFFERED = Hints(may_call=True)
SEED = 1
# Seconds that a call has run when it is asked how long it will take.
ELAPSED_S = (2.0, 20.0, 60.0)


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


@dataclass
class Outlasting:
    """Calls that have run for some time: what they took, and what was expected then, by two shapes of duration."""

    true: list[float] = field(default_factory=list)
    mixture: list[Dist] = field(default_factory=list)
    log_normal: list[Dist] = field(default_factory=list)

    def add(self, true: float, call: CallForecast, elapsed_s: float) -> None:
        self.true.append(true)
        self.mixture.append(modes.outlasting(call.duration, call.modes, elapsed_s))
        self.log_normal.append(call.duration.conditioned(elapsed_s))

    def report(self) -> dict[str, float]:
        count = len(self.true)
        found: dict[str, float] = {"n": count, "mean": round(sum(self.true) / count, 2)}
        for label, foretold in (("mixture", self.mixture), ("log_normal", self.log_normal)):
            found[f"{label}_mean"] = round(sum(one.mean for one in foretold) / count, 2)
            for name in ("p50", "p90"):
                held = sum(true <= one.stat(name) for true, one in zip(self.true, foretold, strict=True))
                found[f"{label}_within_{name}"] = round(held / count, 3)
        return found


def _mae(true: list[float], guess: list[float]) -> float:
    return sum(abs(t - g) for t, g in zip(true, guess, strict=True)) / len(true)


def replay(name: str) -> dict[str, object]:
    """Scores of one trace."""
    predictor = Predictor()
    sessions: dict[str, Session] = {}
    output, chance, duration, response = Score(), Score(), Score(), Score()
    outlasting = {elapsed_s: Outlasting() for elapsed_s in ELAPSED_S}
    began = time.process_time()
    turns, judging = 0, 0.0
    for trace, index in rotation(load_trace(name).sessions, SEED):
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
            paused = time.process_time()
            for elapsed_s in ELAPSED_S:
                if after.gap_s > elapsed_s and call.duration.known:
                    outlasting[elapsed_s].add(after.gap_s, call, elapsed_s)
            judging += time.process_time() - paused
            response.add(added, call.response.mean, float(call.response.stat("p90")))
            predictor.learn_call(session, called or USER, after.gap_s, added)
    scores = {"output_tok": output, "call_duration_s": duration, "response_tok": response, "chance_of_call": chance}
    return {
        "turns": turns,
        "us_per_turn_all_told": round((time.process_time() - began - judging) / turns * 1e6, 1),
        **{label: score.report() for label, score in scores.items()},
        **{f"call_after_{elapsed_s:g}_s": one.report() for elapsed_s, one in outlasting.items() if one.true},
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
