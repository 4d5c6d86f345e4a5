"""Ctrl-C while `lamps simulate` runs, and a worker that is killed: what is done is shown, nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.running import LAMPS

pytestmark = pytest.mark.slow
QUICK = ("--rate", "8", "--sessions", "30", "--seeds", "200", "--policy", "stock", "--json")
LONG = ("--rate", "8", "--sessions", "50000", "--replacement", "--seeds", "2", "--policy", "stock", "--json")


class Running:
    """`lamps simulate` whose stderr is a terminal, so that it shows its progress."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._terminal, end = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            [LAMPS, "simulate", *arguments],
            stdout=subprocess.PIPE,
            stderr=end,
            env=os.environ | {"LAMPS_CACHE": str(folder)},
            start_new_session=True,
            # What runs in the background of a shell ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 one thread
        )
        os.close(end)

    def until(self, shown: Callable[[str], bool]) -> None:
        while not shown(self.said):
            self.said += os.read(self._terminal, 4096).decode()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> tuple[int, str, str]:
        """Exit status, stdout, and all that the terminal shows."""
        out, _ = self.process.communicate(timeout=120)
        try:
            while piece := os.read(self._terminal, 4096):
                self.said += piece.decode()
        except OSError:  # the other end is closed
            pass
        os.close(self._terminal)
        return self.process.returncode, out.decode(), self.said

    def workers(self) -> list[int]:
        """Processes of this run besides the command itself."""
        mark = f"LAMPS_CACHE={self._folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != self.process.pid]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    begun: list[Running] = []

    def begin(*arguments: str) -> Running:
        begun.append(Running(tmp_path, *arguments))
        return begun[-1]

    yield begin
    for running in begun:
        running.process.kill()
        running.process.wait()
        for _ in range(100):
            if not running.workers():
                break
            time.sleep(0.1)
        assert running.workers() == []


def test_runs_that_are_done_are_kept(start: Callable[..., Running]) -> None:
    running = start(*QUICK)
    running.until(lambda said: "2 of 200 runs" in said or "3 of 200 runs" in said)
    running.interrupt()
    status, out, said = running.ended()
    found = json.loads(out)
    assert status == 130
    assert found["interrupted"]
    assert 2 <= len(found["runs"]) < 200
    assert f"interrupted: {len(found['runs'])} of 200 runs are shown" in said
    assert "Traceback" not in said
    assert {run["ended"] for run in found["runs"]} == {"finished"}


def test_a_second_ctrl_c_ends_at_once(start: Callable[..., Running]) -> None:
    running = start(*QUICK)
    running.until(lambda said: "2 of 200 runs" in said or "3 of 200 runs" in said)
    running.interrupt()
    time.sleep(0.02)
    running.interrupt()
    status, _, said = running.ended()
    assert status == 130
    assert "Traceback" not in said


def test_before_the_first_run_is_done_there_is_nothing_to_show(start: Callable[..., Running]) -> None:
    running = start(*LONG)
    running.until(lambda said: "0 of 2 runs" in said)
    running.interrupt()
    status, out, said = running.ended()
    assert (status, out) == (130, "")
    assert "interrupted before a run was done" in said


def test_a_worker_that_is_killed_loses_its_run_alone(start: Callable[..., Running]) -> None:
    arguments = [word if word != "200" else "6" for word in QUICK]
    running = start(*arguments)
    running.until(lambda said: "of 6 runs" in said)
    os.kill(running.workers()[0], signal.SIGKILL)
    status, out, said = running.ended()
    found = json.loads(out)
    assert status == 1
    assert [run["reason"] for run in found["lost"]] == [
        "its worker was killed by SIGKILL, as happens when memory runs out"
    ]
    assert len(found["runs"]) == 5
    assert "stock, seed" in said
