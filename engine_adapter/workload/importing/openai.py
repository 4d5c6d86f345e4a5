"""Logs of OpenAI-style chat completions: one JSON object a line, a request with its response and its times.

There is no standard for them. Read are, each where it is found first:

- the request: `request` (the body of POST /v1/chat/completions), or the line itself (LiteLLM's StandardLoggingPayload);
- the response: `response`, or `response.body` as in the Batch API's output;
- lengths: `usage.prompt_tokens` and `usage.completion_tokens` of the response, or these two of the line;
- when it was sent: `start`, `start_time`, `startTime`, `request_time`, `timestamp`, else the response's `created`; when
  the answer was complete: `end`, `end_time`, `endTime`, `response_time`, or `duration` (seconds) after it was sent.
  Numbers are seconds or milliseconds since 1970, texts ISO 8601;
- the session: `session_id` or `conversation_id` of the line, of the request or of the `metadata` of either, or a
  `trace_id` met before; else the conversation itself: a request follows the one whose messages it repeats;
- the tenant: `user` of the request, `end_user` of the line.

Messages are compared, as digests that live only while the file is read; sessions, users and tools are numbered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine_adapter.workload.importing.reading import Findings, Growing, Imported, Source, instant, json_lines, tokens
from engine_adapter.workload.trace import Turn

_STARTS = ("start", "start_time", "startTime", "request_time", "timestamp")
_ENDS = ("end", "end_time", "endTime", "response_time")
_SESSIONS = ("session_id", "conversation_id")
_LOST = (
    "texts, and the names of sessions, users and tools: they are numbered",
    "how many tokens a prompt really shares with the turn before: all of that turn, answer included, where it repeats"
    " its messages (where they are logged) and offers the same tools, else nothing",
    "in lines without an end, when the answer was complete: the gap behind them holds the recorded server's own time",
    "several tools called at once: the gap carries the name of the first",
)

Line = dict[str, Any]


class _Request(msgspec.Struct):
    """One line, understood. Messages and tools as digests."""

    start_s: float
    end_s: float
    prompt: int
    output: int
    session: str | None
    trace: str | None
    """LiteLLM's: of the session, or of this request alone."""
    tenant: str | None
    states: list[bytes]
    """Of the conversation after each message."""
    roles: list[str]
    offered: bytes
    called: str | None
    """The tool that the answer called first."""


class _Open(msgspec.Struct):
    session: Growing
    last: _Request


def read(sources: Sequence[Source]) -> Imported:
    """Sessions by their id, else by the messages that a request repeats. Raises TraceError with all bad lines."""
    findings = Findings()
    requests: list[tuple[float, int, _Request]] = []
    for number, (place, line) in enumerate(json_lines(sources, dict[str, Any], findings)):
        reason = _failed(line)
        if reason is not None:
            findings.skipped[reason] += 1
            continue
        try:
            request = _understood(line)
        except ValueError as problem:
            findings.problems.append(f"{place}: {problem}")
        else:
            requests.append((request.start_s, number, request))
    found = _Sessions()
    for _, _, request in sorted(requests, key=lambda one: one[:2]):
        found.take(request)
    return findings.imported([session.finished() for session in found.sessions], _LOST)


class _Sessions:
    """The sessions found so far."""

    def __init__(self) -> None:
        self.sessions: list[Growing] = []
        self._by_id: dict[str, _Open] = {}
        self._by_state: dict[bytes, _Open] = {}
        """By the conversation of their latest request."""
        self._tenants: dict[str, str] = {}
        self._tools: dict[str, str] = {}

    def take(self, request: _Request) -> None:
        """The next request in time."""
        before = self._before(request)
        if before is None:
            tenant = request.tenant and self._tenants.setdefault(request.tenant, f"tenant-{len(self._tenants):04d}")
            first = Turn(request.prompt, 0, request.output)
            name = f"openai-{len(self.sessions):06d}"
            current = _Open(Growing(name, request.start_s, [first], request.end_s, tenant=tenant), request)
            self.sessions.append(current.session)
        else:
            current = before
            self._continue(current, request)
        for known_as in (request.session, request.trace):
            if known_as is not None:
                self._by_id[known_as] = current
        if request.states:
            self._by_state[request.states[-1]] = current

    def _before(self, request: _Request) -> _Open | None:
        if request.session is not None:
            return self._by_id.get(request.session)
        if request.trace in self._by_id:
            return self._by_id[request.trace]
        for place in range(len(request.states) - 1, 0, -1):
            found = self._by_state.get(request.states[place - 1])
            if (
                found is not None
                and request.roles[place] == "assistant"
                and found.last.states[-1:] == [request.states[place - 1]]
            ):
                return found
        return None

    def _continue(self, current: _Open, request: _Request) -> None:
        session, last = current.session, current.last
        repeats = not last.states or last.states[-1] in request.states
        shared = session.known if repeats and last.offered == request.offered else 0
        shared = shared if shared <= request.prompt else 0
        new = request.roles[len(last.roles) :]
        gap_s = max(0.0, request.start_s - session.ended_s)
        if "tool" in new or (not request.roles and last.called is not None):
            tool = last.called and self._tools.setdefault(last.called, f"tool-{len(self._tools):02d}")
            session.turns.append(Turn(request.prompt, shared, request.output, gap_s, "tool", tool))
        else:
            session.turns.append(Turn(request.prompt, shared, request.output, gap_s, "user"))
        session.ended_s = max(session.ended_s, request.end_s)
        current.last = request


