"""A server that says what the test wants, for commands that speak to one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Got:
    """One request. *body*: its JSON, {} where it had none."""

    path: str
    body: dict[str, Any]
    authorization: str | None


class FakeServer:
    """Answers every request with *status* and *body*; remembers what it *got*."""

    def __init__(self, body: object) -> None:
        self.status, self.body = 200, json.dumps(body)
        self.got: list[Got] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.got.append(Got(self.path, json.loads(data or b"{}"), self.headers.get("Authorization")))
                self.send_response(fake.status)
                self.end_headers()
                self.wfile.write(fake.body.encode())

            do_GET = do_POST

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@contextmanager
def answering(body: object) -> Iterator[FakeServer]:
    """A server that answers *body* until it is told otherwise."""
    server = FakeServer(body)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()
