"""docs/guarantees.md names tests: they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text())


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_test_is_there(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_there_is_one_in_every_row() -> None:
    rows = [line for line in (ROOT / "docs" / "guarantees.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 25 and len(NAMED) > 50
    bare = [row for row in rows if "tests/" not in row and "benchmarks" not in row and "---" not in row]
    assert [row.split(" | ")[1] for row in bare] == ["shown by |"] * 2
