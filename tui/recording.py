"""Recordings of what a monitor was told: JSON lines, gzipped where the name ends in .gz, readable while it is written
(and in xz, as the demo is).

The first line says what it is; each further one is `{"at": SECONDS, "server": NAME, "status": {...}}`. A
recording that was cut off, as by a crash, is good up to its last whole line.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import msgspec

from engine_adapter.control.frames import FrameError, Status, parse_status

VERSION = 1
# A gzipped recording is flushed after so many lines: what a crash may cost.
FLUSH_EVERY = 8


_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)


class RecordingError(ValueError):
    """A file that is no recording; a sentence."""


class Head(msgspec.Struct, frozen=True):
    """*what*: shown as the title of a replay."""

    lamps_recording: int
    what: str = ""


class Line(msgspec.Struct, frozen=True):
    at: float
    server: str
    status: msgspec.Raw

    def parsed(self) -> Status:
        """Raises `FrameError`."""
        return parse_status(bytes(self.status))


class Writer:
    """Writes a recording. Raises OSError."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.lines = 0
        packed = path.suffix == ".gz"
        self._file = cast(BinaryIO, gzip.open(path, "wb", 6) if packed else path.open("wb"))  # noqa: SIM115 -- `close`
        self._write(Head(VERSION, what))

    def add(self, at: float, server: str, status: Status) -> None:
        self._write({"at": at, "server": server, "status": status})
        self.lines += 1
        if self.lines % FLUSH_EVERY == 0 or self.path.suffix != ".gz":
            self._file.flush()

    def _write(self, document: object) -> None:
        self._file.write(msgspec.json.encode(document) + b"\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Reader:
    """Reads a recording line by line. *head* is there at once; raises `RecordingError` where it can't be had.

    *cut*: why reading ended before the end, "" where it didn't.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = ""
        try:
            self._file = _opened(path)
            first = self._file.readline()
        except _UNREADABLE as problem:
            if hasattr(self, "_file"):
                self._file.close()
            raise RecordingError(f"can't read {path}: {_said(problem)}") from None
        try:
            self.head = _head(path, first)
        except RecordingError:
            self._file.close()
            raise

    def lines(self) -> Iterator[tuple[Line, bytes]]:
        """Every whole line, with its bytes; those of another version of frames are left out and told in *cut*."""
        with self._file:
            while True:
                try:
                    raw = self._file.readline()
                except _UNREADABLE as problem:
                    self.cut = f"{self.path.name} ends early: {_said(problem)}"
                    return
                if not raw:
                    return
                try:
                    yield msgspec.json.decode(raw, type=Line), raw
                except (msgspec.DecodeError, UnicodeDecodeError):
                    self.cut = f"{self.path.name} ends early: its last line is cut off"
                    return


def _head(path: Path, line: bytes) -> Head:
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordingError(f"{path} is not a recording of lamps top") from None
    if head.lamps_recording != VERSION:
        raise RecordingError(f"{path} has version {head.lamps_recording}, this lamps reads version {VERSION}")
    return head


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return cast(BinaryIO, lzma.open(path, "rb")) if magic == b"\xfd7zXZ\0" else path.open("rb")


def _said(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or " ".join(str(problem).split()) or type(problem).__name__


__all__ = ["FrameError", "Line", "Reader", "RecordingError", "Writer"]
