"""What can be limited: in which unit, and of what a percentage is a share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy_dsl.units import NUMBER, TOKEN, Dim


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """*total* is the engine signal that 100% means. A bound that is no share is in *unit*."""

    name: str
    unit: Dim
    total: str
    doc: str


LIMITS: dict[str, LimitInfo] = {
    info.name: info
    for info in (
        LimitInfo("pinned", TOKEN, "engine.kv_total", "KV tokens held for paused sessions"),
        LimitInfo("swapping", TOKEN, "engine.hidden_swap", "KV tokens moved to or from host memory in one step"),
        LimitInfo("host", TOKEN, "engine.host_total", "KV tokens of paused sessions in host memory"),
        LimitInfo("running", NUMBER, "engine.seats", "requests running"),
    )
}
PER_CLASS = ("running", "pinned")


def limit_of(name: str) -> LimitInfo:
    """The entry of `pinned`, or of `batch.pinned`, which counts the sessions of one class."""
    return LIMITS[name.rpartition(".")[2]]


def of_waiting(name: str) -> bool:
    """Whether the `by` of a limit is about waiting requests, as `rank` is; else it is about paused sessions."""
    return limit_of(name).name == "running"


def names(classes: Iterable[str]) -> list[str]:
    """All that can be limited where these classes are declared."""
    return [*LIMITS, *(f"{c}.{what}" for c in classes for what in PER_CLASS)]
