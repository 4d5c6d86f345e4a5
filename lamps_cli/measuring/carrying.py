"""Carries out a comparison on real servers: run after run, each kept as soon as it is done."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from engine_adapter.workload.client import ServerError
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.result import BenchResult, SessionResult
from lamps_cli.measuring.asked import Asked, Planned, Point, System, document, load_of, planned, warming
from lamps_cli.measuring.machine import Disturbance, Meter, disturbance, look
from lamps_cli.measuring.runs_file import Document, Line, RunsFile, Saturation, made_by
from lamps_cli.measuring.saturation import SEARCH, NoSaturation, saturation
from lamps_cli.measuring.servers import DidNotStart, serve_words, serving
from lamps_cli.measuring.told import decisions, identity

Progress = Callable[[str, float], None]
"""What is going on, and the share of the whole that is done."""


class Lost(Exception):
    """A run has no result. The message says why."""


@dataclass(slots=True)
class Measured:
    """A comparison with its runs, those of the file and the new ones.

    *saturation* in sessions/s, None where no load is a share of it; *others_then*: cores that others took while it was
    measured, if that is known. *others*: runs of what was asked for that something else made; they are not in *runs*.
    """

    asked: Asked
    saturation: float | None = None
    others_then: float | None = None
    runs: dict[Planned, Line] = field(default_factory=dict)
    others: list[Line] = field(default_factory=list)
    interrupted: bool = False

    @property
    def wanted(self) -> list[Planned]:
        return list(planned(self.asked))

    @property
    def whole(self) -> dict[Planned, BenchResult]:
        """The results that figures are made of, in the order in which they were wanted."""
        found = ((run, self.runs.get(run)) for run in self.wanted)
        return {run: line.result for run, line in found if line is not None and line.whole and line.result is not None}


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answers. *group*: its processes, None for one that was started by others."""

    url: str
    group: int | None

    @property
    def groups(self) -> tuple[int, ...]:
        return () if self.group is None else (self.group,)

    @property
    def elsewhere(self) -> bool:
        """Whether its processes aren't known."""
        return self.group is None


def measure(asked: Asked, file: RunsFile, progress: Progress) -> Measured:
    """Carry out what isn't in *file* yet. Ctrl-C ends it with what there is.

    Raises NoSaturation, Unreadable where a line can't be written, KeyboardInterrupt before there is a saturation.
    """
    measured = Measured(asked)
    with tempfile.TemporaryDirectory(prefix="lamps-bench-") as folder:
        logs = Path(folder)
        if any(point.by == "load" for point in asked.points):
            found = Saturation(asked.saturation) if asked.saturation else _saturation(asked, file, logs, progress)
            measured.saturation, measured.others_then = found.rate, found.others
        makers = {system: made_by(system, identity(system, asked.api_key)) for system in asked.systems}
        try:
            for number, run in enumerate(measured.wanted):
                load = load_of(asked, run.point, run.seed, measured.saturation)
                what, maker = document(asked, run.system, run.point, load), makers[run.system]
                measured.others += file.others(what, maker)
                line = file.run(what, maker)
                if line is None:
                    line = _carried_out(asked, run, load, logs, _step(progress, number, measured), what, maker)
                    file.add(line)
                measured.runs[run] = line
                if line.result is not None and line.result.ended == "interrupted":
                    measured.interrupted = True
                    break
        except KeyboardInterrupt:
            measured.interrupted = True
    return measured


def _step(progress: Progress, number: int, measured: Measured) -> Callable[[str, float], None]:
    """Progress of one run as progress of the whole."""
    count = len(measured.wanted)
    return lambda text, share: progress(f"run {number + 1} of {count}, {text}", (number + share) / count)


def _carried_out(
    asked: Asked, run: Planned, load: Load, logs: Path, tell: Progress, what: Document, maker: Document
) -> Line:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    line = Line(what, maker, began, tuple(sys.argv[1:]))
    name = f"{run.system.name} at {run.point.by} {run.point.at:g}, seed {run.seed}"
    try:
        with reached(asked, run.system, logs, lambda: tell(f"{name}: starting", 0.0)) as server:
            result, disturbed = _replayed(asked, run.system, load, server, lambda text, share: tell(name + text, share))
            return replace(line, result=result, disturbance=disturbed)
    except (Lost, ServerError, DidNotStart) as problem:
        return replace(line, lost=str(problem))


def _replayed(
    asked: Asked, system: System, load: Load, server: Reached, tell: Progress
) -> tuple[BenchResult, Disturbance]:
    """Warm up, look at the machine, measure, look again."""
    config = _config(asked, system, load, server)
    if asked.warm_up:
        tell(": warming up", 0.0)
        warmed = run_bench(replace(config, load=warming(load, asked.warm_up)))
        if warmed.ended == "interrupted":
            raise KeyboardInterrupt
        if warmed.ended != "finished":
            raise Lost("the server stopped answering while it was warmed up")
    before = look(server.groups, server.elsewhere)
    counted = decisions(server.url, asked.api_key)
    meter = Meter(server.groups, server.elsewhere)

    def shown(sessions: tuple[SessionResult, ...], now_s: float) -> None:
        ended = sum(session.finished or bool(session.error) for session in sessions)
        tell(f": {ended} of {len(sessions)} sessions, {now_s:.0f} s", ended / len(sessions))

    result = run_bench(config, shown)
    during = meter.others()
    after = look(server.groups, server.elsewhere) if result.ended == "finished" else replace(before, others=None)
    if result.counters is not None and result.ended == "finished":
        own = {name: value - counted.get(name, 0.0) for name, value in decisions(server.url, asked.api_key).items()}
        result = replace(result, counters=result.counters | own)
    return result, disturbance(before, during, after)


def _config(asked: Asked, system: System, load: Load, server: Reached) -> BenchConfig:
    """A run on *server*. One that was started here has a model of one name, whatever was asked for."""
    return BenchConfig(
        server.url,
        asked.trace,
        load,
        asked.hints,
        asked.model if system.url else None,
        asked.api_key,
        asked.timeout_s,
        prompts=asked.prompts,
    )


@contextmanager
def reached(asked: Asked, system: System, logs: Path, starting: Callable[[], None]) -> Iterator[Reached]:
    """A server of *system*: started for the block, or its own. Raises DidNotStart."""
    if system.url:
        yield Reached(system.url, None)
        return
    starting()
    words = serve_words(system.policy, system.params, asked.model, (*asked.flags, *system.flags))
    with serving(words, logs / "server.log", asked.start_s) as server:
        yield Reached(server.url, server.group)


def _saturation(asked: Asked, file: RunsFile, logs: Path, progress: Progress) -> Saturation:
    """Of the first system that is stock, else of the first: measured once for a file. Raises NoSaturation."""
    system = next((system for system in asked.systems if system.policy == "stock"), asked.systems[0])
    what = document(asked, system, Point("load", 1.0), replace(asked.load, sessions=None, seed=0)) | {"search": SEARCH}
    maker = made_by(system, identity(system, asked.api_key))
    known = file.saturation(what, maker)
    if known is not None:
        return known
    try:
        with reached(asked, system, logs, lambda: progress(f"saturation: starting {system.name}", 0.0)) as server:
            config = _config(asked, system, asked.load, server)
            meter = Meter(server.groups, server.elsewhere)
            rate = saturation(config, lambda text: progress(f"saturation: {text}", 0.0))
            found = Saturation(rate, meter.others())
    except (ServerError, DidNotStart) as problem:
        raise NoSaturation(str(problem)) from None
    file.add_saturation(what, maker, found)
    return found
