"""The lines around the screens: what is watched, by which policy; the tabs; what is wrong; that it is too small."""

from __future__ import annotations

import textwrap
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.geometry import Offset
from textual.widgets import Static

from tui.glyphs import clock, fit
from tui.jump import Target
from tui.panel import Panel
from tui.views.catalogue import VIEWS

if TYPE_CHECKING:
    from textual.events import Click

    from tui.app import Top


class Head(Panel):
    """The first line."""

    def lines(self, width: int, height: int) -> list[Text]:
        app, look = cast("Top", self.app), self.look
        right = self._right(app)
        line = look.text(("lamps top", "bold accent"), "  ")
        where = app.source.title
        if len(self.moment.engines) > 1:
            where = f"{self.moment.name} ({self.moment.engine + 1} of {len(self.moment.engines)})  {where}"
        room = width - line.cell_len - right.cell_len - 1
        policy = f"  {self.moment.frame.policy.name}" if self.moment.frame is not None else ""
        line.append_text(look.text(fit(where, room - len(policy), look.glyphs.ellipsis), (policy, "accent")))
        line.append(" " * max(width - line.cell_len - right.cell_len, 1))
        return [line.append_text(right)]

    def _right(self, app: Top) -> Text:
        look, playback = self.look, app.source.playback
        recording = ((f"{look.glyphs.on} rec  ", "bad"),) if app.writer is not None else ()
        if playback is None:
            state = ("paused", "warn") if app.frozen else ("live", "good")
            if not self.moment.engines:
                state = ("waiting", "dim")
            return look.text(*recording, (f"{look.glyphs.on} {state[0]}", state[1]))
        mark = look.glyphs.pause if playback.paused else look.glyphs.play
        at = f"{clock(playback.position_s)}/{clock(playback.length_s)}"
        speed = f" x{playback.speed:g}" if playback.speed != 1 else ""
        return look.text(*recording, (f"{mark} {at}{speed}", "warn" if playback.paused else "good"))


class Tabs(Panel):
    """The second line: the screens, by number."""

    def __init__(self) -> None:
        super().__init__()
        self._chosen = "overview"

    @property
    def chosen(self) -> str:
        return self._chosen

    @chosen.setter
    def chosen(self, name: str) -> None:
        self._chosen = name
        self.redraw()

    def lines(self, width: int, height: int) -> list[Text]:
        look = self.look
        line = Text(no_wrap=True, end="")
        for number, (name, title) in enumerate(self._titles(width), 1):
            key, words = (f"{number} ", "dim"), (title, "dim")
            if name == self._chosen:
                key, words = (f"{number} ", "bold accent"), (title, "bold underline accent")
            line.append_text(look.text(key, words, "  "))
        return [line]

    def _titles(self, width: int) -> list[tuple[str, str]]:
        whole = [(name, view.title) for name, view in VIEWS.items()]
        if sum(len(title) + 4 for _, title in whole) <= width:
            return whole
        return [(name, title if name == self._chosen else title[:3]) for name, title in whole]

    def targets(self) -> list[Target]:
        """The tabs, to be jumped to."""
        at, found = self.content_region.offset, []
        for name, title in self._titles(self.size.width):
            found.append(Target(at, partial(self.run_action, f"app.view('{name}')")))
            at += Offset(len(title) + 4, 0)
        return found

    async def on_click(self, event: Click) -> None:
        x = 0
        for name, title in self._titles(self.size.width):
            if x <= event.x - 1 < x + len(title) + 2:
                await self.run_action(f"app.view('{name}')")
                return
            x += len(title) + 4


class Banner(Panel):
    """What is wrong with the servers that are lost, in words; absent where none is."""

    def show(self, moment: object) -> None:
        super().show(moment)  # type: ignore[arg-type]
        said = self._wrapped(max(self.app.size.width - 2, 10))
        self.display = bool(said)
        self.styles.height = len(said)

    def _said(self) -> list[str]:
        said = [sentence for _, sentence in self.moment.trouble]
        if said and self.moment.hint:
            said[-1] += f": {self.moment.hint}"
        app = cast("Top", self.app)
        playback = app.source.playback
        if app.problem:
            said.append(app.problem)
        if playback is not None and playback.note and playback.note != "still reading":
            said.append(playback.note)
        return said

    def _wrapped(self, width: int) -> list[str]:
        """At most three lines."""
        return [line for said in self._said() for line in textwrap.wrap(f"! {said}", width, subsequent_indent="  ")][:3]

    def lines(self, width: int, height: int) -> list[Text]:
        return [Text(line, f"bold {self.look.palette.bad}", no_wrap=True) for line in self._wrapped(width)]


class TooSmall(Static):
    """Covers everything where there is no room."""

    def fit_into(self, width: int, height: int, least: tuple[int, int]) -> None:
        self.display = width < least[0] or height < least[1]
        self.update(f"too small\n{width}x{height}\nat least\n{least[0]}x{least[1]}")
