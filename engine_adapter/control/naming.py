"""What people call a request: its id, the beginning of its id, or its session."""

from __future__ import annotations

_COMMON = ("chatcmpl-", "cmpl-", "resp_")


def short(request_id: str) -> str:
    """A request's id without what all have in common."""
    for prefix in _COMMON:
        request_id = request_id.removeprefix(prefix)
    return request_id


def means(name: str, request_id: str, session: str) -> bool:
    """Whether *name* may mean this request. The engine's ids are longer than those that clients see."""
    return bool(name) and (name == session or request_id.startswith(name) or short(request_id).startswith(name))
