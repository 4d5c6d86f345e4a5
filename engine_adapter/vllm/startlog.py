"""vLLM's log while the server comes up: kept back, and shown only if it fails or is asked for.

A start prints a hundred lines that matter when it fails and never otherwise. They come from several processes, so they
are caught at the file descriptors: a pipe takes stdout and stderr of this process and of all it starts, a thread reads
it. Once the server is up, what comes through is passed on as it is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

KEPT_LINES = 4000
# Said by vLLM and by multiprocessing whenever the server is stopped, as a warning.
_FAREWELLS = (b"[shutdown]", b"resource_tracker")


class StartLog:
    """Keeps lines back until `release`, or with *echo* passes them on at once and keeps them too.

    `say` writes to the terminal, past the pipe. *terminal* and *source* are file descriptors; the reader owns
    *source* and holds it until the process ends, since helpers of multiprocessing keep the other end open that long.
    """

    def __init__(self, terminal: int, source: int, echo: bool) -> None:
        self._terminal = terminal
        self._source = source
        self._echo = echo
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._released = False
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="lamps-start-log", daemon=True)
        self._reader.start()

    @property
    def released(self) -> bool:
        return self._released

    def say(self, line: str) -> None:
        with self._lock:
            self._write(line.encode() + b"\n")

    def release(self) -> None:
        """The server is up: forget what was kept, pass on the rest."""
        with self._lock:
            self._released = True
            self._kept.clear()

    def show(self) -> None:
        """Print what was kept, and the rest from now on."""
        lines = self.lines()
        self.release()
        for line in [] if self._echo else lines:
            self.say(line)

    def lines(self) -> list[str]:
        """What was kept so far; waits half a second for what is still on its way."""
        self._reader.join(timeout=0.5)
        with self._lock:
            return [line.decode(errors="replace").rstrip("\n") for line in self._kept]

    def _read(self) -> None:
        rest = b""
        while piece := os.read(self._source, 65536):
            *lines, rest = (rest + piece).split(b"\n")
            with self._lock:
                for line in lines:
                    self._take(line + b"\n")

    def _take(self, line: bytes) -> None:
        if not self._released:
            self._kept.append(line)
        if self._echo or (self._released and not any(mark in line for mark in _FAREWELLS)):
            self._write(line)

    def _write(self, line: bytes) -> None:
        # A terminal that went away must not stop the reader: the engine would block on a full pipe.
        with suppress(OSError):
            os.write(self._terminal, line)


@contextmanager
def kept_back(echo: bool) -> Iterator[StartLog]:
    """Send stdout and stderr of this process and its children into a `StartLog` for the block."""
    sys.stdout.flush()
    sys.stderr.flush()
    outer = os.dup(1), os.dup(2)
    reading, writing = os.pipe()
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)
    log = StartLog(terminal=outer[1], source=reading, echo=echo)
    try:
        yield log
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        log.lines()
        for descriptor, original in zip((1, 2), outer, strict=True):
            os.dup2(original, descriptor)
