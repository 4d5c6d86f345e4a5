"""Live sources: servers that answer, refuse, die and return; plain vLLM."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine_adapter.control.frames import VERSION
from tests.tui.screens import line, press, running, text
from tui.model import PLAIN, Delivery
from tui.sources import live
from tui.sources.live import Live, name_of
from tui.sources.metrics import status_of

STATUS: dict[str, Any] = {
    "version": VERSION,
    "engines": [{"version": VERSION, "policy": {"name": "p", "revision": "r"}, "at": 1.0, "waiting_total": 3}],
}
METRICS = """
# HELP vllm:num_requests_running Number of requests
vllm:num_requests_running{engine="0",model_name="m"} 5.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:generation_tokens_total{engine="0",model_name="m"} 1234.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 50.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="1.0",model_name="m"} 98.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 100.0
"""


class Told:
    """Collects what a source delivers."""

    def __init__(self) -> None:
        self.all: list[Delivery] = []
        self._new = threading.Condition()

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        with self._new:
            self.all += deliveries
            self._new.notify()

    def until(self, condition: Callable[[list[Delivery]], Any], limit_s: float = 20.0) -> list[Delivery]:
        end = time.monotonic() + limit_s
        with self._new:
            while not condition(self.all):
                assert self._new.wait(max(end - time.monotonic(), 0.0)), [d.trouble or "status" for d in self.all]
            return list(self.all)


class Server:
    """Answers as *answer* says: (status, content type, body); events are sent *events* times, then it closes."""

    def __init__(self, port: int = 0) -> None:
        self.paths: dict[str, tuple[int, str]] = {}
        self.events: list[str] = []
        self.authorization = ""
        self.asked: list[str] = []
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                mine.asked.append(query)
                mine.authorization = self.headers.get("Authorization", "")
                if path == "/lamps/events" and mine.events:
                    self.send_response(200)
                    self.end_headers()
                    for event in mine.events:
                        self.wfile.write(event.encode())
                        self.wfile.flush()
                    return
                code, body = mine.paths.get(path, (404, "{}"))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(live, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(live, "LONGEST_RETRY_S", 0.05)
    return Told()


def data(status: object) -> str:
    return f"data: {json.dumps(status)}\n\n"


def test_events_are_read_and_a_stream_that_ends_is_opened_again(server: Server, told: Told) -> None:
    server.events = [data(STATUS), "event: trouble\ndata: the engine sleeps\n\n", data(STATUS)]
    source = Live([server.url], "secret", 0.25)
    source.start(told)
    found = told.until(lambda all: len(all) >= 5)
    source.stop()
    assert [d.trouble.partition(" closed")[0] if "closed" in d.trouble else d.trouble for d in found[:4]] == [
        "", "the engine sleeps", "", server.url,
    ]  # fmt: skip
    assert found[4].status is not None  # it was opened again
    assert found[0].server == name_of(server.url) and server.authorization == "Bearer secret"


def test_a_stream_is_opened_anew_when_rows_are_to_be_judged(server: Server, told: Told) -> None:
    server.events = [data(STATUS)] * 200
    source = Live([server.url], None, 0.25, rows=30)
    source.judged = ()
    source.start(told)
    told.until(lambda all: len(all) >= 2)
    source.judged = ("waiting",)
    told.until(lambda all: len(server.asked) >= 2)
    source.stop()
    assert ["judged=waiting" in query for query in server.asked[:2]] == [False, True]
    assert all("judged=" in query for query in server.asked) and all("rows=30" in query for query in server.asked)
    assert not any(delivery.trouble for delivery in told.all[:200])


def test_a_server_from_before_there_were_events_is_asked_again_and_again(server: Server, told: Told) -> None:
    server.paths["/lamps/status"] = (200, json.dumps(STATUS))
    source = Live([server.url], None, 0.05)
    source.start(told)
    found = told.until(lambda all: len(all) >= 3)
    source.stop()
    assert all(d.status is not None and d.status.engines[0].waiting_total == 3 for d in found)


def test_plain_vllm_is_watched_by_its_metrics(server: Server, told: Told) -> None:
    server.paths["/metrics"] = (200, METRICS)
    source = Live([server.url], None, 0.05)
    source.start(told)
    (first, *_) = told.until(len)
    source.stop()
    assert first.status is not None
    frame = first.status.engines[0]
    assert frame.policy.name == PLAIN and "not scheduled by lamps" in frame.policy.title
    assert (frame.running_total, frame.waiting_total, frame.flow.generated_tokens) == (7, 4, 1234)
    assert frame.memory.running == 0.25 * frame.memory.total
    assert (frame.latency.first_token.p50, frame.latency.first_token.p99) == (0.1, 1.0)


async def test_plain_vllm_on_the_screen(server: Server) -> None:
    server.paths["/metrics"] = (200, METRICS)
    async with running(Live([server.url], None, 0.25)) as pilot:
        for _ in range(200):
            if "running " in text(pilot):
                break
            await pilot.pause(0.05)
        assert "not scheduled by lamps" in " ".join(text(pilot).split())
        assert line(pilot, "running  ").startswith("running 7 peak 7") and line(pilot, "waiting  ").startswith(
            "waiting 4"
        )
        await press(pilot, "2")
        assert "4 wait; only a lamps server tells which" in text(pilot)
        await press(pilot, "o", "4", "o")
        assert len(pilot.app.screen_stack) == 1


def test_a_wrong_key_is_said(server: Server, told: Told) -> None:
    server.paths["/lamps/events"] = (401, "{}")
    source = Live([server.url], "wrong", 0.25)
    source.start(told)
    (first, *_) = told.until(len)
    source.stop()
    assert "the API key is wrong" in first.trouble and "--api-key" in first.hint


def test_metrics_of_something_else_are_not_taken_for_vllms() -> None:
    assert status_of("process_cpu_seconds_total 3.0\n", 0.0) is None
    assert status_of("", 0.0) is None


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/lamps/events", (401, "{}"), "asks for an API key"),
        ("/lamps/events", (503, '{"error": {"message": "starting"}}'), "status 503: starting"),
        ("/lamps/status", (200, json.dumps({**STATUS, "version": 99})), "the server is newer"),
        ("/lamps/status", (200, "<html>"), "not a status of a lamps server"),
        ("/other", (200, ""), "not scheduled by lamps"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    server: Server, told: Told, path: str, answer: tuple[int, str], said: str
) -> None:
    server.paths[path] = answer
    source = Live([server.url], None, 0.25)
    source.start(told)
    (first, *_) = told.until(len)
    source.stop()
    assert said in first.trouble and first.status is None


def test_a_server_that_dies_and_returns(told: Told) -> None:
    first = Server()
    port = first.http.server_port
    first.events = [data(STATUS)]
    source = Live([first.url], None, 0.25)
    source.start(told)
    told.until(lambda all: any(d.status for d in all))
    first.close()
    told.until(lambda all: "nothing answers" in all[-1].trouble)
    before = len(told.all)
    again = Server(port)
    again.events = [data(STATUS)]
    told.until(lambda all: any(d.status for d in all[before:]))
    source.stop()
    again.close()
