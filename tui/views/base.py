"""What screens have in common: they are shown moments, and most are a table with what there is to say of one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container

from engine_adapter.control.frames import Decision
from tui.jump import Target
from tui.model import Moment
from tui.panel import Panel, wrapped
from tui.rows import Column, Rows


class View(Container):
    """*title*: on its tab. *judged*: of which kinds it shows what the policy says of each row, which servers tell when
    they are asked to."""

    title: ClassVar[str] = ""
    judged: ClassVar[Sequence[str]] = ()
    moment: Moment = Moment()

    def show(self, moment: Moment) -> None:
        """Draw *moment*."""
        self.moment = moment
        for panel in self.query(Panel):
            panel.show(moment)

    def set_filter(self, text: str) -> None:
        """Show only what has *text* in it."""

    @property
    def filter(self) -> str:
        return ""

    def help(self) -> str:
        """A sentence about what is to be seen."""
        return ""

    def targets(self) -> list[Target]:
        """What can be jumped to."""
        return []


class Detail(Panel):
    """What there is to say of the row under the cursor."""

    def lines(self, width: int, height: int) -> list[Text]:
        view = cast("TableView", self.parent)
        row = view.table.row
        if row is None:
            return []
        return [part for line in view.detail(row, width) for part in wrapped(line, width)]


class TableView(View):
    """A table above, or beside, the detail of its chosen row."""

    nothing: ClassVar[str] = "nothing here"
    newest_first: ClassVar[bool] = False
    subject: ClassVar[str] = ""
    """What the detail is about, for its title."""

    def compose(self) -> ComposeResult:
        columns = self.columns(Moment())
        self.table: Rows[Any] = Rows(
            columns, key=self.key, words=self.words, nothing=self.nothing, newest_first=self.newest_first
        )
        yield self.table
        yield Detail(self.subject)

    def on_mount(self) -> None:
        self.table.border_title = self.title

    def show(self, moment: Moment) -> None:
        self.moment = moment
        self.table.set_columns(self.columns(moment))
        self.table.set_rows(self.rows(moment))
        self._say()
        self.query_one(Detail).show(moment)

    def _say(self) -> None:
        table = self.table
        said = [self.summary(self.moment)]
        if table.filter:
            said.append(f"{len(table.shown)} with {table.filter!r}")
        if table.sorting:
            said.append(f"by {table.sorting}")
        told = ", ".join(part for part in said if part)
        table.border_title = f"{self.title}: {told}" if told else self.title

    def set_filter(self, text: str) -> None:
        self.table.set_filter(text)
        self._say()
        self.query_one(Detail).redraw()

    @property
    def filter(self) -> str:
        return self.table.filter

    def targets(self) -> list[Target]:
        return self.table.targets()

    def on_rows_moved(self, event: Rows.Moved) -> None:
        self.query_one(Detail).redraw()

    def on_rows_sorted(self) -> None:
        self._say()

    # --- what subclasses say ------------------------------------------------------------------------

    def columns(self, moment: Moment) -> Sequence[Column[Any]]:
        raise NotImplementedError

    def rows(self, moment: Moment) -> Sequence[Any]:
        raise NotImplementedError

    def key(self, row: Any) -> object:
        raise NotImplementedError

    def words(self, row: Any) -> str:
        """What a filter looks in."""
        raise NotImplementedError

    def summary(self, moment: Moment) -> str:
        return ""

    def opened(self, row: Any) -> bool:
        """The row was chosen; whether that was all there was to do. Else its detail is shown in full."""
        return False

    def about(self, row: Any) -> str | Decision:
        """What of a row can be explained: a request or session by its name, a decision; "" where nothing can."""
        return ""

    def detail(self, row: Any, width: int) -> list[Text]:
        raise NotImplementedError
