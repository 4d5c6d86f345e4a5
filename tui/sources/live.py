"""Live servers: a reader thread for each, which goes on trying when a server is lost.

A server that isn't scheduled by lamps is watched through its `/metrics`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from engine_adapter.control.client import NotLamps, Unreachable, base_url, stream_status
from engine_adapter.control.frames import JUDGED, Status
from tui.model import Delivery
from tui.sources import Deliver, Playback
from tui.sources.metrics import read_metrics

# Between two attempts to reach a lost server: quickly at first, then no more often than this.
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 5.0


class Live:
    """The servers at *urls*, asked for a frame every *every_s* seconds with *rows* rows of a kind.

    *judged*: the kinds of which each comes with what the policy says of it; a change opens another connection.
    """

    playback: Playback | None = None
    judged: Sequence[str] = JUDGED

    def __init__(self, urls: Sequence[str], key: str | None, every_s: float, rows: int = 50) -> None:
        self.urls = tuple(dict.fromkeys(base_url(url) for url in urls))
        self.key = key
        self._every_s = every_s
        self._rows = rows
        self._stopped = threading.Event()

    @property
    def title(self) -> str:
        return ", ".join(name_of(url) for url in self.urls)

    def start(self, deliver: Deliver) -> None:
        for url in self.urls:
            threading.Thread(target=self._read, args=(url, deliver), name=f"reader of {url}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _read(self, url: str, deliver: Deliver) -> None:
        server, retry_s = name_of(url), FIRST_RETRY_S
        while not self._stopped.is_set():
            try:
                for said in self._said(url):
                    if self._stopped.is_set():
                        return
                    retry_s = FIRST_RETRY_S
                    if isinstance(said, str):
                        deliver([Delivery(server, time.monotonic(), trouble=said)])
                    else:
                        deliver([Delivery(server, time.monotonic(), status=said)])
            except NotLamps as problem:
                if self._read_plain(url, server, deliver):
                    continue
                deliver([Delivery(server, time.monotonic(), trouble=str(problem), hint=problem.hint)])
            except Unreachable as problem:
                deliver([Delivery(server, time.monotonic(), trouble=str(problem), hint=problem.hint)])
            self._stopped.wait(retry_s)
            retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    def _said(self, url: str) -> Iterator[Status | str]:
        """What the server at *url* says until it is lost: asked anew when other rows are to be judged."""
        while True:
            judged = self.judged
            for said in stream_status(url, self.key, self._every_s, self._rows, judged):
                yield said
                if judged != self.judged:
                    break

    def _read_plain(self, url: str, server: str, deliver: Deliver) -> bool:
        """Watch a server without lamps until it is lost; whether it could be watched at all."""
        seen = False
        while not self._stopped.is_set():
            status = read_metrics(url, self.key)
            if status is None:
                return seen
            seen = True
            deliver([Delivery(server, time.monotonic(), status=status)])
            self._stopped.wait(max(self._every_s, 1.0))
        return seen


def name_of(url: str) -> str:
    """A server's URL without what all have in common."""
    return base_url(url).removeprefix("http://").removeprefix("127.0.0.1")
