"""Headless Chromium, driven over its DevTools protocol: what a page gets over its web socket, keys, pictures."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
# Nothing but the page: no look-ups of its maker's hosts, no sandbox, as tests may run as root.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--window-size=1200,800",
)  # fmt: skip
ESCAPES = re.compile(r"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[^\[]")


class Page:
    """A tab. *screen*: all that its terminal was sent so far, without colours; *problems*: what its console complained
    of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.screen = ""
        self.problems: list[str] = []
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; what happens meanwhile is taken note of."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while (message := json.loads(self._socket.recv(timeout=20))).get("id") != self._last:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    def until(self, condition: Callable[[], Any], limit_s: float = 30.0) -> None:
        """Take note of what happens until *condition* holds."""
        end = time.monotonic() + limit_s
        while not condition():
            try:
                self._note(json.loads(self._socket.recv(timeout=max(end - time.monotonic(), 0.01))))
            except TimeoutError:
                raise AssertionError(f"in vain; the last it was sent: {self.screen[-2000:]!r}") from None

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=ord(key.upper()), **text)

    def click(self, x: int, y: int) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.webSocketFrameReceived":
                frame = params["response"]
                data = base64.b64decode(frame["payloadData"]) if frame["opcode"] == 2 else b""
                self.screen += ESCAPES.sub("", data.decode(errors="replace"))
            case "Log.entryAdded":
                self.problems.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))


@contextmanager
def browsing(folder: Path, url: str) -> Iterator[Page]:
    """A page at *url*, in a browser with an empty profile in *folder*."""
    with (folder / "chromium.log").open("w") as log:
        browser = subprocess.Popen([CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"], stderr=log)
    try:
        port = _port(folder / "DevToolsActivePort")
        (tab,) = [one for one in httpx.get(f"http://127.0.0.1:{port}/json").json() if one["type"] == "page"]
        with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            page = Page(socket)
            page.ask("Page.navigate", url=url)
            yield page
    finally:
        browser.terminate()
        browser.wait(20)


def _port(path: Path) -> int:
    end = time.monotonic() + 30
    while not (path.exists() and len(path.read_text().splitlines()) == 2):
        assert time.monotonic() < end, "Chromium doesn't come up"
        time.sleep(0.05)
    return int(path.read_text().splitlines()[0])
