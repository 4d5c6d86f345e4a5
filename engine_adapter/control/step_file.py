"""Records of an engine's steps as files: written while the engine runs, read up to where they are whole.

An engine may be killed at any moment, so what is in the file is always a whole beginning, and a reader takes it as one.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine_adapter.control.step_record import VERSION, Event, Full, Header

# JSON before compression. At its end the record says that it is full; the engine goes on.
LARGEST_BYTES = 4 << 30
# What a process that is killed may lose of its record. A flush is a system call, and costs a compressed file some size.
FLUSH_S = 0.25


class RecordError(Exception):
    """A record that can't be made or read. The message is a sentence for the user."""


class RecordWriter:
    """Writes a new file that only its owner may read, gzipped where its name ends in .gz.

    Whatever the disk says later, the engine goes on: the record ends there, and `problem` says why.
    """

    def __init__(self, path: Path, header: Header, largest_bytes: int = LARGEST_BYTES) -> None:
        """RecordError where the file exists or can't be made."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise RecordError(f"{path} exists: a record is never written over another file") from None
        except OSError as error:
            raise RecordError(f"{path} can't be made: {error.strerror}") from None
        self.path = path
        self.problem = ""
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._out: BinaryIO | gzip.GzipFile = self._file
        if path.suffix == ".gz":
            self._out = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1)
        self._left = largest_bytes
        self._flushed_at = time.monotonic()
        self._encoder = msgspec.json.Encoder()
        self._put(header)
        self.flush()

    def write(self, event: Event) -> None:
        """Append one event. Does nothing once the record has ended."""
        if self.problem:
            return
        self._put(event)
        if self._left <= 0:
            self._put(Event(Full()))
            self._end(f"the record has reached its largest size, {LARGEST_BYTES >> 30} GiB")
        elif event.raised or time.monotonic() - self._flushed_at >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Let the file have all that was written."""
        if self.problem:
            return
        try:
            self._out.flush()
            self._file.flush()
        except (OSError, ValueError) as error:
            self._end(f"{self.path} can't be written any more: {error}")
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Finish the file; a second time does nothing."""
        self._end("closed")

    def _put(self, what: Header | Event) -> None:
        line = self._encoder.encode(what)
        self._left -= len(line)
        try:
            self._out.write(line + b"\n")
        except OSError as error:
            self._end(f"{self.path} can't be written any more: {error.strerror}")

    def _end(self, problem: str) -> None:
        if not self.problem:
            self.problem = problem
            for file in (self._out, self._file):
                with contextlib.suppress(OSError):
                    file.close()


class Record:
    """A record being read: its *header*, then its events. *cut*: it ends in the middle, as after a crash.

    To be used as a context, which closes the file.
    """

    def __init__(self, path: Path) -> None:
        """RecordError where it is no record, or one of another version."""
        self.path = path
        self.cut = False
        try:
            with path.open("rb") as file:
                zipped = file.read(2) == b"\x1f\x8b"
            self._file: io.BufferedReader | gzip.GzipFile = gzip.GzipFile(path) if zipped else path.open("rb")
        except OSError as error:
            raise RecordError(f"{path} can't be read: {error.strerror}") from None
        try:
            self.header = self._header()
        except RecordError:
            self._file.close()
            raise

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _header(self) -> Header:
        path, first = self.path, self._line()
        try:
            version = msgspec.json.decode(first, type=_Versioned).lamps_record
            if version != VERSION:
                raise RecordError(f"{path} is a record of version {version}, this lamps reads version {VERSION}")
            return msgspec.json.decode(first, type=Header)
        except msgspec.DecodeError:
            raise RecordError(f"{path} is no record of an engine's steps (`lamps serve --record-steps`)") from None

    def __iter__(self) -> Iterator[Event]:
        """The events that are whole. RecordError for a line in the middle that is none."""
        decoder = msgspec.json.Decoder(Event)
        number = 1
        while line := self._line():
            number += 1
            if not line.endswith(b"\n"):
                self.cut = True
                return
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as problem:
                raise RecordError(f"{self.path}, line {number}: {problem}") from None

    def _line(self) -> bytes:
        try:
            return self._file.readline()
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.cut = True
            return b""


class _Versioned(msgspec.Struct):
    lamps_record: int
