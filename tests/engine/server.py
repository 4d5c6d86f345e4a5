"""A real `lamps serve` in a process of its own, and what tests ask of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from engine_adapter.control.client import fetch_status
from engine_adapter.control.frames import Paused, Status

LAMPS = Path(sys.executable).with_name("lamps")
START_LIMIT_S = 240  # 25 to 40 s on an idle machine
STOP_LIMIT_S = 30
# 160 blocks of 32 tokens: five requests of the longest kind fill it.
FLAGS = ("--policy", "lamps", "--store", "none", "--max-model-len", "1024", "--num-gpu-blocks-override", "160")
KEY = "a-key-for-tests"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Server:
    """*log*: all that its processes printed. *key*: of its API, None for an open one."""

    url: str
    key: str | None
    log: Path
    process: subprocess.Popen[bytes]

    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.key or "none", max_retries=0, timeout=120)

    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def status(self) -> Status:
        return fetch_status(self.url, self.key)

    def counters(self) -> dict[str, int]:
        """Counters of the engine and of the API server together."""
        status = self.status()
        return {**status.engines[0].counters, **status.api}

    def paused(self, session: str) -> Paused | None:
        return next((row for row in self.status().engines[0].paused if row.session == session), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Any, limit_s: float = 10.0) -> Any:
    """The first true answer of *condition*, asked every 50 ms; its last answer when time is up."""
    end = time.monotonic() + limit_s
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


@contextmanager
def serving(log: Path, *flags: str, key: str | None = None, **environment: str) -> Iterator[Server]:
    """A server with *flags* for the block; whatever happens, all its processes are gone afterwards."""
    port = free_port()
    command = [LAMPS, "serve", "--port", str(port), *flags, *(["--api-key", key] if key else [])]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env={**_as_users_have_it(), **environment}
        )
        server = Server(f"http://127.0.0.1:{port}", key, log, process)
        try:
            _wait_for(server)
            yield server
        finally:
            _stop(process)


def _as_users_have_it() -> dict[str, str]:
    """The environment without what vLLM, imported by other tests of this process, has set in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}


def _wait_for(server: Server) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.25)
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-60:])
    raise AssertionError(f"the server did not start; the end of its log:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask first, then end the whole process group: vLLM's children live in it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_LIMIT_S)