def _failed(line: Line) -> str | None:
    """Why the line is no answered request, None when it is one."""
    response = line.get("response")
    if line.get("error") or line.get("status") == "failure":
        return "failed requests"
    if isinstance(response, dict):
        code = response.get("status_code")
        if response.get("error") or (isinstance(code, int) and code >= 400):
            return "failed requests"
    return None


def _understood(line: Line) -> _Request:
    """Raises ValueError with what is missing or wrong."""
    request = _object(line, "request") or line
    response = _object(line, "response")
    response = _object(response, "body") or response
    usage = _object(response, "usage") or _object(line, "usage") or line
    prompt = _length(usage, "prompt_tokens")
    if prompt == 0:
        raise ValueError("prompt_tokens is 0, must be at least 1")
    start_s, end_s = _times(line, response)
    states, roles = _states(request.get("messages") or [])
    session = _first((line, request, _object(line, "metadata"), _object(request, "metadata")), _SESSIONS)
    tenant = _first((request, line), ("user", "end_user"))
    return _Request(
        start_s=start_s,
        end_s=end_s,
        prompt=prompt,
        output=max(1, _length(usage, "completion_tokens")),
        session=None if session is None else str(session),
        trace=None if line.get("trace_id") is None else str(line["trace_id"]),
        tenant=None if tenant is None else str(tenant),
        states=states,
        roles=roles,
        offered=_digest(request.get("tools") or []),
        called=_called(response),
    )


def _times(line: Line, response: Line) -> tuple[float, float]:
    start = _first((line,), _STARTS)
    if start is None:
        start = response.get("created")
    if start is None:
        raise ValueError(f"it has no time: none of {', '.join(_STARTS)}, and no created in its response")
    start_s = _instant(start, "the start")
    end, duration = _first((line,), _ENDS), line.get("duration")
    if end is not None:
        end_s = _instant(end, "the end")
    elif isinstance(duration, int | float) and duration >= 0:
        end_s = start_s + duration
    else:
        end_s = start_s
    if end_s < start_s:
        raise ValueError("its end is before its start")
    return start_s, end_s


def _instant(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name} is {value!r}, must be a time")
    return instant(value, name)


def _length(usage: Line, name: str) -> int:
    value = usage.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"it has no usage.{name}")
    return tokens(value, name)


def _states(messages: Any) -> tuple[list[bytes], list[str]]:
    """A digest of the conversation up to each message, and who said it."""
    if not isinstance(messages, list):
        return [], []
    states, roles, before = [], [], b""
    for message in messages:
        said = message if isinstance(message, dict) else {"content": message}
        kept = {key: said.get(key) for key in ("role", "content", "tool_calls", "tool_call_id") if said.get(key)}
        before = hashlib.blake2b(before + _digest(kept), digest_size=16).digest()
        states.append(before)
        roles.append(str(said.get("role")))
    return states, roles


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=16).digest()


def _called(response: Line) -> str | None:
    try:
        return str(response["choices"][0]["message"]["tool_calls"][0]["function"]["name"])
    except (KeyError, IndexError, TypeError):
        return None


def _object(holder: Mapping[str, Any], name: str) -> Line:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _first(holders: Sequence[Line], names: Sequence[str]) -> Any:
    """The first of these fields that there is."""
    return next((holder[name] for holder in holders for name in names if holder.get(name) is not None), None)
