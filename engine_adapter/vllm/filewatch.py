"""`lamps serve --watch`: the policy is reloaded when its file changes, or one that it is built on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine_adapter.control.changes import RELOAD, Refusal, change
from engine_adapter.control.client import Unreachable
from policy_dsl.diagnostics.full import render
from policy_dsl.loading import load, sendable

# People wait for what they have saved; a look at a file costs microseconds.
POLL_S = 0.5


class FileWatch:
    """*send* puts the text of a policy in force and returns what to say of it; *say* tells people."""

    def __init__(self, path: Path, send: Callable[[str], str], say: Callable[[str], None]) -> None:
        self._path = path
        self._send = send
        self._say = say
        self._files = self._read()

    def look(self) -> None:
        """Reload where something has changed. What is wrong is said; then nothing has changed on the server."""
        if all(_stamp(path) == stamp for path, stamp in self._files.items()):
            return
        self._files = self._read()
        try:
            loaded = load(self._path)
            if loaded.policy is None:
                shown = "\n\n".join(render(finding) for finding in loaded.diagnostics)
                self._say(f"{shown}\nlamps: {self._path.name} has errors: the policy before stays in force")
                return
            self._say(self._send(sendable(self._path)))
        except (OSError, Refusal, Unreachable, ValueError) as problem:
            self._say(f"lamps: {self._path.name} is not reloaded: {problem}")

    def _read(self) -> dict[Path, tuple[int, int]]:
        """The files that the policy is made of, each with its stamp."""
        try:
            paths = [self._path, *(Path(source.path) for source in load(self._path).sources)]
        except OSError:
            paths = [self._path, *getattr(self, "_files", ())]
        return {path: _stamp(path) for path in paths}

    def run(self) -> None:
        """Look again and again."""
        while True:
            time.sleep(POLL_S)
            self.look()


def sender(url: str, path: Path, params: Mapping[str, float], key: str | None) -> Callable[[str], str]:
    """Sends a policy's text to the server at *url*, with the *params* that it was started with."""

    def send(text: str) -> str:
        words = [f"{name}={value!r}" for name, value in params.items()]
        answer = change(url, RELOAD, {"text": text, "path": str(path), "params": words}, key)
        policy = answer.engines[0].policy
        return f"lamps: policy {policy.name}, revision {policy.revision}, is in force"

    return send


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with a file's content; one that isn't there has a stamp too."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
