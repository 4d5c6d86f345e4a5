"""Jobs spread over processes: as many at once as there are cores, their answers as they come.

A process does one job after the other, since importing vLLM takes it seconds. One that dies loses its job and no other.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from engine_adapter.virtual.jobs import COMMAND, Answer, Job, JobError, decode_line, encode_job


@dataclass(frozen=True, slots=True)
class Said:
    """What the worker of job *number* said: its share done, its answer, or why there is none."""

    number: int
    what: float | Answer | JobError


class Workers:
    """The processes. They start when there is work and are killed when the `with` is left, whatever they do."""

    def __init__(self, at_once: int | None = None, command: Sequence[str] = COMMAND) -> None:
        self._workers = [_Worker(command) for _ in range(at_once or os.cpu_count() or 1)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            thread.join()
        for worker in self._workers:
            worker.forget()

    def run(self, jobs: Sequence[Job]) -> Iterator[Said]:
        """Do them, first come, first served. An iteration that is left before its end leaves the workers at work."""
        waiting = deque(enumerate(jobs))
        said: queue.Queue[Said] = queue.Queue()
        for worker in self._workers[: len(jobs)]:
            self._threads.append(threading.Thread(target=_serve, args=(worker, waiting, said), daemon=True))
            self._threads[-1].start()
        left = len(jobs)
        while left:
            news = said.get()
            left -= not isinstance(news.what, float)
            yield news


def _serve(worker: _Worker, waiting: deque[tuple[int, Job]], said: queue.Queue[Said]) -> None:
    """One worker's share of the jobs, in a thread of its own."""
    while not worker.closed:
        try:
            number, job = waiting.popleft()
        except IndexError:
            return
        for what in worker.answers(job):
            said.put(Said(number, what))


class _Worker:
    """One process, started anew where the last one has died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._starting = threading.Lock()
        self.closed = False

    def answers(self, job: Job) -> Iterator[float | Answer | JobError]:
        """Progress, and at the end an answer or an error."""
        try:
            process = self._started()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(encode_job(job))
            process.stdin.flush()
            for line in process.stdout:
                what = decode_line(job, line)
                yield what
                if not isinstance(what, float):
                    return
            yield self._died(process)
        except JobError as problem:
            yield problem
        except BrokenPipeError:  # it was killed between two jobs
            yield self._died(process)
        except (OSError, ValueError) as problem:
            yield JobError(f"its worker broke: {problem}")
            self.forget()

    def kill(self) -> None:
        """End the process now; there will be no other."""
        with self._starting:
            self.closed = True
            if self._process is not None:
                self._process.kill()

    def forget(self) -> None:
        """End the process, if there is one, and let go of what belongs to it."""
        process, self._process = self._process, None
        files, self._errors = [self._errors], None
        if process is not None:
            process.kill()
            process.wait()
            files += [process.stdin, process.stdout]
        for file in files:
            with contextlib.suppress(OSError):  # what the process had still to be told
                if file is not None:
                    file.close()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self.closed:
                raise JobError("its worker was closed")
            if self._process is None:
                self.forget()
                self._errors = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
                # A session of its own: Ctrl-C is for this process, which then ends its workers.
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    start_new_session=True,
                )
            return self._process

    def _died(self, process: subprocess.Popen[bytes]) -> JobError:
        """Why there is no answer, as far as one can tell."""
        status = process.wait()
        last = self._last_error()
        self.forget()
        if status < 0:
            memory = ", as happens when memory runs out" if status == -signal.SIGKILL else ""
            return JobError(f"its worker was killed by {signal.Signals(-status).name}{memory}")
        return JobError(f"its worker ended with status {status} and no result" + (f": {last}" if last else ""))

    def _last_error(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
