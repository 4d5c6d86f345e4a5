"""What the engine can't see, put into a request before vLLM turns it into tokens.

The engine gets token ids and sampling parameters: no headers, no tools, no `tool_choice`. `vllm_xargs` reaches it as
`sampling_params.extra_args`, so that is where marks go. The client's hints stay as they are; the engine checks them.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Mapping
from typing import Any

SESSION_HEADER = "X-Session-ID"
TENANT_HEADER = "X-Lamps-Tenant"
_OURS = ("lamps_turn", "lamps_may_call")
ENGINE_HEADER = "X-data-parallel-rank"  # vLLM's own


def mark(request: Any, headers: Mapping[str, str], offers_call: bool) -> str:
    """Write session, tenant and, where a call may end the turn, the turn's id into *request*; that id, or "".

    A client's own `lamps_turn` and `lamps_may_call` don't reach the engine: they are words between our two processes.
    A body's session id wins over the header, and both over a hint, as in vLLM. Where there is nothing to say the
    request stays as it is.
    """
    turn = uuid.uuid4().hex if offers_call else ""
    given: Mapping[str, Any] = getattr(request, "vllm_xargs", None) or {}
    marks: dict[str, Any] = {key: value for key, value in given.items() if key not in _OURS}
    if turn:
        marks |= {"lamps_turn": turn, "lamps_may_call": 1}
    if session := getattr(request, "session_id", None) or headers.get(SESSION_HEADER):
        marks["session_id"] = session
    if (tenant := headers.get(TENANT_HEADER)) and "lamps_tenant" not in given:
        marks["lamps_tenant"] = tenant
    if marks or given:
        request.vllm_xargs = marks or None
    return turn


def steer(request: Any, raw_request: Any, engines: int) -> None:
    """Send a marked *request* to the one of *engines* data-parallel engines that is its session's, by name.

    vLLM's balancer ignores sessions, and KV kept in one engine is worth nothing to another. The client's or router's
    own choice of an engine stands; a request without a session goes where the balancer wants it.
    """
    session = (request.vllm_xargs or {}).get("session_id")
    if engines < 2 or not isinstance(session, str) or ENGINE_HEADER in raw_request.headers:
        return
    rank = zlib.crc32(session.encode()) % engines
    # `headers` is a view of this list, and vLLM's handlers read the rank from it.
    raw_request.scope["headers"].append((ENGINE_HEADER.lower().encode(), str(rank).encode()))


def offers_call(request: Any) -> bool:
    """Whether the turn may end in a tool call: tools are offered and the client doesn't forbid their use."""
    return bool(getattr(request, "tools", None)) and getattr(request, "tool_choice", None) != "none"
