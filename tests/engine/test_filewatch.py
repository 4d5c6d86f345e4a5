"""`lamps serve --watch`: what is sent when a file changes, and what is said when it can't be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine_adapter.control.changes import Refusal
from engine_adapter.vllm.filewatch import FileWatch

BASE = 'lamps 1\npolicy base "B."\nrank request.arrival\n'


class Heard:
    def __init__(self, path: Path) -> None:
        self.sent: list[str] = []
        self.said: list[str] = []
        self.refuses = ""
        self.watch = FileWatch(path, self.send, self.said.append)

    def send(self, text: str) -> str:
        if self.refuses:
            raise Refusal(self.refuses)
        self.sent.append(text)
        return "done"


def write(path: Path, text: str, second: int) -> None:
    path.write_text(text)
    os.utime(path, (second, second))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "base.lamps", BASE, 1)
    write(tmp_path / "p.lamps", 'lamps 1\npolicy p "P."\nextends "base.lamps"\n', 1)
    return tmp_path / "p.lamps"


def test_a_change_is_sent_once(file: Path) -> None:
    heard = Heard(file)
    heard.watch.look()
    assert heard.sent == []
    write(file, BASE, 2)
    heard.watch.look()
    heard.watch.look()
    assert (heard.sent, heard.said) == ([BASE], ["done"])


def test_what_it_is_built_on_counts(file: Path) -> None:
    heard = Heard(file)
    write(file.with_name("base.lamps"), BASE.replace("arrival", "context"), 2)
    heard.watch.look()
    assert len(heard.sent) == 1 and "rank request.context" in heard.sent[0]


def test_a_file_with_errors_is_said_and_the_mended_one_sent(file: Path) -> None:
    heard = Heard(file)
    write(file, BASE + "rank 3tok > 2s\n", 2)
    heard.watch.look()
    assert heard.sent == [] and "error[LMP" in heard.said[0] and "stays in force" in heard.said[0]
    file.unlink()  # as some editors do
    heard.watch.look()
    write(file, BASE, 3)
    heard.watch.look()
    assert heard.sent == [BASE]


def test_a_refusal_is_said(file: Path) -> None:
    heard = Heard(file)
    heard.refuses = "the policy has no param `x`"
    write(file, BASE, 2)
    heard.watch.look()
    assert heard.said == ["lamps: p.lamps is not reloaded: the policy has no param `x`"]
