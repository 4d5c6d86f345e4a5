"""What `lamps bench` does where it compares: from the words of the command line to tables, files and an exit status."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from engine_adapter.control.client import DEFAULT_URL
from engine_adapter.workload.arriving import Bursty, Closed, Poisson, Recorded
from engine_adapter.workload.load import Load, plan
from engine_adapter.workload.trace import TraceError, load_trace
from lamps_cli.chosen_policy import STOCK, chosen_policy, params_of_each
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.measuring.asked import Asked, By, Point, System, load_of, points_of
from lamps_cli.measuring.carrying import Measured, measure
from lamps_cli.measuring.named import split
from lamps_cli.measuring.runs_file import RunsFile, Unreadable
from lamps_cli.measuring.saturation import NoSaturation
from lamps_cli.measuring.view import document, render, report, warnings
from lamps_cli.output import progress, talk, warn, write, write_json
from lamps_cli.writing import need_folder, save

DEFAULT_FILE = Path("lamps-bench.jsonl")
_SEEDS = 3
_BAR = 20  # characters


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of the command that matter here. *common*: hints, prompts, model, api_key, timeout_s."""

    trace: str
    urls: tuple[str, ...]
    policies: str | None
    rates: tuple[float, ...]
    load: Load
    seed: int
    common: Mapping[str, Any]
    out: Path | None
    page: Path | None
    as_json: bool
    params: tuple[str, ...]
    shares: tuple[float, ...] | None
    saturation: float | None
    concurrency: tuple[float, ...] | None
    seeds: int | None
    warm_up: int
    flags: tuple[str, ...]


def compare(choices: Choices) -> ExitCode:
    """Measure, keep and show. Failure where it can't begin."""
    if choices.page is not None:
        from lamps_cli.report.page import need_packages

        need_folder(choices.page)
        need_packages()
    asked = _asked(choices)
    try:
        file = RunsFile.read(choices.out or DEFAULT_FILE)
        if file.damaged:
            lines = ", ".join(map(str, file.damaged))
            warn(f"{file.path}: lines that aren't whole runs are left out: {lines}")
        talk(f"each run is kept in {file.path}")
        with ending_as_ctrl_c():
            measured = measure(asked, file, _show)
    except Unreadable as problem:
        raise Failure(str(problem)) from None
    except NoSaturation as problem:
        raise Failure(str(problem), "--saturation gives it, --rate needs none") from None
    except KeyboardInterrupt:
        raise Failure("interrupted before a run was done", code=ExitCode.INTERRUPTED) from None
    finally:
        _show("", 0.0)
    return _shown(choices, measured)


def _shown(choices: Choices, measured: Measured) -> ExitCode:
    if choices.page is not None and measured.whole:
        from lamps_cli.report.page import html

        save(choices.page, html(report(measured, sys.argv[1:])))
        talk(f"wrote {choices.page}")
    if choices.as_json:
        write_json(document(measured))
    else:
        write(render(measured))
    for sentence in warnings(measured):
        warn(sentence)
    if measured.interrupted:
        return ExitCode.INTERRUPTED
    if not measured.whole:
        return ExitCode.UNREACHABLE
    failed = any(not session.finished for result in measured.whole.values() for session in result.sessions)
    return ExitCode.FINDINGS if failed or len(measured.whole) < len(measured.wanted) else ExitCode.OK


# --- from words to what is asked


def _asked(choices: Choices) -> Asked:
    try:
        trace = load_trace(choices.trace)
    except TraceError as problem:
        raise Failure(str(problem)) from None
    systems = _systems(choices)
    points = _points(choices)
    first = choices.seed
    asked = Asked(
        systems=systems,
        trace=trace,
        load=choices.load,
        points=points,
        seeds=tuple(range(first, first + (choices.seeds or _SEEDS))),
        flags=choices.flags,
        warm_up=choices.warm_up,
        saturation=choices.saturation,
        **choices.common,
    )
    try:
        for point in points:
            plan(trace, load_of(asked, point, first, choices.saturation or 1.0))
    except TraceError as problem:
        raise Failure(str(problem)) from None
    return asked


def _systems(choices: Choices) -> tuple[System, ...]:
    """Those to be started, then those that run."""
    given = [name for name in (choices.policies or "").split(",") if name]
    words = params_of_each(choices.params, given) if given else {}
    if choices.params and not given:
        raise Failure("--param needs --policies: a running server's are set with `lamps params set`")
    if choices.flags and not given:
        raise Failure("flags are for servers that are started: say --policies which")
    started = tuple(_system(name, words[name]) for name in given)
    urls = choices.urls or (() if given else (DEFAULT_URL,))
    running = tuple(System(name, url=url) for name, url in map(split, urls))
    names = [system.name for system in (*started, *running)]
    if len(set(names)) < len(names):
        raise Failure(f"two systems have one name: {', '.join(names)}", "--url NAME=URL names a server")
    return (*started, *running)


def _system(name: str, params: Sequence[str]) -> System:
    if name == STOCK:
        if params:
            raise Failure(f"{name} has no params")
        return System(name, name)
    policy = chosen_policy(name, params, without="nothing was measured")
    return System(Path(name).stem if name.endswith(".lamps") else name, name, tuple(params), revision=policy.revision)


def _points(choices: Choices) -> tuple[Point, ...]:
    arriving = choices.load.arriving
    given: dict[By, tuple[float, ...] | None] = {"load": choices.shares, "clients": choices.concurrency}
    asked = [by for by, values in given.items() if values]
    if len(asked) > 1:
        raise Failure("either --load or --concurrency is wanted")
    fitting: tuple[type, ...] = (Poisson, Bursty, Closed) if asked == ["clients"] else (Poisson, Bursty)
    if asked and not isinstance(arriving, fitting):
        raise Failure("recorded and closed arrivals have their own rate: --load is not taken")
    values = [value for by in asked for value in given[by] or ()]
    if not all(map(math.isfinite, (*values, *choices.rates))):
        raise Failure("a rate or a load without bound can't be compared with others")
    if asked:
        return points_of(asked[0], values)
    match arriving:
        case Closed(clients=clients):
            return points_of("clients", [float(clients)])
        case Recorded():
            return points_of("recorded", [1.0])
        case _:
            return points_of("rate", choices.rates)


# --- while it runs


@contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """A terminal that is closed and a request to end are taken as Ctrl-C: servers are stopped, what is done is kept."""

    def as_ctrl_c(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # as nohup has it
    for number in taken:
        signal.signal(number, as_ctrl_c)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _show(text: str, share: float) -> None:
    """Progress; "" takes it away."""
    full = round(_BAR * share)
    progress(f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}  {text}" if text else "")
