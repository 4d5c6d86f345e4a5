"""`lamps decisions`: reading a decision log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps
from tests.runtime.test_decision_log import logged_call


def test_a_log_is_shown_line_by_line(tmp_path: Path) -> None:
    logged_call(tmp_path / "log", Counter(), session="mine")
    done = lamps("decisions", tmp_path / "log")
    assert done.returncode == ExitCode.OK, done.stderr
    said = [line[21:].split() for line in done.stdout.splitlines()]
    wanted = [["admit", "mine", "admitted"], ["call", "mine", "discard"], ["turn", "mine", "ended"]]
    assert [words[:3] for words in said] == wanted


def test_a_request_is_explained_from_the_log(tmp_path: Path) -> None:
    logged_call(tmp_path / "log", Counter(), session="mine")
    done = lamps("decisions", tmp_path / "log", "--request", "a", "--kind", "call")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "revision " in done.stdout and ", line " in done.stdout
    assert "    discard: 40, chosen\n" in done.stdout
    assert "    call.duration = 5\n" in done.stdout
    assert not lamps("decisions", tmp_path / "log", "--request", "other").stdout


def test_json_lines_and_what_was_cut(tmp_path: Path) -> None:
    logged_call(tmp_path / "log", Counter())
    with (tmp_path / "log").open("ab") as log:
        log.write(b'{"number": 3, "at": 1')
    done = lamps("decisions", tmp_path / "log", "--json")
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["admit", "call", "turn"]
    assert "1 line was left out" in done.stderr


def test_a_missing_log_is_said(tmp_path: Path) -> None:
    done = lamps("decisions", tmp_path / "nothing")
    assert done.returncode == ExitCode.USAGE
    assert "there is no such file" in done.stderr
