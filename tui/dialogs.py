"""Screens above the screens: help, one row in full, and questions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui.keys import HEADINGS, POLICY_BINDINGS
from tui.rows import Rows
from tui.views.base import TableView, View

if TYPE_CHECKING:
    from engine_adapter.control.frames import Decision
    from tui.app import Top
    from tui.model import EngineView


class Dialog(ModalScreen[Any]):
    """A box in the middle that closes with escape."""

    AUTO_FOCUS = "Input"  # the app itself has none
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "close", show=False)]


class Reading(Dialog):
    """One that is only read: it closes with any key that people try."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter,question_mark", "dismiss", "close", show=False)]


class Help(Reading):
    """All keys, by what they are for."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = "Keys"
            yield Static(self._text())

    def _text(self) -> Text:
        app = cast("Top", self.app)
        look, keymap = app.look, app.options.keys
        known = [*app.BINDINGS, *Rows.BINDINGS, *POLICY_BINDINGS]
        bindings = {b.id: b for b in known if isinstance(b, Binding)}
        text = Text()
        text.append_text(look.text((f"{self._view.title}: ", "bold accent"), f"{self._view.help()}\n"))
        for heading, names in HEADINGS.items():
            text.append_text(look.text((f"\n{heading}\n", "bold accent")))
            for name in names:
                binding = bindings[name]
                keys = keymap.get(name) or binding.key
                shown = ", ".join(_NAMES.get(key, key) for key in keys.split(","))
                text.append_text(
                    look.text(f"  {shown:<22}", (f"{binding.description:<18}", "text"), (f"{name}\n", "dim"))
                )
        text.append_text(
            look.text(
                ("\nGive a key to another with its last name in [keys] of lamps-top.toml; : has all commands.", "dim")
            )
        )
        return text


_NAMES = {
    "question_mark": "?", "slash": "/", "plus": "+", "equals_sign": "=", "minus": "-", "at": "@", "escape": "esc",
    "right": "right", "colon": ":",
}  # fmt: skip


class Opened(Reading):
    """One row in full; of a live server with the whole explanation of what it stands by."""

    def __init__(self, view: TableView, row: Any) -> None:
        super().__init__()
        self._view, self._row = view, row

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = self._view.subject
            yield Static(Text("\n").join(self._view.detail(self._row, 90)))
            yield Static("", id="explanation")

    def on_mount(self) -> None:
        app, about = cast("Top", self.app), self._view.about(self._row)
        if app.explain is not None and about:
            self.query_one("#explanation", Static).update("\nasking ...")
            self._ask(app.moment.engines[app.moment.engine], about)

    @work(thread=True)
    def _ask(self, engine: EngineView, about: str | Decision) -> None:
        app = cast("Top", self.app)
        assert app.explain is not None
        try:
            said = app.explain(engine, about)
        except ValueError as problem:
            said = str(problem)
        self.app.call_from_thread(self.query_one("#explanation", Static).update, Text(f"\n{said}"))


class AskTime(Dialog):
    """To which time of a recording to go."""

    def __init__(self, length_s: float) -> None:
        super().__init__()
        self._length_s = length_s

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Go to a time (90, 1:30, 50%)"
            yield Input(compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        at = time_of(event.value, self._length_s)
        if at is None:
            self.notify(f"{event.value!r} is no time: 90, 1:30 or 50%", severity="warning")
        else:
            self.dismiss(at)


def time_of(text: str, length_s: float) -> float | None:
    """Seconds from the beginning that *text* means; None where it means none."""
    text = text.strip()
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)%", text):
        return min(float(match[1]), 100.0) / 100.0 * length_s
    if re.fullmatch(r"(?:\d+:){0,2}\d+(?:\.\d+)?", text):
        at = 0.0
        for part in text.split(":"):
            at = 60 * at + float(part)
        return at
    return None
