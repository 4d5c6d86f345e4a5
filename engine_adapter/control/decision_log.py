"""The decision log: every decision of an engine as a JSON line, in files of bounded size.

The engine's thread only puts records into a bounded queue; a thread of the log's own writes them. What can't be kept
(the queue is full, the disk is) is counted and never waited for. Lines are appended whole and begin on a line of their
own, so a line that was cut by a crash costs itself: readers leave it out and count it. No prompt text comes in, since
none is in a `Decision`.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from engine_adapter.control.frames import Decision

# A turn that ends in a call takes 980 bytes (benchmarks/decision_log.py): 64 MiB and three older files hold 270,000.
MOST_BYTES = 64 << 20
OLDER_FILES = 3
# Records that wait to be written: 0.4 s of what the thread writes when it has a core.
QUEUED = 16_384
# The thread writes so many at once, and looks whether it has to end so often.
_BATCH = 512
_LOOK_S = 0.25


class LoggedDecision(Decision, frozen=True):
    """A decision as the log has it. *time*: seconds since 1970. *engine*: which of the server's engines.

    *policy*, *revision*: the policy that was in force.
    """

    time: float = 0.0
    engine: str = "0"
    policy: str = ""
    revision: str = ""


class Document(Protocol):
    """What can be logged."""

    def document(self) -> dict[str, object]: ...


class DecisionLog:
    """Writes to *path*, turned over into `.1`, `.2` and so on. *warn* gets a sentence when writing begins to fail.

    *counters* gets `log.written`, `log.dropped` (the queue was full) and `log.failed` (it could not be written).
    """

    def __init__(
        self,
        path: Path,
        engine: str,
        warn: Callable[[str], None],
        counters: Counter[str],
        *,
        most_bytes: int = MOST_BYTES,
        queued: int = QUEUED,
    ) -> None:
        self._path = path
        self._engine = engine
        self._warn = warn
        self._counters = counters
        # All keys are there before the thread runs: it must not change a dict's size while another one walks it.
        counters.update({"log.written": 0, "log.dropped": 0, "log.failed": 0})
        self._most_bytes = most_bytes
        self._queue: queue.Queue[tuple[Document, float, str, str]] = queue.Queue(queued)
        self._file: int | None = None
        self._bytes = 0
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lamps-decisions", daemon=True)
        self._thread.start()

    def put(self, decision: Document, policy: str, revision: str) -> None:
        """Log *decision*, made under *policy*; from the engine's thread. Never waits, never raises."""
        try:
            self._queue.put_nowait((decision, time.time(), policy, revision))
        except queue.Full:
            self._counters["log.dropped"] += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued and end the thread; does nothing the second time."""
        self._stop.set()
        self._thread.join(timeout_s)

    # --- on the log's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while not (self._stop.is_set() and self._queue.empty()):
            batch = self._batch()
            if batch:
                self._write(batch)
        if self._file is not None:
            os.close(self._file)

    def _batch(self) -> list[bytes]:
        lines: list[bytes] = []
        try:
            lines.append(self._line(*self._queue.get(timeout=_LOOK_S)))
            while len(lines) < _BATCH:
                lines.append(self._line(*self._queue.get_nowait()))
        except queue.Empty:
            pass
        return lines

    def _line(self, decision: Document, at: float, policy: str, revision: str) -> bytes:
        where = {"time": at, "engine": self._engine, "policy": policy, "revision": revision}
        return msgspec.json.encode({**decision.document(), **where}) + b"\n"

    def _write(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        try:
            if self._file is not None and self._bytes + len(data) > self._most_bytes:
                self._turn_over()
            if self._file is None:
                self._open()
            assert self._file is not None
            self._append(self._file, data)
        except OSError as problem:
            self._counters["log.failed"] += len(lines)
            if not self._failing:
                self._warn(f"decisions are not being logged: {self._path}: {problem.strerror}")
            self._failing = True
            self._close()  # a line may be cut: what comes next begins after it
        else:
            self._counters["log.written"] += len(lines)
            self._failing = False

    def _append(self, file: int, data: bytes) -> None:
        while data:
            written = os.write(file, data)
            self._bytes += written
            data = data[written:]

    def _open(self) -> None:
        """Append to the file, after the end of a line that was cut."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._bytes = os.fstat(self._file).st_size
        if self._bytes >= self._most_bytes:
            self._turn_over()
            self._open()
        elif self._bytes and os.pread(self._file, 1, self._bytes - 1) != b"\n":
            self._append(self._file, b"\n")

    def _turn_over(self) -> None:
        self._close()
        for number in range(OLDER_FILES, 0, -1):
            newer = numbered(self._path, number - 1)
            if newer.exists():
                newer.replace(numbered(self._path, number))

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None


def numbered(path: Path, number: int) -> Path:
    """The file that *path* has become after being turned over *number* times."""
    return path.with_name(f"{path.name}.{number}") if number else path


def path_of(path: Path, engine: str) -> Path:
    """The file of *engine*: each data-parallel engine has its own, the first that of the given name."""
    return path if engine == "0" else path.with_name(f"{path.stem}-{engine}{path.suffix}")


class Reading:
    """The decisions of a log, oldest file first. *cut*: lines that were left out since they are no decision."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cut = 0

    def __iter__(self) -> Iterator[LoggedDecision]:
        """All that is there now. Raises FileNotFoundError without a file, OSError for one that can't be read."""
        files = [numbered(self._path, number) for number in range(OLDER_FILES, -1, -1)]
        found = [file for file in files if file.exists()]
        if not found:
            raise FileNotFoundError(2, "there is no such file", str(self._path))
        for file in found:
            with file.open("rb") as lines:
                yield from self._parsed(lines)

    def following(self, every_s: float = 0.5) -> Iterator[LoggedDecision]:
        """What is there now and what is written from now on, without end; a file that is turned over is followed."""
        yield from self._older()
        while True:
            with self._path.open("rb") as lines:
                yield from self._until_turned_over(lines, os.fstat(lines.fileno()).st_ino, every_s)

    def _older(self) -> Iterator[LoggedDecision]:
        for number in range(OLDER_FILES, 0, -1):
            file = numbered(self._path, number)
            if file.exists():
                with file.open("rb") as lines:
                    yield from self._parsed(lines)

    def _until_turned_over(self, lines: _Lines, inode: int, every_s: float) -> Iterator[LoggedDecision]:
        part = b""
        while True:
            turned = self._inode() != inode
            while line := lines.readline():
                part += line
                if part.endswith(b"\n"):
                    yield from self._parsed([part])
                    part = b""
            if turned and self._inode() is not None:
                return
            time.sleep(every_s)

    def _inode(self) -> int | None:
        """None between two files."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _parsed(self, lines: _Iterable) -> Iterator[LoggedDecision]:
        for line in lines:
            if line.strip():
                try:
                    yield _DECODER.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    self.cut += 1


class _Lines(Protocol):
    def readline(self) -> bytes: ...


class _Iterable(Protocol):
    def __iter__(self) -> Iterator[bytes]: ...


_DECODER = msgspec.json.Decoder(LoggedDecision, strict=False)
