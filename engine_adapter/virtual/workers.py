"""Simulations spread over processes: as many at once as there are cores, their results as they come."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine_adapter.virtual.jobs import COMMAND, JobError, decode_line, encode_job
from engine_adapter.virtual.simulate import SimResult, Simulation


@dataclass(frozen=True, slots=True)
class Said:
    """What the worker of job *number* said: its share done, its result, or why there is none."""

    number: int
    what: float | SimResult | JobError


def run_all(
    simulations: Sequence[Simulation], at_once: int | None = None, command: Sequence[str] = COMMAND
) -> Iterator[Said]:
    """Run them, first come, first served. Workers that still run when the iteration is left are killed."""
    waiting = deque(enumerate(simulations))
    said: queue.Queue[Said] = queue.Queue()
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (at_once or os.cpu_count() or 1):
                number, simulation = waiting.popleft()
                # A session of its own: Ctrl-C is for this process, which then ends its workers.
                worker = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                running[number] = worker
                threading.Thread(target=_listen, args=(number, simulation, worker, said), daemon=True).start()
            news = said.get()
            if not isinstance(news.what, float):
                running.pop(news.number).wait()
            yield news
    finally:
        for worker in running.values():
            worker.kill()
            worker.wait()


def _listen(number: int, simulation: Simulation, worker: subprocess.Popen[bytes], said: queue.Queue[Said]) -> None:
    """Give the worker its job and pass on what it says; always ends with a result or an error."""
    assert worker.stdin is not None and worker.stdout is not None
    last: float | SimResult | JobError = 0.0
    try:
        with worker.stdin as stdin, worker.stdout as stdout:
            stdin.write(encode_job(simulation))
            stdin.close()
            for line in stdout:
                last = decode_line(simulation, line)
                if isinstance(last, float):
                    said.put(Said(number, last))
    except JobError as problem:
        last = problem
    except (OSError, ValueError) as problem:
        last = JobError(f"its worker broke: {problem}")
    if isinstance(last, float):
        last = JobError(f"its worker ended with status {worker.wait()} and no result")
    said.put(Said(number, last))
