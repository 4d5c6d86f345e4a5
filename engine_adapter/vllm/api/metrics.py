"""Adds the `lamps_*` metrics to vLLM's own answer on /metrics.

vLLM makes that answer from a registry, or, with several API servers, from files that its processes share; what the
engines know is in neither, and asking them takes an await, which collectors have none of. So the answer is vLLM's, with
our text behind it: any API server process that is scraped tells the state of all engines. Seen in 0.31 and 0.32.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from engine_adapter.control.frames import Status, parse_status
from engine_adapter.control.metrics import DELIVERIES, METRICS, UP, Metric, deliveries

logger = logging.getLogger("lamps")

METRICS_PATH = "/metrics"
# Scrapes within this time are answered from one status: more scrapers cost the engines nothing more.
KEPT_S = 1.0
# The engine answers between two steps. Prometheus gives up on a scrape after 10 s by default.
TIMEOUT_S = 5.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Metrics:
    """The text of our metrics. *ask* gives the body of /lamps/status, without rows; raises where there is none."""

    def __init__(self, ask: Callable[[], Awaitable[bytes]], api_server: str) -> None:
        self._ask = ask
        self._api_server = api_server
        self._lock = asyncio.Lock()
        self._text = b""
        self._at = float("-inf")

    async def text(self) -> bytes:
        """In Prometheus' text format, at most `KEPT_S` old. Never raises."""
        async with self._lock:
            if time.monotonic() - self._at > KEPT_S:
                self._text = exposition(await self._status(), self._api_server)
                self._at = time.monotonic()
            return self._text

    async def _status(self) -> Status | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return parse_status(await self._ask())
        except Exception as problem:
            logger.warning("lamps: no metrics: %s", " ".join(str(problem).split()) or type(problem).__name__)
            return None


def exposition(status: Status | None, api_server: str) -> bytes:
    """The metrics of *status* in Prometheus' text format; None: the engines didn't answer."""
    from prometheus_client import generate_latest

    return generate_latest(_Families(families(status, api_server)))


def families(status: Status | None, api_server: str) -> list[Any]:
    """The same as metric families of prometheus_client."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    up = GaugeMetricFamily(*UP, value=float(status is not None))
    if status is None:
        return [up]
    kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
    found = [up]
    for metric in METRICS:
        family = kinds[metric.kind](metric.name, metric.help, labels=("engine", *metric.labels))
        for labels, value in _samples(metric, status):
            family.add_metric(labels, value)
        found.append(family)
    sent = CounterMetricFamily(*DELIVERIES, labels=("api_server", "result"))
    for labels, value in deliveries(status.api):
        sent.add_metric((api_server, *labels), value)
    return [*found, sent]


def _samples(metric: Metric, status: Status) -> Iterable[tuple[tuple[str, ...], float]]:
    for number, frame in enumerate(status.engines):
        for labels, value in metric.read(frame):
            yield (str(number), *labels), value


class _Families:
    """What prometheus_client writes: something to collect from."""

    def __init__(self, found: list[Any]) -> None:
        self._found = found

    def collect(self) -> list[Any]:
        return self._found


class AddedMetrics:
    """ASGI middleware: the answer to /metrics gets the text of *metrics()* behind it, if that is not None."""

    def __init__(self, app: App, metrics: Callable[[], Metrics | None]) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        metrics = self._metrics()
        if metrics is None or scope["type"] != "http" or scope["path"] != METRICS_PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = []

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                body.append(message.get("body", b""))

        await self._app(scope, receive, kept)
        headers = dict(start["headers"])
        whole = b"".join(body)
        if _is_plain(start["status"], headers):
            whole += await metrics.text()
            headers[b"content-length"] = str(len(whole)).encode()
        await send({**start, "headers": list(headers.items())})
        await send({"type": "http.response.body", "body": whole})


def _is_plain(status: int, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the answer is text to which text may be added."""
    return status == 200 and headers.get(b"content-type", b"").startswith(b"text/plain") and not (
        headers.get(b"content-encoding")
    )  # fmt: skip
