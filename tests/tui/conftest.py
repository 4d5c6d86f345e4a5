"""The demo's recording, and a source that says what the test wants."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from engine_adapter.control.frames import JUDGED, Frame, Status
from tui.model import Delivery
from tui.recording import Reader
from tui.sources import Deliver, Playback

DEMO = Path(str(files("tui") / "demo.jsonl.xz"))
SERVERS = (":8000", ":8001", ":8002")


class Told:
    """A source whose deliveries the test makes."""

    playback: Playback | None = None
    judged: Sequence[str] = JUDGED

    def __init__(self, deliveries: Sequence[Delivery] = (), title: str = "told") -> None:
        self.title = title
        self.first = list(deliveries)
        self.stopped = False
        self._deliver: Deliver | None = None

    def start(self, deliver: Deliver) -> None:
        self._deliver = deliver
        if self.first:
            deliver(self.first)

    def say(self, *deliveries: Delivery) -> None:
        assert self._deliver is not None
        self._deliver(deliveries)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture(scope="session")
def film() -> list[Delivery]:
    """The first 100 seconds of the demo."""
    found = []
    for line, _ in Reader(DEMO).lines():
        if line.at > 100.0:
            break
        found.append(Delivery(line.server, line.at, line.parsed()))
    return found


def status(*frames: Frame) -> Status:
    return Status(1, frames)
