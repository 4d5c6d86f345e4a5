"""The monitor: a source delivers, the model keeps what counts, the screen in front draws it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input

from engine_adapter.control.frames import JUDGED, Decision
from tui import keys
from tui.glyphs import ASCII, UNICODE
from tui.look import Look
from tui.model import Delivery, EngineView, Model, Moment
from tui.recording import Writer
from tui.rows import Rows
from tui.sources import Source
from tui.themes import DEFAULT, PALETTES, theme_of
from tui.top_lines import Banner, Head, Tabs, TooSmall
from tui.views.base import TableView, View
from tui.views.catalogue import VIEWS

if TYPE_CHECKING:  # it brings an HTTP client, which takes a tenth of a second to import
    from tui.commands import Commands
    from tui.jump import Target

# Smaller than this there is nothing to be seen.
LEAST_WIDTH, LEAST_HEIGHT = 40, 10
Explain = Callable[[EngineView, str | Decision], str]
"""Of an engine and a request or session of it, or a decision: the whole explanation, as text. ValueError, with a
sentence, where there is none."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the monitor begins. *record*: a file to record into; *keys*: bindings by their id."""

    theme: str = DEFAULT
    ascii_only: bool = False
    record: Path | None = None
    view: str = "overview"
    keys: dict[str, str] = field(default_factory=dict)
    paused: bool = False


