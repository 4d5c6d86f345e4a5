"""`lamps lint`: every file checked, every error shown, exit statuses that scripts can rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps

GOOD = 'lamps 1\n\npolicy good "First come, first served."\n\nrank request.arrival\n'
BAD = 'lamps 1\n\npolicy bad "Two mistakes."\n\nrank request.arival\npromote when 2s > 300tok\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.lamps").write_text(GOOD)
    (tmp_path / "bad.lamps").write_text(BAD)
    return tmp_path


@pytest.mark.parametrize("name", ["lamps", "fcfs", "sjf", "policies/lamps.lamps", "policies"])
def test_what_ships_is_clean(name: str) -> None:
    done = lamps("lint", name)
    assert (done.returncode, done.stdout) == (0, "")
    files = 3 if name == "policies" else 1
    assert done.stderr == f"checked {files} file{'s' * (files > 1)}, no errors\n"


def test_all_errors_of_all_files_are_shown_with_their_source(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", folder / "good.lamps")
    assert done.returncode == ExitCode.FINDINGS
    assert done.stdout.count("error[LMP") == 2
    assert f"--> {folder}/bad.lamps:5:6" in done.stdout
    assert "rank request.arival\n  |      ^^^^^^^^^^^^^^" in done.stdout
    assert "request.arrival" in done.stdout  # what was meant
    assert done.stderr == "checked 2 files, 2 errors\n"


def test_a_folder_stands_for_its_policies(folder: Path) -> None:
    done = lamps("lint", ".", "--format", "concise", cwd=folder)
    assert done.returncode == ExitCode.FINDINGS
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == ["bad.lamps:5:6:", "bad.lamps:6:19:"]
    assert done.stderr == "checked 2 files, 2 errors\n"


def test_json_is_for_machines(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", "--format", "json")
    assert (done.returncode, done.stderr) == (ExitCode.FINDINGS, "")
    findings = json.loads(done.stdout)
    assert [(finding["line"], finding["severity"]) for finding in findings] == [(5, "error"), (6, "error")]
    assert json.loads(lamps("lint", folder / "good.lamps", "--format", "json").stdout) == []


def test_exit_zero_shows_but_does_not_fail(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", "--exit-zero")
    assert done.returncode == 0
    assert "error[LMP" in done.stdout


def test_a_file_that_cannot_be_read_is_said_and_the_others_are_checked(folder: Path) -> None:
    done = lamps("lint", folder / "absent.lamps", folder / "bad.lamps", "--exit-zero")
    assert done.returncode == ExitCode.USAGE
    assert f"error: there is no file and no policy {folder}/absent.lamps\n" in done.stderr
    assert "checked 1 file, 2 errors" in done.stderr
    assert done.stdout.count("error[LMP") == 2


def test_a_mistyped_policy_name_brings_the_nearest() -> None:
    done = lamps("lint", "lmaps")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: there is no file and no policy lmaps: did you mean lamps?\n")


def test_a_folder_without_policies_is_wrong_use(tmp_path: Path) -> None:
    done = lamps("lint", tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "is a folder without *.lamps files" in done.stderr


def test_standard_input_has_a_name() -> None:
    done = lamps("lint", "-", "--stdin-filename", "editor.lamps", "--format", "concise", stdin=BAD)
    assert done.returncode == ExitCode.FINDINGS
    assert done.stdout.startswith("editor.lamps:5:6: ")
    assert lamps("lint", "-", "--format", "concise", stdin=BAD).stdout.startswith("<stdin>:5:6: ")
    assert lamps("lint", "lamps", "--stdin-filename", "x").returncode == ExitCode.USAGE


def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "latin.lamps"
    path.write_bytes(GOOD.replace("First", "F\u00fcrst").encode("latin-1"))
    done = lamps("lint", path)
    assert done.returncode == ExitCode.FINDINGS
    assert "this is not UTF-8 text" in done.stdout


def test_colour_is_for_terminals_or_for_who_asks(folder: Path) -> None:
    bad = folder / "bad.lamps"
    assert "\x1b[" not in lamps("lint", bad).stdout
    assert "\x1b[" in lamps("--color", "always", "lint", bad).stdout
    assert "\x1b[" in lamps("lint", bad, FORCE_COLOR="1").stdout
    assert "\x1b[" not in lamps("--color", "never", "lint", bad, FORCE_COLOR="1").stdout
    assert "\x1b[" not in lamps("--color", "auto", "lint", bad, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_nothing_to_check_is_wrong_use() -> None:
    assert lamps("lint").returncode == ExitCode.USAGE
