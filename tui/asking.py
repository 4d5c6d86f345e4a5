"""Questions above the screens, for what is changed in a server. Nothing dangerous is done by enter alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.widgets import Input, Label, Static

from engine_adapter.control.frames import ParamInfo
from tui.dialogs import Dialog, Reading


class Told(Reading):
    """A text, as it is."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = self._title
            yield Static(Text(self._text))


class Choose(Dialog):
    """A question. *answers*: by key, the words beside it and what the dialog gives back; None for escape."""

    def __init__(self, title: str, question: str, answers: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._question, self._answers = title, question, answers

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = self._title
            yield Static(Text(self._question))
            keys = Text("\n")
            for key, (words, _) in self._answers.items():
                keys.append(f" {key} ", "reverse").append(f" {words}   ")
            yield Static(keys.append(" esc ", "reverse").append(" leave it"))

    def on_key(self, event: Key) -> None:
        if (answer := self._answers.get(event.character or "")) is not None:
            event.stop()
            self.dismiss(answer[1])


class AskPolicy(Dialog):
    """A policy by its file or name. *read*: what is sent for it; its ValueErrors are shown, and it is asked again."""

    def __init__(self, title: str, read: Callable[[str], Mapping[str, Any]]) -> None:
        super().__init__()
        self._title, self._read = title, read

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Input(compact=True, placeholder="a file, or the name of a shipped policy")
            yield Static("", id="wrong", markup=False)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            return
        try:
            body = await asyncio.to_thread(self._read, event.value.strip())
        except ValueError as problem:
            self.query_one("#wrong", Static).update(Text(f"\n{problem}"))
        else:
            self.dismiss(dict(body))


class AskParams(Dialog):
    """Values for params. Gives back words NAME=VALUE for those that were changed."""

    def __init__(self, policy: str, ranges: Mapping[str, ParamInfo]) -> None:
        super().__init__()
        self._policy, self._ranges = policy, ranges

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = f"Params of {self._policy}"
            for name, info in self._ranges.items():
                with Horizontal(classes="param"):
                    yield Label(name, classes="name", markup=False)
                    yield Input(f"{info.value:.12g}", compact=True, name=name)
                    yield Label(f"{info.low:g}..{info.high:g} {_unit(info)}", classes="range", markup=False)
            yield Static("", id="wrong", markup=False)
            yield Static("tab: the next one, enter: put what was changed in force, esc: leave it")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        words, wrong = [], []
        for box in self.query(Input):
            info = self._ranges[box.name or ""]
            if box.value.strip() == f"{info.value:.12g}":
                continue
            wrong += problem_of(box.name or "", box.value, info)
            words.append(f"{box.name}={box.value.strip()}")
        if wrong:
            self.query_one("#wrong", Static).update("\n".join(wrong))
        else:
            self.dismiss(words)


def problem_of(name: str, text: str, info: ParamInfo) -> list[str]:
    """Why *text* is no value for the param *name*. What has a unit (5s) is for the server to judge."""
    try:
        value = float(text)
    except ValueError:
        return [] if text.strip() else [f"{name} wants a value"]
    if info.low <= value <= info.high:
        return []
    return [f"{name}: {value:g} is not in {info.low:g}..{info.high:g} {_unit(info)}".rstrip()]


def _unit(info: ParamInfo) -> str:
    return "" if info.unit == "1" else info.unit
