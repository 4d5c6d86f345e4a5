"""Mooncake's request traces (GitHub kvcache-ai/Mooncake, FAST25-release/traces, Apache-2.0).

JSON lines: `timestamp` (milliseconds), `input_length`, `output_length`, and `hash_ids`, one number for every block of
512 tokens of the prompt that stands for the block and all before it: equal numbers are equal prefixes. Variants with a
`session_id` (aiperf's) are read too.
"""

from __future__ import annotations

from collections.abc import Sequence

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

BLOCK = 512

_LOST = (
    "when answers were complete: a gap is the time from request to request and holds the recorded server's own time",
    "what the gaps were (tools or people): taken to be people",
    "sharing by less than a block, and of answers: they count as new",
)


class _Request(msgspec.Struct):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int] = []
    session_id: str | int | None = None


def read(sources: Sequence[Source]) -> Imported:
    """Sessions by session_id, else by prefix. Raises TraceError with all bad lines.

    By prefix: the last block of a request that the trace has had belongs to the session that had it first, and the
    request follows that session if it repeats its latest prompt up to the last full block. So requests with a common
    system prompt or document aren't taken for one session; but one whose prompt is no more than a block longer than
    what it shares is not recognised again.
    """
    findings = Findings()
    requests: list[tuple[float, int, _Request]] = []
    for number, (place, request) in enumerate(json_lines(sources, _Request, findings)):
        try:
            at_s = seconds(request.timestamp / 1000, "timestamp / 1000")
            if tokens(request.input_length, "input_length") == 0:
                raise ValueError("input_length is 0, must be at least 1")
            tokens(request.output_length, "output_length")
        except ValueError as problem:
            findings.problems.append(f"{place}: {problem}")
            continue
        requests.append((at_s, number, request))
    found = _Sessions()
    for at_s, _, request in sorted(requests, key=lambda one: one[:2]):
        found.take(at_s, request)
    lost = [*_LOST, f"sharing between sessions: {found.shared_between:,} prompt tokens repeat another session's"]
    return findings.imported([session.finished() for session in found.sessions], lost)


class _Sessions:
    """The sessions found so far, and whose each block is."""

    def __init__(self) -> None:
        self.sessions: list[Growing] = []
        self.shared_between = 0
        self._blocks: list[list[int]] = []
        """Of each session, the blocks of its latest prompt."""
        self._owner: dict[int, int] = {}
        """Of each block, the session that had it first."""
        self._by_id: dict[str | int, int] = {}

    def take(self, at_s: float, request: _Request) -> None:
        """The next request in time."""
        blocks, prompt, output = request.hash_ids, request.input_length, max(1, request.output_length)
        index = self._continued(request)
        new = next((place for place, block in enumerate(blocks) if block not in self._owner), len(blocks))
        repeated = min(new * BLOCK, prompt)
        if index is None:
            index = len(self.sessions)
            first = Turn(prompt, 0, output)
            self.sessions.append(Growing(f"mooncake-{index:06d}", at_s, [first], at_s))
            self._blocks.append(blocks)
            self.shared_between += repeated
            if request.session_id is not None:
                self._by_id[request.session_id] = index
        else:
            session = self.sessions[index]
            same = common_prefix(blocks, self._blocks[index])
            shared = min(same * BLOCK, prompt, session.turns[-1].prompt)
            session.turns.append(Turn(prompt, shared, output, at_s - session.ended_s, "user"))
            session.ended_s = at_s
            self._blocks[index] = blocks
            self.shared_between += max(0, repeated - shared)
        for block in blocks:
            self._owner.setdefault(block, index)

    def _continued(self, request: _Request) -> int | None:
        if request.session_id is not None:
            return self._by_id.get(request.session_id)
        for block in reversed(request.hash_ids):
            index = self._owner.get(block)
            if index is not None:
                full = self.sessions[index].turns[-1].prompt // BLOCK
                last = self._blocks[index][full - 1 : full]
                return index if last and request.hash_ids[full - 1 : full] == last else None
        return None
