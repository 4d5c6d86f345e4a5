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
from contextlib import contextmanager
from typing import BinaryIO

KEPT_LINES = 4000
# Said by vLLM at warning level whenever it is stopped.
_FAREWELLS = (b"[shutdown]", b"resource_tracker")


class StartLog:
    """Keeps lines back until `release`. `say` writes to the terminal past the pipe."""

    def __init__(self, terminal: BinaryIO, source: BinaryIO) -> None:
        self._terminal = terminal
        self._source = source
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._released = False
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="lamps-start-log", daemon=True)
        self._reader.start()

    def say(self, line: str) -> None:
        with self._lock:
            self._write(line.encode() + b"\n")

    def release(self) -> None:
        """The server is up: forget what was kept, pass on the rest."""
        with self._lock:
            self._released = True
            self._kept.clear()

    @property
    def released(self) -> bool:
        return self._released

    def show(self) -> None:
        """Print what was kept, and the rest from now on."""
        for line in self.lines():
            self.say(line)
        self.release()

    def lines(self) -> list[str]:
        """What was kept so far, once nothing more arrives for a moment."""
        self._reader.join(timeout=1.0)
        with self._lock:
            return [line.decode(errors="replace").rstrip("\n") for line in self._kept]

    def _read(self) -> None:
        for line in self._source:
            with self._lock:
                if not self._released:
                    self._kept.append(line)
                elif not any(mark in line for mark in _FAREWELLS):
                    self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            self._terminal.write(line)
            self._terminal.flush()
        except OSError:
            pass  # a terminal that went away must not stop the reader: the engine would block on a full pipe


@contextmanager
def kept_back() -> Iterator[StartLog]:
    """Send stdout and stderr of this process and its children into a `StartLog` for the block."""
    sys.stdout.flush()
    sys.stderr.flush()
    outer = os.dup(1), os.dup(2)
    reading, writing = os.pipe()
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)
    with os.fdopen(os.dup(outer[1]), "wb") as terminal, os.fdopen(reading, "rb") as source:
        log = StartLog(terminal, source)
        try:
            yield log
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in zip((1, 2), outer, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
            log.lines()
