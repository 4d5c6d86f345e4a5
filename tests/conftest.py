"""Which tests stay together where several processes run them: those of a file, and all files that start servers.

A server takes both cores for half a minute to start, and one is shared by all tests that only talk to it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parents[1]


class FilesTogether(LoadFileScheduling):
    """A file after the other to whichever process is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "servers" if _starts_servers(file) else file


@cache
def _starts_servers(file: str) -> bool:
    return "mark.server" in (ROOT / file).read_text()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    return FilesTogether(config, log)
