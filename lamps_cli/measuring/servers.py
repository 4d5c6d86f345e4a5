"""Servers under measurement: `lamps serve` started in a process of its own, waited for, stopped with all it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lamps_cli.measuring.machine import CORES
from lamps_cli.versions import vllm_distribution

_ASK_EVERY_S = 0.5
# A server that is asked to stop has finished writing after a few seconds; one that hangs is killed.
_STOP_S = 15.0
_TAIL = 30  # lines of a log that are shown


class DidNotStart(Exception):
    """The server ended before it answered, or didn't answer in time. The message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Started:
    """*group*: the process group of the server and all that it started."""

    url: str
    group: int


def serve_words(
    policy: str, params: Sequence[str] = (), model: str | None = None, flags: Sequence[str] = ()
) -> list[str]:
    """The words after `lamps`. The server starts knowing nothing of tools and lengths and keeps nothing it learns,
    unless *flags* say otherwise."""
    words = ["serve", "--policy", policy, *(word for param in params for word in ("--param", param))]
    words += ["--model", model] if model is not None else []
    for what in ("--store", "--profile"):
        words += [] if what in flags else [what, "none"]
    return [*words, *flags]


@contextmanager
def serving(
    words: Sequence[str],
    log: Path,
    start_s: float,
    environment: Mapping[str, str] | None = None,
    give: Callable[[int], None] | None = None,
) -> Iterator[Started]:
    """`lamps` *words* on a free port, ready. Raises DidNotStart. *log*: gets all that it prints.

    *environment*: variables beside those of this process. *give* shares the cores out, told the process group; without
    one the model of a CPU build gets a core of its own.
    """
    port = free_port()
    command = [*lamps_command(), *words, "--port", str(port)]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CORES)
    with log.open("w") as out:
        # A group of its own, so that it can be stopped as a whole and the terminal's Ctrl-C doesn't reach it, but the
        # client's session: Linux shares a core out by session, and an engine that spins beside a client of another one
        # slows every message to milliseconds (sessions took 4 to 5 times as long).
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, process_group=0
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log, start_s)
        (give or _shared_out)(process.pid)
        yield Started(url, process.pid)
    finally:
        _stop(process)


def lamps_command() -> list[str]:
    """The program that is running, as a command."""
    return [str(Path(sys.executable).with_name("lamps"))]


def _shared_out(group: int) -> None:
    """The model's worker gets the first core (where vLLM binds its threads), everybody else the others.

    Engine and worker hand each step to and fro and spin meanwhile; where the client may take the worker's
    core, a step waits for a time slice now and then, and runs differ by a factor of three.
    """
    first, *others = sorted(CORES)
    found = vllm_distribution()
    if not others or found is None or not ("cpu" in found[0] or "cpu" in found[1]):
        return
    os.sched_setaffinity(0, others)
    for process in processes(group):
        with suppress(OSError):  # it has just ended
            worker = (process / "comm").read_text().startswith("VLLM::Worker")
            put_on(process, [first] if worker else others)


def processes(group: int) -> Iterator[Path]:
    """The folders in /proc of the processes of a group."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has just ended
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == group:
                yield entry


def put_on(process: Path, cores: Sequence[int]) -> None:
    """All threads of a process run on *cores* only. OSError when it has ended."""
    for thread in (process / "task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, start_s: float) -> None:
    import httpx

    deadline = time.monotonic() + start_s
    why = f"did not answer within {start_s:g} s"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            why = f"ended with status {process.returncode} before it answered"
            break
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(_ASK_EVERY_S)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
    raise DidNotStart(f"the server {why}:\n{tail}".rstrip(":\n"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask first, then end what is left of the group: the children of a server that died alone live on."""
    try:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """One that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
