"""The options that say which sessions of a trace arrive when, at what scale: one set for bench and simulate."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.errors import Failure

if TYPE_CHECKING:
    from engine_adapter.workload.arriving import Arriving
    from engine_adapter.workload.load import Load
    from engine_adapter.workload.result import Hints, Prompts

_OPTIONS = (
    click.option("--sessions", type=click.IntRange(1), help="How many sessions.  [default: each of the trace once]"),
    click.option("--replacement", is_flag=True, help="Draw sessions with replacement."),
    click.option(
        "--gap-scale", type=click.FloatRange(0), default=1.0, show_default=True, help="Times the tools' time."
    ),
    click.option("--max-gap", type=click.FloatRange(0), help="Cut gaps to this many seconds, after scaling."),
    click.option(
        "--length-scale",
        type=click.FloatRange(0, min_open=True),
        default=1.0,
        show_default=True,
        help="Times all lengths, to fit long traces to a small engine.",
    ),
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


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command; it gets their meaning as the argument *load*, whose rate and seed are its own."""

    @functools.wraps(command)
    def with_load(
        *args: Any,
        sessions: int | None,
        replacement: bool,
        gap_scale: float,
        max_gap: float | None,
        length_scale: float,
        arrivals: str,
        cv: float,
        time_scale: float,
        clients: int,
        think: float,
        **others: Any,
    ) -> None:
        from engine_adapter.workload.load import Load

        if math.isnan(gap_scale + length_scale + (max_gap or 0)):
            raise Failure("nan is not a number to scale with")
        arriving = _arriving(arrivals, cv, time_scale, clients, think)
        load = Load(1.0, sessions, 0, replacement, gap_scale, max_gap, length_scale, arriving)
        command(*args, load=load, **others)

    decorated: Callable[..., None] = with_load
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


def describe_scales(load: Load) -> list[str]:
    """What is changed of the trace's gaps and lengths, in a few words each."""
    said = [f"gaps x {load.gap_scale:g}"] if load.gap_scale != 1 else []
    said += [f"gaps <= {load.max_gap_s:g} s"] if load.max_gap_s is not None else []
    return said + ([f"lengths x {load.length_scale:g}"] if load.length_scale != 1 else [])


def describe_telling(hints: Hints, prompts: Prompts) -> list[str]:
    """What the server is told beside what it usually is, in a few words each."""
    said: dict[Hints, list[str]] = {"oracle": ["ORACLE hints"], "none": ["no hints"], "tool": []}
    return said[hints] + (["real text"] if prompts == "text" else [])
