"""A widget that draws lines of text, made anew when there is something new to show and never before."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from tui.look import Look
from tui.model import Moment

if TYPE_CHECKING:
    from textual.events import Resize

    from tui.app import Top


# What wraps a text wants one; it writes nowhere.
_CONSOLE = Console(file=StringIO())


class Panel(Widget):
    """Subclasses say what their *lines* are. *moment*: what is shown."""

    def __init__(self, title: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = title or None
        self.moment = Moment()
        self._lines: list[Strip] | None = None

    @property
    def look(self) -> Look:
        return cast("Top", self.app).look

    def show(self, moment: Moment) -> None:
        """Draw *moment*."""
        self.moment = moment
        self.redraw()

    def redraw(self) -> None:
        """Something that the lines depend on has changed."""
        self._lines = None
        self.refresh()

    def lines(self, width: int, height: int) -> list[Text]:
        """What is drawn, line by line from the top; what doesn't fit is cut off."""
        raise NotImplementedError

    def on_resize(self, event: Resize) -> None:
        self._lines = None

    def notify_style_update(self) -> None:
        self._lines = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._lines is None:
            console = self.app.console
            options = console.options.update(width=width, no_wrap=True, overflow="crop")
            self._lines = [
                Strip(line.render(console)) if line.no_wrap else Strip(console.render(line, options))
                for line in self.lines(width, height)[:height]
            ]
        style = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        return self._lines[y].apply_style(style).adjust_cell_length(width, style)


def wrapped(line: Text, width: int) -> list[Text]:
    """*line* in as many as it needs, the further ones indented; where it is a table's it stays one."""
    if line.no_wrap or line.cell_len <= width:
        return [line]
    first, *rest = line.wrap(_CONSOLE, width)
    indented = [Text("  ").append_text(part) for part in Text(" ").join(rest).wrap(_CONSOLE, max(width - 2, 1))]
    for part in (made := [first, *indented]):
        part.no_wrap, part.end = True, ""
    return made
