"""What a client may say about a request, read from `sampling_params.extra_args`.

A hint is a fact to the predictor, so it is checked first: a broken one (wrong type, negative, NaN,
infinite, absurdly long) is left out and reported, never raised; the request is served without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_NAME = 128  # characters of a tool or tenant name
MAX_ID = 256  # characters of a session or turn id
MAX_NUMBER = 1e9  # seconds or tokens; thirty years of either


@dataclass(frozen=True, slots=True)
class Hints:
    """Hints of one request; None where the client said nothing usable.

    *turn* and *may_call* come from our own API plug-in: the id of the turn ("" without it), and
    whether the turn may end in a tool call. *declared*: what the client said as `lamps_hint_NAME`, by
    name, for the hints that a policy declares (which clamps them).
    """

    session_id: str | None = None
    tenant: str = ""
    call_tool: str | None = None
    call_chance: float | None = None
    call_duration_s: float | None = None
    call_response_tokens: float | None = None
    call_returns: float | None = None
    output_tokens: float | None = None
    output_after_tokens: float | None = None
    calls_left: float | None = None
    call_time_left_s: float | None = None
    turn: str = ""
    may_call: bool = False
    deadline_s: float | None = None
    declared: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def announces_call(self) -> bool:
        """Whether the client says that this turn ends in a call of `call_tool`."""
        return self.call_tool is not None and (self.call_chance is None or self.call_chance >= 0.5)


NO_HINTS = Hints()

_TEXTS = {
    "session_id": ("session_id", MAX_ID),
    "lamps_tenant": ("tenant", MAX_NAME),
    "lamps_call_tool": ("call_tool", MAX_NAME),
    "lamps_turn": ("turn", MAX_ID),
}
_NUMBERS = {
    "lamps_call_chance": ("call_chance", 1.0),
    "lamps_call_returns": ("call_returns", 1.0),
    "lamps_call_duration_s": ("call_duration_s", MAX_NUMBER),
    "lamps_call_response_tokens": ("call_response_tokens", MAX_NUMBER),
    "lamps_output_tokens": ("output_tokens", MAX_NUMBER),
    "lamps_output_after_tokens": ("output_after_tokens", MAX_NUMBER),
    "lamps_calls_left": ("calls_left", MAX_NUMBER),
    "lamps_call_time_left_s": ("call_time_left_s", MAX_NUMBER),
    "lamps_deadline_s": ("deadline_s", MAX_NUMBER),
}
_DECLARED = "lamps_hint_"
MAX_DECLARED = 32
_FLOATS = frozenset(name for name, _ in _NUMBERS.values())


def parse(extra_args: Mapping[str, object] | None) -> tuple[Hints, tuple[str, ...]]:
    """The usable hints, and one sentence for each that isn't. Keys that aren't ours are ignored.

    The sentences name the key and what is wrong, never a text value: those may be private.
    """
    if not extra_args:
        return NO_HINTS, ()
    found: dict[str, Any] = {}
    declared: dict[str, float | str] = {}
    problems: list[str] = []
    for key, value in extra_args.items():
        if key in _TEXTS:
            name, longest = _TEXTS[key]
            problem = _text_problem(value, longest)
        elif key in _NUMBERS:
            name, highest = _NUMBERS[key]
            problem = _number_problem(value, highest)
        elif key == "lamps_may_call":
            name, problem = "may_call", "" if isinstance(value, int) and value in (0, 1) else "is not 0 or 1"
        elif key.startswith(_DECLARED) and len(declared) < MAX_DECLARED:
            name, problem = "", _declared_problem(value)
            if not problem and value is not None:
                declared[key.removeprefix(_DECLARED)] = value  # type: ignore[assignment]
                continue
        elif key.startswith("lamps_"):
            name, problem = "", "is not a hint"
        else:
            continue
        if problem:
            problems.append(f"{key[:MAX_NAME]} {problem}")
        elif name and value is not None and value != "":
            found[name] = value
    if declared:
        found["declared"] = declared
    for name in found.keys() & _FLOATS:
        found[name] = float(found[name])
    if "may_call" in found:
        found["may_call"] = bool(found["may_call"])
    return (Hints(**found) if found else NO_HINTS), tuple(problems)


def _declared_problem(value: object) -> str:
    return _text_problem(value, MAX_NAME) if isinstance(value, str) else _number_problem(value, MAX_NUMBER, -MAX_NUMBER)


def _text_problem(value: object, longest: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return f"is {type(value).__name__}, not text"
    if len(value) > longest:
        return f"is longer than {longest} characters"
    return "" if value.isprintable() else "has characters that can't be printed"


def _number_problem(value: object, highest: float, lowest: float = 0.0) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {type(value).__name__}, not a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    return "" if lowest <= value <= highest else f"is not between {lowest:g} and {highest:g}"
