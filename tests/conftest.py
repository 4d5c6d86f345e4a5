"""Which tests stay together where several processes run them: those of a file, and those that start servers.

A server takes both cores for half a minute to start, and one is shared by all that only talk to it.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        group = "server" if item.get_closest_marker("server") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
