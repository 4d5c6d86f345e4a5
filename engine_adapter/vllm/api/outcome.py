"""How a turn ended, read off the answer that goes to the client: call, end, or gone.

Readers look at an answer and never change or hold it. A streamed answer is told by the chunk that carries the last
`finish_reason`, so the verdict is on its way before the client has read that chunk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Ending = Literal["call", "end", "gone"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """*tools*: names of the functions called, in order, doubled where one is called twice."""

    ending: Ending
    tools: tuple[str, ...] = ()


GONE = Outcome("gone")


def ended(tools: tuple[str, ...]) -> Outcome:
    """The outcome of a turn that was answered, with calls of *tools* (or none)."""
    return Outcome("call", tools) if tools else Outcome("end")


class Reader(Protocol):
    """Reads one answer. `whole` for an answer in one piece, `chunk` for each piece of a stream."""

    def whole(self, answer: Any) -> Outcome | None: ...

    def chunk(self, piece: Any) -> Outcome | None:
        """The outcome, once this piece tells it."""

    def cut(self) -> Outcome:
        """The outcome when the stream ended here."""


class ChatReader:
    """Chat completions. With n > 1 choices one turn has one outcome: a call if any choice calls.

    A forced call of a named tool finishes with `stop`, so the calls tell, not the finish reason.
    """

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._finished: set[int] = set()
        self._names: dict[tuple[int, int], str] = {}

    def whole(self, answer: Any) -> Outcome | None:
        choices = getattr(answer, "choices", None)
        if not choices:
            return GONE  # vLLM's error response: the request failed or its client left
        calls = [call for choice in choices for call in choice.message.tool_calls or ()]
        return ended(tuple(call.function.name for call in calls))

    def chunk(self, piece: Any) -> Outcome | None:
        # Most pieces carry text alone; these two marks can't occur inside a JSON string unescaped.
        if '"tool_calls":' not in piece and '"finish_reason":"' not in piece:
            return None
        for choice in _choices_of(piece):
            index = choice.get("index", 0)
            for call in choice.get("delta", {}).get("tool_calls") or ():
                name = (call.get("function") or {}).get("name")
                if name:
                    self._names.setdefault((index, call.get("index", 0)), name)
            if choice.get("finish_reason"):
                self._finished.add(index)
        return self._outcome() if len(self._finished) >= self._choices else None

    def cut(self) -> Outcome:
        return self._outcome() if self._finished else GONE

    def _outcome(self) -> Outcome:
        return ended(tuple(self._names[key] for key in sorted(self._names)))


class ResponsesReader:
    """The Responses API: items of type `function_call` in the output, events when streamed.

    An answer made in the background is told by nobody here; the engine's own hold ends by itself.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._finished = False

    def whole(self, answer: Any) -> Outcome | None:
        output = getattr(answer, "output", None)
        if output is None:
            return GONE
        if getattr(answer, "status", None) in {"queued", "in_progress"}:
            return None
        return ended(tuple(item.name for item in output if getattr(item, "type", "") == "function_call"))

    def chunk(self, piece: Any) -> Outcome | None:
        kind = getattr(piece, "type", "")
        item = getattr(piece, "item", None)
        if kind == "response.output_item.done" and getattr(item, "type", "") == "function_call":
            self._names.append(str(getattr(item, "name", "")))
        self._finished = self._finished or kind in {"response.completed", "response.incomplete"}
        return self.cut() if self._finished else None

    def cut(self) -> Outcome:
        return ended(tuple(self._names)) if self._finished else GONE


def _choices_of(piece: str) -> list[dict[str, Any]]:
    """The choices of one server-sent event; none for `[DONE]`, comments, errors and anything that isn't JSON."""
    try:
        body = json.loads(piece.removeprefix("data:").strip())
    except ValueError:
        return []
    choices = body.get("choices") if isinstance(body, dict) else None
    return choices if isinstance(choices, list) else []
