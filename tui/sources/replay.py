"""A recording, played: at its own pace or another, step by step, from any place.

Two threads: one reads the file and keeps its lines, each packed by itself, so that an hour of frames takes tens of
megabytes; the other delivers them when their time has come. What is shown first waits for the first line only.
"""

from __future__ import annotations

import threading
import time
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine_adapter.control.frames import JUDGED, FrameError
from tui.model import Delivery
from tui.recording import Line, Reader
from tui.sources import Deliver

# Frames before the one that is jumped to, from which the curves are drawn.
BACKGROUND = 180
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_FAR = 3600.0
_INSTANT_S = 0.05


class Replay:
    """Plays the recording at *path*. Raises `RecordingError` where it is none. *again*: it begins anew at its end."""

    judged: Sequence[str] = JUDGED

    def __init__(self, path: Path, title: str = "", again: bool = False, speed: float = 1.0) -> None:
        self._reader = Reader(path)
        self.title = title or self._reader.head.what or path.name
        self.paused = False
        self.speed = speed
        self._again = again
        self._times: list[float] = []
        self._lines: list[bytes] = []
        self._whole = False
        self._next = 0  # the line that is delivered next
        self._position_s = self._from_s = 0.0
        self._from = 0.0
        self._jumped = False
        self._stopped = False
        self._changed = threading.Condition()

    # --- what a player's buttons do ---------------------------------------------------------------

    @property
    def playback(self) -> Replay:
        return self

    @property
    def position_s(self) -> float:
        return self._position_s

    @property
    def length_s(self) -> float:
        return self._times[-1] - self._times[0] if self._times else 0.0

    @property
    def note(self) -> str:
        if self._reader.cut:
            return self._reader.cut
        return "" if self._whole else "still reading"

    def toggle(self) -> None:
        """Pause, or go on; at the end, begin anew."""
        with self._changed:
            self.paused = not self.paused
            self._from_here()
            if not self.paused and self._whole and self._next >= len(self._lines):
                self._go_to(0)
            self._changed.notify()

    def faster(self, by: int) -> None:
        """The next speed of `SPEEDS`, or the one before."""
        with self._changed:
            place = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self.speed))
            self._from_here()
            self.speed = SPEEDS[min(max(place + by, 0), len(SPEEDS) - 1)]
            self._changed.notify()

    def step(self, frames: int) -> None:
        """On or back by instants: servers that spoke at once are stepped over at once."""
        with self._changed:
            self.paused = True
            line = self._next if self._jumped else self._next - 1  # what is shown, or will be at once
            for _ in range(abs(frames)):
                line = self._last_of(line + 1) if frames > 0 else self._first_of(line) - 1
            self._go_to(line)
            self._changed.notify()

    def seek(self, position_s: float) -> None:
        with self._changed:
            if self._times:
                self._go_to(bisect_right(self._times, self._times[0] + position_s) - 1)
                self._changed.notify()

    def _from_here(self) -> None:
        """The pace is kept from this position and this instant on."""
        self._from_s, self._from = self._position_s, time.monotonic()

    def _go_to(self, line: int) -> None:
        self._next = self._last_of(max(line, 0))
        self._jumped = True

    def _last_of(self, line: int) -> int:
        """The last line of the instant that *line* is of."""
        line = min(line, max(len(self._times) - 1, 0))
        while line + 1 < len(self._times) and self._times[line + 1] - self._times[line] <= _INSTANT_S:
            line += 1
        return line

    def _first_of(self, line: int) -> int:
        while line > 0 and self._times[line] - self._times[line - 1] <= _INSTANT_S:
            line -= 1
        return line

    # --- threads ----------------------------------------------------------------------------------

    def start(self, deliver: Deliver) -> None:
        threading.Thread(target=self._read, name="recording", daemon=True).start()
        threading.Thread(target=self._play, args=(deliver,), name="player", daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _read(self) -> None:
        for line, raw in self._reader.lines():
            with self._changed:
                self._times.append(line.at)
                self._lines.append(zlib.compress(raw, 1))
                self._changed.notify()
                if self._stopped:
                    return
        with self._changed:
            self._whole = True
            self._changed.notify()

    def _play(self, deliver: Deliver) -> None:
        while (batch := self._due()) is not None:
            deliver(batch)

    def _due(self) -> list[Delivery] | None:
        """What is delivered next, waited for; None: no more."""
        with self._changed:
            self._from_here()
            while not self._stopped:
                if self._jumped and self._lines:
                    return self._jump()
                if self._next < len(self._lines):
                    due_s = self._times[self._next] - self._times[0]
                    missing_s = due_s - self._from_s - (time.monotonic() - self._from) * self.speed
                    if self._next == 0 or (not self.paused and missing_s <= 0):
                        self._position_s = due_s
                        return self._at_once()
                    self._changed.wait(_FAR if self.paused else missing_s / self.speed)
                elif self._whole and self._again and not self.paused and self._lines:
                    self._go_to(0)
                else:
                    self._changed.wait(_FAR)
        return None

    def _at_once(self) -> list[Delivery]:
        """The lines of the next instant, of several servers perhaps: they are drawn once."""
        first, self._next = self._next, self._last_of(self._next) + 1
        return [self._delivery(number) for number in range(first, self._next)]

    def _jump(self) -> list[Delivery]:
        """The frame that is jumped to, after those from which its curves are drawn."""
        self._jumped = False
        first = max(self._next - BACKGROUND, 0)
        batch = [self._delivery(n, restart=n == first) for n in range(first, self._next + 1)]
        self._position_s = self._times[self._next] - self._times[0]
        self._next += 1
        return batch

    def _delivery(self, number: int, restart: bool = False) -> Delivery:
        line = msgspec.json.decode(zlib.decompress(self._lines[number]), type=Line)
        try:
            return Delivery(line.server, line.at, line.parsed(), restart=restart)
        except FrameError as problem:
            return Delivery(line.server, line.at, trouble=str(problem), restart=restart)
