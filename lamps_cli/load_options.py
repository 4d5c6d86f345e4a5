"""The options that say when sessions arrive, the same for every command that replays a trace."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from engine_adapter.workload.arriving import Arriving

_OPTIONS = (
    click.option(
        "--arrivals",
        type=click.Choice(["poisson", "bursty", "recorded", "closed"]),
        default="poisson",
        show_default=True,
        help="At random; in bursts; at the trace's own times; so many clients, each with one session at a time.",
    ),
    click.option(
        "--cv",
        type=click.FloatRange(0, 20),
        default=3.0,
        show_default=True,
        help="Bursty: coefficient of variation of the gamma-distributed gaps; 1 is Poisson.",
    ),
    click.option(
        "--time-scale",
        type=click.FloatRange(0, 1e6),
        default=1.0,
        show_default=True,
        help="Recorded: times the arrivals' times; 0.5 is twice the load.",
    ),
    click.option("--clients", type=click.IntRange(1), default=16, show_default=True, help="Closed: how many."),
    click.option(
        "--think",
        type=click.FloatRange(0, 1e6),
        default=0.0,
        show_default=True,
        help="Closed: mean seconds from a session's end to the client's next (exponential).",
    ),
)


def arrival_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command; it gets their meaning as the argument *arriving*."""

    @functools.wraps(command)
    def with_arrivals(
        *args: Any, arrivals: str, cv: float, time_scale: float, clients: int, think: float, **others: Any
    ) -> None:
        command(*args, arriving=_arriving(arrivals, cv, time_scale, clients, think), **others)

    decorated: Callable[..., None] = with_arrivals
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _arriving(arrivals: str, cv: float, time_scale: float, clients: int, think_s: float) -> Arriving:
    from engine_adapter.workload.arriving import Bursty, Closed, Poisson, Recorded

    match arrivals:
        case "bursty":
            return Bursty(cv)
        case "recorded":
            return Recorded(time_scale)
        case "closed":
            return Closed(clients, think_s)
        case _:
            return Poisson()


def describe_arrivals(arriving: Arriving, rate: float) -> str:
    """When sessions arrive, in a few words."""
    from engine_adapter.workload.arriving import Bursty, Closed, Poisson, Recorded

    match arriving:
        case Poisson():
            return f"at {rate:g}/s"
        case Bursty(cv=cv):
            return f"at {rate:g}/s in bursts (cv {cv:g})"
        case Recorded(time_scale=scale):
            return "as recorded" + (f", times x {scale:g}" if scale != 1 else "")
        case Closed(clients=clients, think_s=think_s):
            return f"of {clients} clients" + (f", {think_s:g} s between sessions" if think_s else "")
