"""Real servers for benchmarks: started with `lamps serve`, waited for, and stopped with everything they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

READY_S = 180.0
CORES = sorted(os.sched_getaffinity(0))


@contextmanager
def serving(policy: str, model: str, *flags: str, logs: Path) -> Iterator[str]:
    """A server under *policy*, yielding its URL. RuntimeError with the log's end if it fails.

    *policy*: "stock" (plain vLLM), a name, or a name with parameters as in "lamps:patience=100".

    It starts knowing nothing, and keeps nothing of what it learns.
    """
    port = _free_port()
    name, *params = policy.split(":")
    log = logs / f"{name.replace('/', '_')}-{port}.log"
    command = [str(Path(sys.executable).with_name("lamps")), "serve", "--policy", name, "--model", model]
    command += [word for param in params for word in ("--param", param)]
    command += ["--port", str(port), "--store", "none", *flags]
    env = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    os.sched_setaffinity(0, CORES)
    with log.open("w") as out:
        # A group of its own, so that it can be stopped as a whole, but the client's session: Linux shares a core out
        # by session, and an engine that spins beside a client of another one slows every message to milliseconds
        # (sessions took 4 to 5 times as long).
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, process_group=0)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        _give_cores(process.pid)
        yield url
    finally:
        _stop(process)


@contextmanager
def several(policies: Sequence[str], model: str, *flags: str, logs: Path) -> Iterator[dict[str, str]]:
    """One server a policy, all up at once (an idle one takes no time): policy -> URL."""
    if not policies:
        yield {}
        return
    with serving(policies[0], model, *flags, logs=logs) as url, several(policies[1:], model, *flags, logs=logs) as rest:
        yield {policies[0]: url, **rest}


def _give_cores(server: int) -> None:
    """The model's worker gets the first core (where vLLM binds its threads), everybody else the others.

    Engine and worker hand each step to and fro and spin meanwhile; where the client may take the worker's
    core, a step waits for a time slice now and then, and runs differ by a factor of three.
    """
    first, *others = CORES
    if not others:
        return
    os.sched_setaffinity(0, others)
    for process in [psutil.Process(server), *psutil.Process(server).children(recursive=True)]:
        cores = [first] if process.name().startswith("VLLM::Worker") else others
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
    raise RuntimeError(f"the server did not come up:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
