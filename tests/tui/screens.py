"""Runs the monitor without a terminal and reads its screen as text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from tui.app import Explain, Options, Top
from tui.sources import Source


@asynccontextmanager
async def running(
    source: Source,
    size: tuple[int, int] = (80, 24),
    options: Options | None = None,
    explain: Explain | None = None,
    commands: Any = None,
    toasts: bool = True,
) -> AsyncIterator[Pilot[Any]]:
    """The monitor of *source*, its first deliveries on the screen."""
    app = Top(source, options, explain, commands)
    async with app.run_test(size=size, notifications=toasts) as pilot:
        await settle(pilot)
        yield pilot


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the screen stays as it is: the footer is made anew after the focus has moved."""
    shown, before = text(pilot), ""
    while shown != before:
        await pilot.pause(0.05)
        shown, before = text(pilot), shown


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press *keys*, and let what follows from them happen."""
    await pilot.press(*keys)
    await settle(pilot)


def text(pilot: Pilot[Any]) -> str:
    """What the screen shows, without colours, right-hand blanks taken off."""
    app = pilot.app
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    shown = ["".join(segment.text for segment in line)[:width].rstrip() for line in lines[:height]]
    return "\n".join(shown).rstrip("\n") + "\n"


def line(pilot: Pilot[Any], words: str) -> str:
    """The first line of the screen with *words* in it, blanks made one."""
    for shown in text(pilot).splitlines():
        if words in shown:
            return " ".join(shown.split())
    raise AssertionError(f"{words!r} is not on the screen:\n{text(pilot)}")
