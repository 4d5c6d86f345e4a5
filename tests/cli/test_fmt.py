"""`lamps fmt`: files rewritten whole or not at all, and exit statuses that scripts can rely on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps

UGLY = 'lamps 1\npolicy ugly "t" # why\nrank   request.arrival\n'
TIDY = 'lamps 1\n\npolicy ugly "t"  # why\n\nrank request.arrival\n'
BAD = 'lamps 1\npolicy bad "t"\nrank   request.arrival ,\n'


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "ugly.lamps"
    path.write_text(UGLY)
    return path


def test_a_file_is_rewritten_once(ugly: Path) -> None:
    ugly.chmod(0o640)
    done = lamps("fmt", ugly)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"formatted {ugly}\n1 file formatted\n"
    assert ugly.read_text() == TIDY
    assert stat.S_IMODE(ugly.stat().st_mode) == 0o640
    before = ugly.stat()
    assert lamps("fmt", ugly).stderr == "1 file left unchanged\n"
    assert (ugly.stat().st_ino, ugly.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(ugly.parent) == ["ugly.lamps"]


def test_check_writes_nothing_and_fails(ugly: Path) -> None:
    done = lamps("fmt", "--check", ugly)
    assert (done.returncode, done.stdout) == (ExitCode.FINDINGS, "")
    assert done.stderr == f"would format {ugly}\n1 file to format\n"
    assert ugly.read_text() == UGLY
    ugly.write_text(TIDY)
    assert lamps("fmt", "--check", ugly).returncode == 0


def test_diff_writes_nothing_and_shows_lines(ugly: Path) -> None:
    done = lamps("fmt", "--diff", ugly)
    assert done.returncode == ExitCode.FINDINGS
    assert "-rank   request.arrival\n" in done.stdout
    assert "+rank request.arrival\n" in done.stdout
    assert ugly.read_text() == UGLY
    assert "\x1b[31m-rank" in lamps("--color", "always", "fmt", "--diff", ugly).stdout


def test_what_ships_is_formatted() -> None:
    done = lamps("fmt", "--check", "policies", cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout) == (0, "")


def test_standard_input_to_standard_output() -> None:
    done = lamps("fmt", "-", stdin=UGLY)
    assert (done.returncode, done.stdout, done.stderr) == (0, TIDY, "")
    assert lamps("fmt", "-", "--check", stdin=UGLY).stderr == "would format <stdin>\n"
    wrong = lamps("fmt", "-", "--stdin-filename", "editor.lamps", stdin=BAD)
    assert (wrong.returncode, wrong.stdout) == (ExitCode.FINDINGS, "")
    assert "--> editor.lamps:3:25" in wrong.stderr
    assert lamps("fmt", "--stdin-filename", "x", "policies").returncode == ExitCode.USAGE


def test_a_file_with_syntax_errors_is_left_and_the_others_are_formatted(ugly: Path) -> None:
    bad = ugly.with_name("bad.lamps")
    bad.write_text(BAD)
    done = lamps("fmt", cwd=ugly.parent)
    assert done.returncode == ExitCode.FINDINGS
    assert "error[LMP003]" in done.stderr
    assert done.stderr.endswith("1 file formatted, 1 file with errors\n")
    assert bad.read_text() == BAD
    assert ugly.read_text() == TIDY


def test_bytes_that_are_no_text_are_left(tmp_path: Path) -> None:
    path = tmp_path / "latin.lamps"
    data = UGLY.replace("why", "w\u00fcrde").encode("latin-1")
    path.write_bytes(data)
    done = lamps("fmt", path)
    assert done.returncode == ExitCode.FINDINGS
    assert "this is not UTF-8 text" in done.stderr
    assert path.read_bytes() == data


def test_line_endings_and_byte_order_marks_become_plain(tmp_path: Path) -> None:
    path = tmp_path / "windows.lamps"
    path.write_bytes(b"\xef\xbb\xbf" + TIDY.replace("\n", "\r\n").encode())
    assert lamps("fmt", path).returncode == 0
    assert path.read_bytes() == TIDY.encode()


def test_a_link_stays_a_link(ugly: Path) -> None:
    link = ugly.with_name("link.lamps")
    link.symlink_to(ugly.name)
    assert lamps("fmt", link).returncode == 0
    assert link.is_symlink()
    assert ugly.read_text() == TIDY


def test_a_link_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    link = tmp_path / "link.lamps"
    link.symlink_to("absent.lamps")
    done = lamps("fmt", link)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"error: {link} is a link that leads nowhere (absent.lamps)\n")
    assert "there is no file" in lamps("fmt", tmp_path / "absent.lamps").stderr


def test_a_read_only_file_stays(ugly: Path) -> None:
    ugly.chmod(0o444)
    done = lamps("fmt", ugly)
    assert done.returncode == ExitCode.USAGE
    assert f"error: can't write {ugly}: it is read-only\n" in done.stderr
    assert ugly.read_text() == UGLY


def test_a_folder_without_policies_is_wrong_use(tmp_path: Path) -> None:
    assert "is a folder without *.lamps files" in lamps("fmt", tmp_path).stderr
    assert lamps("fmt", tmp_path).returncode == ExitCode.USAGE