class Top(App[int]):
    """Watches *source*. *explain*: asks a live server about one request, or explains a decision; None where nobody
    can. *commands*: tells a live server what to do; None where nobody can be told."""

    TITLE = "lamps top"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012 -- as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-middle"), (30, "-tall")]  # noqa: RUF012
    COMMAND_PALETTE_BINDING = "colon"
    BINDINGS: ClassVar[list[BindingType]] = keys.BINDINGS
    CSS_PATH = "layout.tcss"
    AUTO_FOCUS = None

    class Delivered(Message):
        """The source has something to say."""

        def __init__(self, deliveries: Sequence[Delivery]) -> None:
            super().__init__()
            self.deliveries = deliveries

    def __init__(
        self,
        source: Source,
        options: Options | None = None,
        explain: Explain | None = None,
        commands: Commands | None = None,
    ) -> None:
        self.options = options or Options()
        self.source = source
        self.explain = explain
        self.commands = commands
        self.model = Model()
        self.moment = Moment()
        self.frozen = self.options.paused
        self.writer: Writer | None = None
        self.problem = ""  # what is wrong here, not with a server
        self._glyphs = ASCII if self.options.ascii_only else UNICODE
        super().__init__()
        for palette in PALETTES.values():
            self.register_theme(theme_of(palette))
        self.theme = self.options.theme
        self.set_keymap(self.options.keys)

    # --- what is there ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Head()
        yield Tabs()
        yield Banner()
        yield Container(id="body")
        yield Input(id="filter", placeholder="filter", compact=True, disabled=True)
        yield Footer(compact=True, show_command_palette=False)
        yield TooSmall()

    async def on_mount(self) -> None:
        self.set_class(self.options.ascii_only, "-ascii")
        await self.action_view(self.options.view)
        if self.options.record is not None:
            self._record_into(self.options.record)
        if not self.is_headless:
            gc.freeze()  # what is there now stays; walking over it made every third large frame take twice its time
        self.source.start(self._deliver)
        self.set_interval(1.0, self._tick)

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Called from the threads of the source."""
        self.post_message(self.Delivered(deliveries))

    def on_unmount(self) -> None:
        self.source.stop()
        if self.writer is not None:
            self.writer.close()

    @property
    def look(self) -> Look:
        return Look(PALETTES.get(self.theme, PALETTES[DEFAULT]), self._glyphs, faded=not self.moment.fresh)

    @property
    def base(self) -> Screen[object]:
        """The screen below all dialogs."""
        return self.screen_stack[0]

    @property
    def view(self) -> View:
        """The screen in front."""
        return next(view for view in self.base.query(View) if view.display)

    # --- what comes in --------------------------------------------------------------------------------

    def on_top_delivered(self, message: Delivered) -> None:
        for delivery in message.deliveries:
            self.model.take(delivery)
            if self.writer is not None and delivery.status is not None:
                self._record(delivery)
        if not self.frozen:
            self.show()

    def show(self) -> None:
        """Draw the present moment."""
        self.moment = self.model.moment
        self.view.show(self.moment)
        for line in (Head, Tabs, Banner):
            self.base.query_one(line).show(self.moment)

    def on_resize(self, event: Resize) -> None:
        self.base.query_one(TooSmall).fit_into(event.size.width, event.size.height, (LEAST_WIDTH, LEAST_HEIGHT))

    def _tick(self) -> None:
        for head in self.base.query(Head) if self.screen_stack else ():  # none while it closes
            head.redraw()

    def watch_theme(self, theme: str) -> None:
        if self.is_running:
            self.call_after_refresh(self.show)

    # --- actions ----------------------------------------------------------------------------------------

    async def action_view(self, name: str) -> None:
        """Bring a screen to the front; it is made when it is first wanted."""
        cls = VIEWS[name]
        body = self.base.query_one("#body", Container)
        found = next((view for view in self.base.query(View) if isinstance(view, cls)), None)
        if found is None:
            found = cls(id=f"view-{name}")
            await body.mount(found)
        for view in self.base.query(View):
            view.display = view is found
        if isinstance(found, TableView):
            found.table.focus()
        self._want()
        self.base.query_one(Tabs).chosen = name
        self._close_filter()
        self.show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tab goes from screen to screen, but not where a question or a list is open."""
        return action != "next_view" or (len(self.screen_stack) == 1 and not self.base.query("#filter.-open"))

    async def action_next_view(self, by: int) -> None:
        names = list(VIEWS)
        await self.action_view(names[(names.index(self.base.query_one(Tabs).chosen) + by) % len(names)])

    def action_pause(self) -> None:
        playback = self.source.playback
        if playback is not None:
            playback.toggle()
        else:
            self.frozen = not self.frozen
            if not self.frozen:
                self.show()
        self.base.query_one(Head).redraw()

    def action_step(self, frames: int) -> None:
        if self.source.playback is not None:
            self.source.playback.step(frames)

    def action_faster(self, by: int) -> None:
        if self.source.playback is not None:
            self.source.playback.faster(by)
            self.base.query_one(Head).redraw()

    def action_skip(self, seconds: float) -> None:
        playback = self.source.playback
        if playback is not None:
            playback.seek(max(playback.position_s + seconds, 0.0))

    def action_engine(self, by: int) -> None:
        count = len(self.moment.engines)
        if count:
            self.choose_engine((self.moment.engine + by) % count)

    def choose_engine(self, number: int) -> None:
        self.model.engine = number
        self.show()

    def action_theme(self) -> None:
        names = list(PALETTES)
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]
        self.notify(self.theme, timeout=1.5)

    def action_filter(self) -> None:
        if isinstance(self.view, TableView):
            box = self.base.query_one("#filter", Input)
            box.add_class("-open")
            box.disabled = False
            box.value = self.view.filter
            box.focus()

    async def action_back(self) -> None:
        """Leave the filter; then forget it."""
        box = self.base.query_one("#filter", Input)
        if not box.has_class("-open") and self.view.filter:
            self.view.set_filter("")
        box.value = ""
        self._close_filter()

    def _close_filter(self) -> None:
        box = self.base.query_one("#filter", Input)
        box.remove_class("-open")
        box.disabled = True
        if isinstance(self.view, TableView):
            self.view.table.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "filter" and event.input.has_class("-open"):
            self.view.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "filter":
            self._close_filter()

    def action_jump(self) -> None:
        """Put a letter on every place that can be gone to."""
        from tui.jump import Jump

        def go(target: Target | None) -> None:
            if target is not None:
                self.call_later(target.go)

        self.push_screen(Jump([*self.base.query_one(Tabs).targets(), *self.view.targets()]), go)

    async def action_change(self, what: str) -> None:
        """What a key of the policy screen does, from anywhere."""
        await self.action_view("policy")
        await self.view.run_action(f"change('{what}')")

    def action_help_screen(self) -> None:
        from tui.dialogs import Help

        self.push_screen(Help(self.view))

    def action_jump_time(self) -> None:
        from tui.dialogs import AskTime

        playback = self.source.playback
        if playback is not None:
            self.push_screen(AskTime(playback.length_s), lambda at: playback.seek(at) if at is not None else None)

    def on_rows_opened(self, event: Rows.Opened) -> None:
        from tui.dialogs import Opened

        if isinstance(self.view, TableView) and not self.view.opened(event.row):
            self.push_screen(Opened(self.view, event.row))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for name, cls in VIEWS.items():
            yield SystemCommand(cls.title, "Go to this screen", partial(self.run_action, f"view('{name}')"))
        for palette in PALETTES:
            yield SystemCommand(f"Theme {palette}", "Change the colours", partial(setattr, self, "theme", palette))
        for title, text, action in keys.COMMANDS:
            yield SystemCommand(title, text, partial(self.run_action, action))

    # --- recording ------------------------------------------------------------------------------------

    def action_record(self) -> None:
        """Begin to record into a file in this directory, or end it."""
        if self.writer is None:
            self._record_into(Path(time.strftime("lamps-%Y%m%d-%H%M%S.jsonl.gz")))
        else:
            self.writer.close()
            self.notify(f"{self.writer.lines:,} frames in {self.writer.path}")
            self.writer = None
            self._want()
        self.base.query_one(Head).redraw()

    def _want(self) -> None:
        """A server judges rows for those who see them: that takes nearly as long as the rest of a frame."""
        self.source.judged = self.view.judged if self.writer is None else JUDGED

    def _record_into(self, path: Path) -> None:
        try:
            self.writer = Writer(path, self.source.title)
            self._want()
        except OSError as problem:
            self.problem = f"can't write {path}: {problem.strerror}"
            self.show()

    def _record(self, delivery: Delivery) -> None:
        assert self.writer is not None and delivery.status is not None
        try:
            self.writer.add(delivery.at, delivery.server, delivery.status)
        except OSError as problem:
            self.problem = f"the recording has ended: {problem.strerror}"
            self.writer = None
