"""What is expected of a turn, and of a call."""

from __future__ import annotations

from dataclasses import dataclass

from engine_adapter.runtime.modes import Modes
from engine_adapter.runtime.runs import Left
from policy_dsl.prediction import Dist


@dataclass(frozen=True, slots=True)
class CallForecast:
    """A call that begins now: the tool that is expected to take longest, its duration (s), its response (tok).

    *modes*: how the tool's durations are spread; none where the client has said how long it takes.
    """

    tool: str
    duration: Dist
    response: Dist
    modes: Modes = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a turn will go on. *tool*: of its call, "" when several are likely. *chance*: that it ends in
    a tool call. *returns*: that the session comes back. *count*: parallel calls. *output*: tokens still
    to generate in this turn, *output_after*: in the one after the call. *left*: what the session has still to do."""

    tool: str
    chance: float
    returns: float
    count: float
    duration: Dist
    response: Dist
    output: Dist
    output_after: Dist
    left: Left
