"""A server's status as text: one block for each engine, tables only where there is something to show."""

from __future__ import annotations

import shutil
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine_adapter.control.frames import Frame, Paused, PredictorInfo, Running, Status, Waiting
from engine_adapter.control.naming import short

# Rows of one table; what is cut off is counted below it.
MAX_ROWS = 20
PLAIN_WIDTH = 120
_RUNNING = ("request", "session", "turn", "context", "generated")
_WAITING = ("place", "request", "session", "rank", "waited", "prompt", "")
_PAUSED = ("session", "on", "handling", "held", "for", "expected")
_NUMBERS = {"turn", "context", "generated", "place", "waited", "prompt", "held", "for", "expected"}


def show(status: Status, url: str, colour: bool) -> str:
    """*status* of the server at *url* for a terminal; without *colour* plain text, the same for every terminal."""
    width = shutil.get_terminal_size().columns if colour else PLAIN_WIDTH
    console = Console(file=StringIO(), force_terminal=colour, no_color=not colour, width=max(width, 60))
    for number, frame in enumerate(status.engines):
        if number:
            console.print()
        where = url if len(status.engines) == 1 else f"{url}, engine {number}"
        _show_engine(console, frame, where)
    output = console.file
    assert isinstance(output, StringIO)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def _show_engine(console: Console, frame: Frame, where: str) -> None:
    policy = frame.policy
    console.print(Text.assemble((policy.name, "bold cyan"), f"  revision {policy.revision}  on {where}"))
    if policy.title:
        console.print(Text(policy.title, "dim"))
    if policy.params:
        console.print(Text("params  " + "  ".join(f"{name} {value:g}" for name, value in policy.params.items())))
    _show_guard(console, frame)
    _show_predictor(console, frame.predictor)
    console.print(_summary(frame))
    _show_table(console, "running", _RUNNING, _running(frame.running))
    _show_table(console, "waiting", _WAITING, _waiting(frame.waiting), frame.waiting_total)
    _show_table(console, "paused", _PAUSED, _paused(frame.paused))
    counters = {name: count for name, count in frame.counters.items() if count}
    if counters:
        console.print(Text("\n" + "  ".join(f"{name} {count:,}" for name, count in counters.items()), "dim"))


def _show_guard(console: Console, frame: Frame) -> None:
    guard, shadow = frame.guard, frame.shadow
    if guard.state in ("off", "ejected"):
        set_aside = f": {guard.chosen}, revision {guard.revision}, is set aside" if guard.chosen else ""
        console.print(Text(f"{guard.state}{set_aside}: {guard.reason}", "bold red"))
    elif guard.reason:
        console.print(Text(guard.reason, "yellow"))
    if guard.on_trial:
        console.print(Text("on trial: should it fail repeatedly, the policy before comes back"))
    if frame.pending:
        console.print(Text(f"pending: {frame.pending} is being compiled"))
    if shadow is not None:
        differing = f"differs in {shadow.differing:,} of {shadow.compared:,} samples"
        console.print(Text(f"shadow  {shadow.name}, revision {shadow.revision}: {differing}"))


def _show_predictor(console: Console, predictor: PredictorInfo) -> None:
    """What foretells lengths, unless it is what always does."""
    if predictor.reason:
        console.print(Text(f"predictor  online: {predictor.reason}", "yellow"))
    if predictor.name == "online":
        return
    text = f"predictor  {predictor.name}, revision {predictor.revision}, trained on {predictor.source}"
    if predictor.error is not None:
        text += f": {predictor.error:.2f} of the error of the online statistics"
    console.print(
        Text(text + ("" if predictor.believed else ", so these are used"), "" if predictor.believed else "yellow")
    )


def _summary(frame: Frame) -> Text:
    free, total = (frame.engine.get(f"engine.kv_{name}") for name in ("free", "total"))
    parts = [
        f"{len(frame.running)} running",
        f"{frame.waiting_total} waiting",
        f"{len(frame.paused)} paused",
        f"{frame.pins.tokens:,} tokens pinned ({frame.pins.share:.0%})",
    ]
    if isinstance(free, float) and isinstance(total, float):
        parts.append(f"{free:,.0f} of {total:,.0f} tokens free")
    if frame.swap.possible:
        parts.append(f"{frame.memory.host:,} of {frame.swap.total:,} tokens of host memory used")
    elif frame.swap.reason:
        parts.append(f"can't swap: {frame.swap.reason}")
    return Text(", ".join(parts))


def _running(rows: tuple[Running, ...]) -> list[tuple[str, ...]]:
    return [
        (short(row.id)[:16], row.session, str(row.turn), f"{row.context_tokens:,}", f"{row.generated_tokens:,}")
        for row in rows
    ]


def _waiting(rows: tuple[Waiting, ...]) -> list[tuple[str, ...]]:
    return [
        (
            str(row.place),
            short(row.id)[:16],
            row.session,
            ", ".join("-" if key is None else f"{key:.4g}" for key in row.rank),
            _seconds(row.waited_s),
            f"{row.prompt_tokens:,}",
            "promoted" if row.promoted else "",
        )
        for row in rows
    ]


def _paused(rows: tuple[Paused, ...]) -> list[tuple[str, ...]]:
    """Held memory first: that is what costs somebody something."""
    ordered = sorted(rows, key=lambda row: (-row.tokens, row.age_s))
    return [
        (row.session, row.tool, row.handling, f"{row.tokens:,}", _seconds(row.age_s), _seconds(row.expected_s))
        for row in ordered
    ]


def _show_table(
    console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], total: int | None = None
) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="ellipsis", no_wrap=True)
    for row in rows[:MAX_ROWS]:
        table.add_row(*(Text(cell) for cell in row))
    console.print(Text(f"\n{title}", "bold"))
    console.print(table)
    if (hidden := (total or len(rows)) - min(len(rows), MAX_ROWS)) > 0:
        console.print(Text(f"and {hidden:,} more", "dim"))


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:.0f} h"
