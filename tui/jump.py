"""Jump mode: every place that can be gone to has a letter on it; pressing the letter goes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Key
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widgets import Label

# Home row first.
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    """A place on the screen and what goes there: a function, which may be a coroutine's."""

    at: Offset
    go: Callable[[], object]


class Jump(ModalScreen[Target]):
    """The letters. Gives back the target of the one that was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o", "dismiss", "close", show=False)]

    def __init__(self, targets: list[Target]) -> None:
        super().__init__()
        self._targets = dict(zip(LETTERS, targets, strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self._targets.items():
            label = Label(letter, classes="letter")
            label.styles.offset = target.at
            yield label

    def on_key(self, event: Key) -> None:
        if event.character in self._targets:
            event.stop()
            self.dismiss(self._targets[event.character])

    def on_click(self, event: Click) -> None:
        self.dismiss()
