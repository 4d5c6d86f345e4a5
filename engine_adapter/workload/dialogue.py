"""What a session says to the server, turn by turn: token ids of exact lengths, or text with tools.

Token ids make runs alike to the token, and hold a server's behaviour apart from a model's. Text shows that what is
measured so also happens with a chat template, tools, answers that the model ends itself, and calls that the server has
to find in them.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import msgspec

from engine_adapter.workload.client import Client, Event, TurnError, Usage
from engine_adapter.workload.load import TokenSource
from engine_adapter.workload.trace import SessionTrace, Turn

Told = Mapping[str, str | float]
# Characters of the text below for a token, rounded down, by SmolLM2's tokenizer: prompts become no longer than planned.
CHARACTERS = 3
# What a call of `_tool` takes, with room: an answer that is cut off in its middle is no call.
CALL_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Named:
    """*session*: unique to the run. *salt*: prefixes are found again only by requests of the same one."""

    model: str
    session: str
    salt: str


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to one turn, in tokens; times are of time.perf_counter. *shared*: prompt tokens that repeat the turn
    before with its answer. *cached*: those found in the prefix cache, None when the server doesn't tell."""

    prompt_tokens: int
    output_tokens: int
    shared_tokens: int
    cached_tokens: int | None
    first_token_at: float
    done_at: float


class Dialogue(Protocol):
    """One session's side. Turns are asked for in their order."""

    def prepare(self, turn: Turn) -> None:
        """Make what will be sent, before it is due."""

    async def ask(self, turn: Turn, tool: str | None, told: Told) -> Said:
        """Send it. *tool*: what the turn is to call. *told*: hints. Raises TurnError."""


class TokenDialogue:
    """Random token ids; every answer has the length that the trace has."""

    def __init__(self, client: Client, named: Named, tokens: TokenSource) -> None:
        self._client = client
        self._named = named
        self._tokens = tokens
        self._prompt: list[int] = []

    def prepare(self, turn: Turn) -> None:
        self._prompt = self._tokens.prompt(turn)

    async def ask(self, turn: Turn, tool: str | None, told: Told) -> Said:
        prompt, named = self._prompt, self._named
        answer = await self._client.turn(named.model, prompt, turn.output, named.session, named.salt, told)
        self._tokens.answered(prompt, answer.token_ids)
        return Said(len(prompt), turn.output, turn.shared, answer.cached_tokens, answer.first_token_at, answer.done_at)


class _Function(msgspec.Struct):
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(Event):
    choices: list[_Choice] = msgspec.field(default_factory=list)


class TextDialogue:
    """A chat over passages of English, with the session's tools; the model ends its answers itself.

    Where the trace calls a tool the model has to call it (a model of this size seldom would), and its result is the
    next passage. Prompts are about as long as the trace's, answers at most.
    """

    def __init__(self, client: Client, named: Named, session: SessionTrace, draw: random.Random) -> None:
        self._client = client
        self._named = named
        self._draw = draw
        called = (session.calls_after(index) for index in range(len(session.turns)))
        self._tools = [_tool(name) for name in sorted({_function(tool) for tool in called if tool is not None})]
        self._messages: list[dict[str, Any]] = []
        self._known = 0
        self._upcoming: dict[str, Any] = {}

    def prepare(self, turn: Turn) -> None:
        calls = self._messages[-1].get("tool_calls") if self._messages else None
        whose = {"role": "tool", "tool_call_id": calls[0]["id"]} if calls else {"role": "user"}
        self._upcoming = whose | {"content": _passage(self._draw, turn.prompt - turn.shared)}

    async def ask(self, turn: Turn, tool: str | None, told: Told) -> Said:
        self._messages.append(self._upcoming)
        body = self._body(turn, tool) | ({"vllm_xargs": dict(told)} if told else {})
        text, arguments, first_at, usage = "", "", 0.0, Usage()
        events = self._client.streamed("/v1/chat/completions", body, self._named.session, _Chunk)
        async with aclosing(events) as chunks:
            async for chunk in chunks:
                usage = chunk.usage or usage
                for delta in (choice.delta for choice in chunk.choices):
                    called = "".join(call.function.arguments or "" for call in delta.tool_calls or ())
                    if delta.content or delta.tool_calls:
                        first_at = first_at or time.perf_counter()
                    text, arguments = text + (delta.content or ""), arguments + called
        done_at = time.perf_counter()
        if not usage.completion_tokens:
            raise TurnError("the answer was cut off")
        self._messages.append(self._answered(tool, text, arguments))
        shared, self._known = min(self._known, usage.prompt_tokens), usage.prompt_tokens + usage.completion_tokens
        return Said(
            usage.prompt_tokens, usage.completion_tokens, shared, usage.cached_tokens, first_at or done_at, done_at
        )

    def _body(self, turn: Turn, tool: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._named.model,
            "messages": self._messages,
            "max_tokens": turn.output if tool is None else max(turn.output, CALL_TOKENS),
            "temperature": 0.0,
            "session_id": self._named.session,
            "cache_salt": self._named.salt,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._tools:
            chosen = {"type": "function", "function": {"name": _function(tool)}} if tool is not None else "none"
            body |= {"tools": self._tools, "tool_choice": chosen}
        return body

    def _answered(self, tool: str | None, text: str, arguments: str) -> dict[str, Any]:
        if tool is None:
            return {"role": "assistant", "content": text}
        try:
            msgspec.json.decode(arguments)
        except msgspec.MsgspecError:
            raise TurnError("the model's call isn't JSON") from None
        call = {"name": _function(tool), "arguments": arguments}
        return {
            "role": "assistant",
            "content": text,
            "tool_calls": [{"id": f"call-{len(self._messages)}", "type": "function", "function": call}],
        }


def _function(tool: str) -> str:
    """The name of a function, of which servers take a few characters only."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", tool)[:64]


def _tool(name: str) -> dict[str, Any]:
    kinds = {"type": "string", "enum": ["short", "long", "exact"]}
    parameters = {
        "type": "object",
        "properties": {"answer": kinds},
        "required": ["answer"],
        "additionalProperties": False,
    }
    function = {"name": name, "description": f"Ask {name} about the text.", "parameters": parameters}
    return {"type": "function", "function": function}


@cache
def _text() -> str:
    """700,000 characters of English that every Python brings along: the reference of the language."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def _passage(draw: random.Random, tokens: int) -> str:
    """About so many tokens of it, from anywhere."""
    text = _text()
    wanted = max(1, tokens) * CHARACTERS
    begins = draw.randrange(max(1, len(text) - wanted))
    return text[begins : begins + wanted]
