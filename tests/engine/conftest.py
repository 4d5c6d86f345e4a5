"""One real server for all tests that talk to one: SmolLM2 under the LAMPS policy, short of KV memory, behind a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.server import FLAGS, KEY, Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "server.log"
    with serving(log, *FLAGS, key=KEY, VLLM_LOGGING_LEVEL="INFO") as running:
        yield running
