"""Where frames come from: live servers, a recording. Each delivers from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tui.model import Delivery

Deliver = Callable[[Sequence[Delivery]], None]


class Source(Protocol):
    """*title*: what is watched, for the header. *playback*: of a recording; None for what happens now.

    *judged*: the kinds of rows of which it is to tell what the policy says of each; a source may tell it anyway.
    """

    judged: Sequence[str]

    @property
    def title(self) -> str: ...

    @property
    def playback(self) -> Playback | None: ...

    def start(self, deliver: Deliver) -> None:
        """Begin to deliver, from another thread."""

    def stop(self) -> None:
        """Deliver no more. Returns at once."""


class Playback(Protocol):
    """How a recording is played. Positions in seconds from its beginning."""

    paused: bool
    speed: float

    @property
    def position_s(self) -> float: ...

    @property
    def length_s(self) -> float:
        """As far as it has been read."""

    @property
    def note(self) -> str:
        """What there is to say about the recording: that it is still being read, that it ends early."""

    def toggle(self) -> None:
        """Pause, or go on."""

    def faster(self, by: int) -> None:
        """The next higher speed; the next lower one where *by* is negative."""

    def step(self, frames: int) -> None:
        """Pause, and go so many frames on, or back where negative."""

    def seek(self, position_s: float) -> None:
        """Go on from there."""
