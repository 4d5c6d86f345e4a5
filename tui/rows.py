"""A table that draws only the rows that are seen: with ten thousand of them it costs what a screenful does.

Rows are any values; columns say how they are written. The row that is chosen stays chosen when the rows change, as long
as it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.glyphs import fit, fit_name
from tui.jump import Target

if TYPE_CHECKING:
    from textual.events import Click

    from tui.app import Top
    from tui.look import Look

Row = TypeVar("Row")
# What a column that takes the rest has at least: enough to tell names apart.
_LEAST = 12


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """*write*: the cell of a row; *sort*: by what the column sorts, largest first where *largest*; None: it doesn't.

    *width* in characters; 0: it takes what is left. *colour*: of a row's cell, in words of the palette. Where the
    table is narrow, columns with the highest *spare* go first; 0 stays. *name*: its cells are names, whose ends tell
    more than their middles.
    """

    title: str
    width: int
    write: Callable[[Row], str]
    right: bool = False
    sort: Callable[[Row], Any] | None = None
    largest: bool = False
    colour: Callable[[Row], str] | None = None
    spare: int = 0
    name: bool = False


def amount(
    title: str,
    width: int,
    get: Callable[[Row], float | None],
    write: Callable[[float | None], str],
    spare: int = 0,
    colour: Callable[[Row], str] | None = None,
) -> Column[Row]:
    """A column of numbers: what *get* says of a row, as *write* writes it, sorted largest first."""
    return Column(
        title,
        width,
        lambda row: write(get(row)),
        right=True,
        sort=lambda row: get(row) or 0.0,
        largest=True,
        colour=colour,
        spare=spare,
    )


class Rows(ScrollView, Generic[Row], can_focus=True):
    """*key*: what tells rows apart; *words*: what a filter looks in. *newest_first*: a stream, whose head is followed
    while the cursor is on it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", show=False, id="rows.down"),
        Binding("up,k", "move(-1)", "up", show=False, id="rows.up"),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False, id="rows.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False, id="rows.page_up"),
        Binding("home,g", "edge(-1)", "first", show=False, id="rows.first"),
        Binding("end,G", "edge(1)", "last", show=False, id="rows.last"),
        Binding("enter", "open", "open", show=True, key_display="enter", id="rows.open"),
        Binding("s", "sort(1)", "sort", show=True, id="rows.sort"),
        Binding("S", "sort(-1)", "sort back", show=False, id="rows.sort_back"),
    ]

    class Opened(Message):
        """A row was chosen with enter or a click."""

        def __init__(self, rows: Rows[Any], row: Any) -> None:
            super().__init__()
            self.rows = rows
            self.row = row

        @property
        def control(self) -> Rows[Any]:
            return self.rows

    class Moved(Opened):
        """The cursor is on another row."""

    class Sorted(Message):
        """The rows stand in another order."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], object],
        words: Callable[[Row], str],
        nothing: str = "nothing here",
        newest_first: bool = False,
    ) -> None:
        super().__init__()
        self.newest_first = newest_first
        self.columns = tuple(columns)
        self._key, self._words = key, words
        self._nothing = nothing
        self._all: Sequence[Row] = ()
        self.shown: list[Row] = []
        self.cursor = 0
        self.filter = ""
        self._sorted_by: int | None = None

    # --- what is shown ------------------------------------------------------------------------------

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show *rows*, in their order or as the user sorts them."""
        chosen = self._key(self.row) if self.row is not None else None
        self._all = rows
        self._arrange(chosen)

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        if [c.title for c in columns] != [c.title for c in self.columns]:
            self._sorted_by = None
        self.columns = tuple(columns)

    def set_filter(self, text: str) -> None:
        """Only rows that have *text* in their words; capitals don't matter."""
        self.filter = text.lower()
        self._arrange(self._key(self.row) if self.row is not None else None)

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    @property
    def total(self) -> int:
        """Rows before the filter."""
        return len(self._all)

    @property
    def sorting(self) -> str:
        """By which column, "" for the order they came in."""
        return "" if self._sorted_by is None else self.columns[self._sorted_by].title

    def _arrange(self, chosen: object) -> None:
        rows = [row for row in self._all if self.filter in self._words(row).lower()] if self.filter else list(self._all)
        if self._sorted_by is not None:
            column = self.columns[self._sorted_by]
            assert column.sort is not None
            rows.sort(key=column.sort, reverse=column.largest)
        self.shown = rows
        before, last = self.cursor, max(len(rows) - 1, 0)
        if chosen is not None and not (before <= last and rows and self._key(rows[before]) == chosen):
            self.cursor = next((place for place, row in enumerate(rows) if self._key(row) == chosen), before)
        self.cursor = min(self.cursor, last)
        if self.newest_first and before == 0 and self._sorted_by is None:
            self.cursor = 0  # at the top of a stream one follows it
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        if self.cursor != before:
            self._see_cursor()
        self.refresh()

    # --- drawing --------------------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        return cast("Top", self.app).look

    def widths(self, width: int) -> list[int]:
        """Of each column; 0 for those that have no room."""
        fixed = [column.width or _LEAST for column in self.columns]
        there = set(range(len(self.columns)))
        while sum(fixed[i] + 1 for i in there) > width:
            spare = [i for i in there if self.columns[i].spare]
            if not spare:
                break
            there.discard(max(spare, key=lambda i: (self.columns[i].spare, i)))
        wide = [i for i in there if not self.columns[i].width]
        left = width - sum(fixed[i] + 1 for i in there)
        found = [fixed[i] if i in there else 0 for i in range(len(fixed))]
        for n, i in enumerate(wide):
            found[i] += max(left, 0) // len(wide) + (n < max(left, 0) % len(wide))
        return found

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._head(width, base)
        place = y - 1 + round(self.scroll_offset.y)
        if place >= len(self.shown):
            text = self._nothing if not self._all else f"nothing has {self.filter!r} in it"
            if place == 0:
                return Strip([Segment(f" {text}", Style(color=self.look.palette.dim))]).adjust_cell_length(width, base)
            return Strip.blank(width, base)
        row = self.shown[place]
        chosen = place == self.cursor
        back = Style(bgcolor=self.look.palette.selected, bold=self.has_focus) if chosen else Style.null()
        segments = []
        for column, cells in zip(self.columns, self.widths(width), strict=True):
            if cells:
                colour = self.look.style(column.colour(row)) if column.colour is not None else None
                if self.look.faded:
                    colour = self.look.palette.dim
                written = column.write(row)
                if column.name:
                    written = fit_name(written, cells, self.look.glyphs.ellipsis)
                text = _cell(written, cells, column.right, self.look.glyphs.ellipsis)
                segments.append(Segment(text + " ", base + Style(color=colour) + back))
        return Strip(segments).adjust_cell_length(width, base + back)

    def _head(self, width: int, base: Style) -> Strip:
        dim = base + Style(color=self.look.palette.dim)
        mark = self.look.glyphs.down
        segments = []
        for number, (column, cells) in enumerate(zip(self.columns, self.widths(width), strict=True)):
            if cells:
                sorted_by = number == self._sorted_by
                title = f"{column.title}{mark}" if sorted_by else column.title
                style = base + Style(color=self.look.palette.accent) if sorted_by else dim
                segments.append(Segment(_cell(title, cells, column.right, self.look.glyphs.ellipsis) + " ", style))
        return Strip(segments).adjust_cell_length(width, base)

    # --- keys and mouse ---------------------------------------------------------------------------------

    def move_to(self, place: int) -> None:
        """Put the cursor on a row and make it seen."""
        place = min(max(place, 0), max(len(self.shown) - 1, 0))
        moved = place != self.cursor
        self.cursor = place
        self._see_cursor()
        self.refresh()
        if moved and self.row is not None:
            self.post_message(self.Moved(self, self.row))

    def _see_cursor(self) -> None:
        top, seen = round(self.scroll_offset.y), max(self.size.height - 1, 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False)

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(self.size.height - 2, 1))

    def action_edge(self, which: int) -> None:
        self.move_to(0 if which < 0 else len(self.shown) - 1)

    def action_open(self) -> None:
        if self.row is not None:
            self.post_message(self.Opened(self, self.row))

    def action_sort(self, by: int) -> None:
        """Sort by the next column that can be sorted by; after the last, the order they came in."""
        able = [None, *(n for n, column in enumerate(self.columns) if column.sort is not None)]
        self._sort_by(able[(able.index(self._sorted_by) + by) % len(able)])

    def _sort_by(self, column: int | None) -> None:
        self._sorted_by = column
        self._arrange(self._key(self.row) if self.row is not None else None)
        self.post_message(self.Sorted())

    def on_click(self, event: Click) -> None:
        """A title sorts; a row is chosen, and opened by another click."""
        at = event.get_content_offset(self)
        if at is None:
            return
        if at.y == 0:
            self._sort_at(at.x)
            return
        place = at.y - 1 + round(self.scroll_offset.y)
        if place < len(self.shown):
            again = place == self.cursor
            self.move_to(place)
            if again or event.chain > 1:
                self.action_open()

    def targets(self) -> list[Target]:
        """The titles that can be sorted by, and the rows that are seen, to be jumped to."""
        at, left, found = self.content_region.offset, 0, []
        for number, cells in enumerate(self.widths(self.size.width)):
            if cells and self.columns[number].sort is not None:
                found.append(Target(at + Offset(left, 0), partial(self._sort_by, number)))
            left += cells + 1 if cells else 0
        first = round(self.scroll_offset.y)
        seen = range(first, min(first + self.size.height - 1, len(self.shown)))
        return found + [Target(at + Offset(0, place - first + 1), partial(self.move_to, place)) for place in seen]

    def _sort_at(self, x: int) -> None:
        left = 0
        for number, cells in enumerate(self.widths(self.size.width)):
            if cells and left <= x <= left + cells and self.columns[number].sort is not None:
                self._sort_by(None if self._sorted_by == number else number)
                return
            left += cells + 1 if cells else 0


def _cell(text: str, width: int, right: bool, ellipsis: str) -> str:
    if cell_len(text) != len(text):  # wide characters: a session name may have any
        while cell_len(text) > width:
            text = text[:-1]
        pad = " " * (width - cell_len(text))
        return pad + text if right else text + pad
    text = fit(text, width, ellipsis)
    return text.rjust(width) if right else text.ljust(width)
