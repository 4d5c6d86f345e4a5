"""What the engine is told of each turn: nothing that a server wouldn't see, or the truth, or the truth blurred."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine_adapter.runtime.length_model import LengthModel, ModelError, default_path
from engine_adapter.workload.replay import xargs
from engine_adapter.workload.trace import SessionTrace
from policy_dsl.names import nearest

Told = dict[str, str | float]
Teller = Callable[[SessionTrace, int, str], Told]
"""What is told of turn *index* of a session, as `vllm_xargs`; the last argument is the request's name."""

ONLINE, ORACLE, TOOL, NOISE, LEARNED = "online", "oracle", "tool", "noise", "learned"
MOST_NOISE = 10.0
_BLURRED = (
    "lamps_output_tokens",
    "lamps_call_duration_s",
    "lamps_call_response_tokens",
    "lamps_output_after_tokens",
    "lamps_call_time_left_s",
)


def teller(predict: str, seed: int) -> Teller:
    """The teller of `online`, `learned`, `tool`, `oracle` or `noise:S`. ValueError, a sentence, for anything else.

    online: tools are offered, and at the end of the turn which one was called, as lamps' API layer says on a server.
    tool: the client says beforehand which tool it will call. oracle: it says every length and duration besides.
    noise:S: as the oracle, each number times a log-normal factor of mean 1 and standard deviation S. learned, or
    learned:FILE: told as online, and a trained model foretells lengths (`model_of`).
    """
    word, _, share = predict.partition(":")
    match word:
        case "online" if not share:
            return _online
        case "tool" if not share:
            return lambda session, index, name: xargs(session, index, "tool")
        case "oracle" if not share:
            return lambda session, index, name: xargs(session, index, "oracle")
        case "learned":
            load_model(predict)
            return _online
        case "noise":
            return partial(_noisy, _spread(predict, share), seed)
    near = nearest(word, (ONLINE, LEARNED, TOOL, ORACLE, NOISE))
    hint = f"did you mean {near[0]}?" if near else "online, learned, tool, oracle, or noise with its size, as noise:0.3"
    raise ValueError(f"there are no predictions {predict!r}: {hint}")


def model_of(predict: str) -> Path | None:
    """The file of the trained model that `learned` or `learned:FILE` means; None for other predictions."""
    word, _, file = predict.partition(":")
    if word != LEARNED:
        return None
    return Path(file).expanduser().resolve() if file else default_path()


def load_model(predict: str) -> LengthModel | None:
    """That model. ValueError, a sentence, where it can't be used."""
    path = model_of(predict)
    try:
        return None if path is None else LengthModel.load(path)
    except ModelError as problem:
        raise ValueError(f"predictions {predict!r}: {problem}") from None


def _spread(predict: str, share: str) -> float:
    try:
        spread = float(share.removesuffix("%")) / (100.0 if share.endswith("%") else 1.0)
    except ValueError:
        spread = math.nan
    if not 0.0 <= spread <= MOST_NOISE:
        raise ValueError(f"predictions {predict!r}: noise needs a size from 0 to {MOST_NOISE:g}, as noise:0.3")
    return spread


def _online(session: SessionTrace, index: int, name: str) -> Told:
    told: Told = {}
    if any(turn.after == "tool" for turn in session.turns):
        told = {"lamps_turn": name, "lamps_may_call": 1}
    if session.tenant is not None:
        told["lamps_tenant"] = session.tenant
    return told


def _noisy(spread: float, seed: int, session: SessionTrace, index: int, name: str) -> Told:
    told = xargs(session, index, "oracle")
    noise = random.Random(f"{seed}/noise/{name}")
    variance = math.log1p(spread * spread)
    for key in _BLURRED:
        factor = math.exp(noise.gauss(-variance / 2.0, math.sqrt(variance)))
        if key in told:
            told[key] = float(told[key]) * factor
    return told
