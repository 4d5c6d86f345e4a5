"""WEKA's traces of coding agents (GitHub callanjfox/kv-cache-tester, traces/, Apache-2.0; docs/trace_replay_tester.md).

One JSON object a session, in a file of its own or a line: `block_size`, and `requests` with `t` (seconds), `type`
(`s` streamed, `n` not, `subagent`), `model`, `in`, `out`, `hash_ids` (a number for each block of the prompt and all
before it), `input_types`, `stop`, and in newer traces `api_time` and `think_time` (seconds). A `subagent` holds
requests of its own; their `t` counts from it, or in the sets published by SemiAnalysis from the session's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from engine_adapter.workload.importing.reading import (
    Findings,
    Growing,
    Imported,
    Source,
    common_prefix,
    json_lines,
    seconds,
    tokens,
)
from engine_adapter.workload.trace import Turn

_LOST = (
    "when sessions arrived: each was recorded by itself, and all start at 0",
    "sharing by less than a block, of answers, and between sessions: they count as new",
    "which tool was called, and that a session waits for its sub-agents",
    "in requests without api_time, when the answer was complete: their gaps hold the recorded server's own time",
)


class _Request(msgspec.Struct, rename={"prompt": "in", "output": "out"}):
    t: float
    type: str
    prompt: int = 0
    output: int = 0
    model: str = ""
    hash_ids: list[int] = []
    input_types: list[str] = []
    stop: str | None = None
    api_time: float | None = None
    think_time: float | None = None
    requests: list[_Request] = []


class _Recorded(msgspec.Struct):
    requests: list[_Request]
    block_size: int = 64


class _Chain(msgspec.Struct):
    """Requests that follow each other."""

    session: Growing
    last: _Request


def read(sources: Sequence[Source]) -> Imported:
    """Sessions by prefix within each object, sub-agents with their parent. Raises TraceError for what isn't of it.

    A request follows the one of the same model, already answered, with which it shares the most blocks; one that shares
    none, or overlaps all that it could follow, begins a session of its own, with the object's first as its parent.
    """
    findings = Findings()
    sessions: list[Growing] = []
    for number, (place, recorded) in enumerate(_objects(sources, findings)):
        problems = [problem for request in recorded.requests for problem in _problems(request)]
        if recorded.block_size < 1:
            problems.append(f"block_size is {recorded.block_size}, must be at least 1")
        findings.problems += [f"{place}: {problem}" for problem in problems]
        if not problems:
            sessions += _sessions(recorded, f"weka-{number:04d}", findings)
    return findings.imported([session.finished() for session in sessions], _LOST)


def _objects(sources: Sequence[Source], findings: Findings) -> Iterator[tuple[str, _Recorded]]:
    decoder = msgspec.json.Decoder(_Recorded)
    for source in sources:
        try:
            whole = decoder.decode(source.data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if len(source.data.splitlines()) > 1:
                yield from json_lines([source], _Recorded, findings)
            else:
                findings.problems.append(f"{source.name}: {error}")
        else:
            yield source.name, whole


def _problems(request: _Request) -> Iterator[str]:
    at = f"request at t {request.t:g}"
    try:
        seconds(request.t, "t")
        seconds(request.api_time or 0.0, "api_time")
        seconds(request.think_time or 0.0, "think_time")
        tokens(request.output, "out")
        if tokens(request.prompt, "in") == 0 and request.type in ("s", "n"):
            raise ValueError("in is 0, must be at least 1")
    except ValueError as problem:
        yield f"{at}: {problem}"
    if request.type not in ("s", "n", "subagent"):
        yield f"{at}: type is {request.type!r}, must be s, n or subagent"
    for inner in request.requests:
        yield from _problems(inner)


def _sessions(recorded: _Recorded, name: str, findings: Findings) -> list[Growing]:
    """The main session of one object, then its side calls and sub-agents."""
    markers = [request for request in recorded.requests if request.type == "subagent"]
    from_start = all(inner.t >= marker.t for marker in markers for inner in marker.requests)
    sessions: list[Growing] = []
    for requests, base_s in _agents(recorded.requests, 0.0, from_start):
        sessions += _chained(requests, base_s, recorded.block_size, findings)
    for number, session in enumerate(sessions):
        session.name = f"{name}/{number}" if number else name
        if number:
            session.parent = name
            session.start_s = max(0.0, (session.start_s or 0.0) - (sessions[0].start_s or 0.0))
    if sessions:
        sessions[0].start_s = 0.0
    return sessions


def _agents(
    requests: Sequence[_Request], base_s: float, from_start: bool
) -> Iterator[tuple[Sequence[_Request], float]]:
    """The requests of an agent and of those it started, each with the time that its own count from."""
    yield requests, base_s
    for marker in requests:
        if marker.type == "subagent":
            yield from _agents(marker.requests, base_s if from_start else base_s + marker.t, from_start)


def _chained(requests: Sequence[_Request], base_s: float, block: int, findings: Findings) -> list[Growing]:
    """Requests of one agent, split where one doesn't follow another."""
    chains: list[_Chain] = []
    for request in sorted(_merged(requests, findings), key=lambda one: one.t):
        at_s = base_s + request.t
        answered = [
            chain
            for chain in chains
            if chain.last.model == request.model
            and chain.session.ended_s <= at_s
            and common_prefix(chain.last.hash_ids, request.hash_ids)
        ]
        output = max(1, request.output)
        ended_s = at_s + (request.api_time or 0.0)
        if not answered:
            first = Turn(request.prompt, 0, output)
            chains.append(_Chain(Growing("", at_s, [first], ended_s), request))
            continue
        chain = max(answered, key=lambda one: common_prefix(one.last.hash_ids, request.hash_ids))
        same = common_prefix(chain.last.hash_ids, request.hash_ids) * block
        shared = min(same, request.prompt, chain.last.prompt)
        gap_s = at_s - chain.session.ended_s if request.think_time is None else request.think_time
        after: Literal["tool", "user"] = "tool" if "tool_result" in request.input_types else "user"
        chain.session.turns.append(Turn(request.prompt, shared, output, gap_s, after))
        chain.session.ended_s, chain.last = ended_s, request
    return [chain.session for chain in chains]


def _merged(requests: Sequence[_Request], findings: Findings) -> list[_Request]:
    """Without sub-agents, and each pair of a streamed request and the same one not streamed as the second alone.

    The older traces have such pairs: two records of one turn, of which the second has the whole answer.
    """
    merged: list[_Request] = []
    for request in requests:
        if request.type == "subagent":
            continue
        before = merged[-1] if merged else None
        if (
            before is not None
            and (before.type, request.type) == ("s", "n")
            and (before.prompt, before.hash_ids, before.model) == (request.prompt, request.hash_ids, request.model)
        ):
            findings.skipped["second records of a request"] += 1
            merged[-1] = msgspec.structs.replace(
                request,
                t=before.t,
                api_time=max(0.0, request.t - before.t) + (request.api_time or 0.0),
                think_time=before.think_time,
                input_types=before.input_types or request.input_types,
            )
        else:
            merged.append(request)
    return merged
