"""Fleet: all engines side by side, and the one that is unlike the others named."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import ClassVar, cast

from rich.text import Text

from engine_adapter.control.frames import Frame
from tui.glyphs import count, seconds, share
from tui.model import PLAIN, EngineView, Moment, paused_of, running_of
from tui.rows import Column, amount
from tui.views.base import TableView


def _used(frame: Frame) -> float:
    """The share of the KV memory that can't be had now: a cached prefix can."""
    memory = frame.memory
    return (memory.running + memory.pinned) / max(memory.total, 1)


# What engines are compared by: a value, how far it must be off the median to be odd (as a share of it, and at least).
_COMPARED: tuple[tuple[str, Callable[[Frame], float], float, float], ...] = (
    ("waiting", lambda f: float(f.waiting_total), 0.6, 5.0),
    ("running", lambda f: float(running_of(f)), 0.6, 5.0),
    ("first token p50", lambda f: f.latency.first_token.p50, 1.0, 0.1),
    ("first token p99", lambda f: f.latency.first_token.p99, 1.0, 0.5),
    ("memory in use", _used, 0.5, 0.25),
    ("preemptions", lambda f: float(f.counters.get("preemptions", 0)), 1.0, 20.0),
)


class Fleet(TableView):
    title: ClassVar[str] = "Fleet"
    nothing: ClassVar[str] = "no engine has answered yet"
    subject: ClassVar[str] = "Against the others"

    def columns(self, moment: Moment) -> Sequence[Column[EngineView]]:
        lost = {server for server, _ in moment.trouble}
        odd = {view.name: oddities(view, moment.engines) for view in moment.engines}

        def state(view: EngineView) -> str:
            if view.server in lost:
                return "lost"
            return f"odd: {odd[view.name][0]}" if odd.get(view.name) else view.frame.guard.state

        return [
            Column("engine", 0, lambda r: r.name, sort=lambda r: r.name),
            Column("policy", 14, _policy, sort=lambda r: r.frame.policy.name, spare=3),
            amount("running", 7, lambda r: running_of(r.frame), count),
            amount("waiting", 7, lambda r: r.frame.waiting_total, count),
            amount("paused", 7, lambda r: paused_of(r.frame), count),
            amount("KV used", 7, lambda r: _used(r.frame), share),
            amount("held", 6, lambda r: r.frame.pins.share, share, spare=1),
            amount("first p50", 9, lambda r: r.frame.latency.first_token.p50, seconds),
            amount("p99", 7, lambda r: r.frame.latency.first_token.p99, seconds, spare=2),
            Column("state", 22, state, colour=lambda r: "good" if state(r) == "ok" else "warn"),
        ]  # fmt: skip

    def rows(self, moment: Moment) -> Sequence[EngineView]:
        return moment.engines

    def key(self, row: EngineView) -> object:
        return row.name

    def words(self, row: EngineView) -> str:
        return f"{row.name} {row.frame.policy.name} {row.frame.guard.state}"

    def summary(self, moment: Moment) -> str:
        odd = [view.name for view in moment.engines if oddities(view, moment.engines)]
        engines = f"{len(moment.engines)} engine{'s' if len(moment.engines) != 1 else ''}"
        return f"{engines}, {', '.join(odd)} unlike the others" if odd else engines

    def opened(self, row: EngineView) -> bool:
        """Look at this engine on all screens."""
        from tui.app import Top

        app = cast(Top, self.app)
        app.choose_engine([view.name for view in self.moment.engines].index(row.name))
        app.notify(f"all screens now show {row.name}", timeout=2)
        return True

    def detail(self, row: EngineView, width: int) -> list[Text]:
        look = self.app.look  # type: ignore[attr-defined]
        lines = [look.prose((row.name, "bold accent"), f"  {row.frame.policy.title or row.frame.policy.name}")]
        lines.append(look.text((f"{'':<18}{'this':>10}{'median':>10}", "dim")))
        odd = oddities(row, self.moment.engines)
        for name, get, _, _ in _COMPARED:
            middle = statistics.median(get(view.frame) for view in self.moment.engines)
            write = seconds if "token" in name else share if "memory" in name else count
            colour = "warn" if name in odd else "text"
            lines.append(
                look.text(f"{name:<18}", (f"{write(get(row.frame)):>10}", f"bold {colour}"), f"{write(middle):>10}")
            )
        return lines

    def help(self) -> str:
        return "Every engine of every server; enter looks at one on all screens, e goes to the next."


def oddities(view: EngineView, engines: Sequence[EngineView]) -> list[str]:
    """In what *view* is far from the median of *engines*, of which there must be three at least: of two, who is odd?"""
    if len(engines) < 3:
        return []
    found = []
    for name, get, off, least in _COMPARED:
        middle = statistics.median(get(other.frame) for other in engines)
        if abs(get(view.frame) - middle) > max(off * middle, least):
            found.append(name)
    return found


def _policy(view: EngineView) -> str:
    return "none" if view.frame.policy.name == PLAIN else view.frame.policy.name
