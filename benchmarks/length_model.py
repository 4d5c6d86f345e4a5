"""What a trained model of lengths costs an engine, and how well it foretells the shipped traces.

Cost: milliseconds a request when the model is asked about so many at once, with and without tokens; what a turn costs
the engine's thread when it is put into the queue and when its answer is taken up. Quality: a model for each trace that
is named, judged by the fifth of its sessions that it has not seen, beside the online statistics, the mean of the class
and the last value, over three seeds of split and training. Writes benchmarks/results/length_model.json.

    python -m benchmarks.length_model              # cost alone: ten seconds
    python -m benchmarks.length_model TRACE ...    # and quality: minutes
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from engine_adapter.runtime.foretelling import Foretelling
from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.length_inputs import FIRST_TOOLS, NUMBERS, TOKEN_PLACES
from engine_adapter.runtime.length_model import BUCKETS, TOPS, About, LengthModel
from engine_adapter.runtime.past import KEPT_TOOLS, USER, Case
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.turn import Turn
from engine_adapter.training.material import load_material
from engine_adapter.training.training import train

RESULTS = Path(__file__).parent / "results" / "length_model.json"
BATCHES = (1, 16, 64, 256)
SEEDS = (0, 1, 2)
_WIDTH, _TOKEN_WIDTH, _HIDDEN, _TOOLS = 8, 16, 64, 20  # those of a trained model


def made(tokens: bool) -> LengthModel:
    """A model of a trained one's size, with random weights."""
    chance, places = np.random.default_rng(0), _TOOLS + len(FIRST_TOOLS)
    width = _TOKEN_WIDTH if tokens else 0
    read = NUMBERS + KEPT_TOOLS * _WIDTH + (width + 1 if tokens else 0)
    shapes = {
        "tool_vectors": (places, _WIDTH),
        "token_vectors": (TOKEN_PLACES, width),
        "w1": (read, _HIDDEN),
        "b1": (_HIDDEN,),
        "w2": (_HIDDEN, _HIDDEN),
        "b2": (_HIDDEN,),
        "w3": (_HIDDEN, 2 * BUCKETS + places),
        "b3": (2 * BUCKETS + places,),
    }
    arrays = {name: chance.normal(size=shape) / 8 for name, shape in shapes.items()}
    arrays |= {"shift": np.zeros(NUMBERS), "scale": np.ones(NUMBERS), "lengths": TOPS.copy()}
    tools = (*FIRST_TOOLS, *(f"tool{n}" for n in range(_TOOLS)))
    return LengthModel(About("random weights", tokens, 0, 0, 0, 0.2), tools, arrays)


def sessions(count: int) -> list[Session]:
    """Sessions of a few turns."""
    chance, predictor, found = random.Random(0), Predictor(), []
    for number in range(count):
        session = Session(str(number), None, "", 0.0, 0.0)
        for _ in range(1 + number % 6):
            predictor.begin_turn(session, chance.randrange(50, 4000))
            tool = f"tool{chance.randrange(_TOOLS)}" if chance.random() < 0.8 else USER
            predictor.learn_turn(session, Hints(may_call=True), chance.randrange(1, 800), tool != USER, tool)
            predictor.learn_call(session, tool, chance.random(), 30)
        predictor.begin_turn(session, chance.randrange(50, 4000))
        found.append(session)
    return found


def cost_ms() -> dict[str, dict[str, list[float]]]:
    """Milliseconds a request, by what the model reads and by the size of the batch: the median of 200 batches.

    Of the clock, and of processor time on all threads, which counts where the machine is busy with others.
    """
    found: dict[str, dict[str, list[float]]] = {}
    chance = random.Random(1)
    for label, tokens in (("history", False), ("history and tokens", True)):
        model = made(tokens)
        prompt = [[chance.randrange(100_000) for _ in range(128)] if tokens else [] for _ in range(512)]
        cases = [Case(one.past, one.output, True, told) for one, told in zip(sessions(512), prompt, strict=True)]
        found[label] = {}
        for size in BATCHES:
            times = []
            for _ in range(200):
                start = chance.randrange(len(cases) - size + 1)
                began, used = time.perf_counter(), time.process_time()
                model.foretell(cases[start : start + size])
                times.append((time.perf_counter() - began, time.process_time() - used))
            found[label][str(size)] = [round(median(part) / size * 1e3, 4) for part in zip(*times, strict=True)]
    return found


def thread_us(count: int = 2000) -> dict[str, float]:
    """Microseconds of the engine's thread for a turn: to ask, and to take up an answer; without the new row."""
    predictor = Predictor()
    foretelling = Foretelling(made(True), True, Counter(), print)
    turns = {}
    for number, session in enumerate(sessions(count)):
        foresee = partial(predictor.forecast, session, Hints(may_call=True), True, None)
        turns[str(number)] = Turn(str(number), session, Hints(may_call=True), foresee, 0.0, 1000, 16, True)
    prompt = list(range(1000))
    asking, taking = [], 0.0
    for turn in turns.values():
        began = time.perf_counter()
        foretelling.arrived(turn, prompt, predictor.output_tokens(turn.session))
        asking.append(time.perf_counter() - began)
        time.sleep(0.0005)
    time.sleep(1.0)
    taken = 0
    while batch := foretelling.news(turns):
        taken += len(batch)
        began = time.perf_counter()
        for turn in batch:
            _ = turn.forecast
        taking += time.perf_counter() - began
    foretelling.close()
    return {"ask": round(median(asking) * 1e6, 2), "new forecast": round(taking / taken * 1e6, 2), "answered": taken}


def quality(name: str) -> dict[str, Any]:
    """The scores of a shipped trace: means over the seeds."""
    material = load_material(name)
    found = [train(material, 0.2, seed).scores for seed in SEEDS]
    lengths: dict[str, dict[str, Any]] = {}
    for predictor in found[0].lengths:
        runs = [asdict(one.lengths[predictor]) for one in found]
        lengths[predictor] = {
            figure: round(mean(run[figure] for run in runs), 4) for figure in ("mae", "rmse", "tau", "ordered")
        } | {quantile: round(mean(run["within"][quantile] for run in runs), 3) for quantile in runs[0]["within"]}
    calls = {who: round(mean(one.calls[who] for one in found), 4) for who in found[0].calls}
    return {
        "turns": sum(one.turns for one in found),
        "seeds": len(found),
        "mean_tokens": round(mean(one.mean for one in found), 1),
        "lengths": lengths,
        "calls_brier": calls,
    }


def main(names: list[str]) -> int:
    figures: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    figures["ms_per_request"] = cost_ms()
    figures["engine_thread_us"] = thread_us()
    for label, by_size in figures["ms_per_request"].items():
        print(
            f"{label}: "
            + ", ".join(f"{ms[0]} ms a request of {size} ({ms[1]} of processor time)" for size, ms in by_size.items())
        )
    print("the engine's thread:", figures["engine_thread_us"])
    for name in names:
        figures[name] = quality(name)
        print(f"{name}: {figures[name]['turns']} turns judged, {figures[name]['mean_tokens']} tokens each")
        for predictor, values in figures[name]["lengths"].items():
            print(f"  {predictor:<12}" + "  ".join(f"{figure} {value}" for figure, value in values.items()))
        print(f"  ends in a call, Brier score: {figures[name]['calls_brier']}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
