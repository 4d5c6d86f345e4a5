"""Files that a user names: refused before any work, or written where they were meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamps_cli.errors import Failure
from lamps_cli.writing import need_folder, save


def test_what_passes_before_the_work_can_be_written_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in (tmp_path / "plain.json", Path("~/home.json")):
        need_folder(named)
        save(named, "kept\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "plain.json": "kept\n",
        "home.json": "kept\n",
    }


def test_a_folder_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    for refused in (need_folder, lambda path: save(path, "lost")):
        with pytest.raises(Failure, match=r"can't write .*missing"):
            refused(tmp_path / "missing" / "x.json")
