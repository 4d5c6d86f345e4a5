"""`lamps test`: tests in policy files, from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps

GOOD = """lamps 1

policy good "Short first."

rank request.context

test "short first" {
  request a { request.context: 9tok }
  request b { request.context: 3tok }
  expect rank b, a
}
"""
WRONG = GOOD.replace("policy good", "policy wrong").replace("expect rank b, a", "expect rank a, b")
BROKEN = 'lamps 1\n\npolicy broken "t"\n\nrank request.contxt\n'
BESIDE = """lamps 1

policy good_test "Tests of good."

extends "good.lamps"

test "very short first" {
  request a { request.context: 2tok }
  request b { request.context: 1tok }
  expect rank b, a
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.lamps").write_text(GOOD)
    return tmp_path


def test_passing_tests_are_named(folder: Path) -> None:
    done = lamps("test", folder / "good.lamps")
    assert done.returncode == 0
    assert done.stdout == f"{folder}/good.lamps\n  ok    short first\n"
    assert done.stderr == "1 passed in 1 file\n"


def test_a_failing_expectation_is_shown_with_every_value(folder: Path) -> None:
    (folder / "wrong.lamps").write_text(WRONG)
    done = lamps("test", "wrong.lamps", cwd=folder)
    assert done.returncode == ExitCode.FINDINGS
    assert "  FAIL  short first\n" in done.stdout
    assert "expected a, b; the order is b, a" in done.stdout
    assert "wrong.lamps:10:" in done.stdout
    assert "expect rank a, b\n" in done.stdout and "^^^^" in done.stdout
    assert "b  rank 3\n" in done.stdout and "a  rank 9\n" in done.stdout
    assert done.stderr == "0 passed, 1 failed in 1 file\n"
    (line,) = lamps("test", "wrong.lamps", "--format", "concise", cwd=folder).stdout.splitlines()
    assert line.startswith('wrong.lamps:10:3: FAIL "short first": expected a, b')


def test_a_failing_expectation_says_of_what_time_it_is(folder: Path) -> None:
    steps = "  session s { call.elapsed: 1s }\n  at 4s\n  expect s paused swap\n"
    (folder / "late.lamps").write_text(
        'lamps 1\n\npolicy late "t"\n\non call preserve\n'
        f'while paused every 1s least {{ preserve: call.elapsed  discard: 2.5s }}\n\ntest "t" {{\n{steps}}}\n'
    )
    done = lamps("test", "late.lamps", cwd=folder)
    assert "at 4s: expected s paused swap; the answer is discard (line 6)" in done.stdout
    values = ("preserve        3", "discard         2.5", "s.call.elapsed  5", "decided at      2s")
    assert all(f"{line}\n" in done.stdout for line in values)
    document = json.loads(lamps("test", "late.lamps", "--format", "json", cwd=folder).stdout)
    assert document["files"][0]["tests"][0]["failures"][0]["at_s"] == 4.0


def test_a_policy_with_errors_shows_them_and_the_others_run(folder: Path) -> None:
    (folder / "broken.lamps").write_text(BROKEN)
    done = lamps("test", cwd=folder)
    assert done.returncode == ExitCode.FINDINGS
    assert "error[LMP" in done.stdout and "request.context" in done.stdout
    assert "ok    short first" in done.stdout
    assert done.stderr == "1 passed, 1 policy with errors in 2 files\n"


def test_tests_beside_a_policy_run_with_it(folder: Path) -> None:
    (folder / "good_test.lamps").write_text(BESIDE)
    done = lamps("test", folder / "good.lamps")
    assert (done.returncode, done.stderr) == (0, "2 passed in 2 files\n")
    assert "ok    very short first" in done.stdout


def test_tests_beside_a_policy_count_for_its_coverage(folder: Path) -> None:
    text = GOOD[: GOOD.index("test")].replace("rank", "on call if call.last { discard } else { preserve }\nrank")
    (folder / "good.lamps").write_text(text)
    (folder / "good_test.lamps").write_text(BESIDE)
    done = lamps("test", "good.lamps", "--coverage", cwd=folder)
    assert "coverage: 1 of 4 " in done.stdout
    assert "good.lamps:5:9: no test reaches `if` holding" in done.stdout


def test_only_the_tests_that_are_asked_for(folder: Path) -> None:
    assert lamps("test", "lamps", "fcfs", "-k", "WAITING").stderr == "1 passed in 1 file\n"
    done = lamps("test", folder, "-k", "nothing like it")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "error: no test has 'nothing like it' in its name\n"


def test_without_files_here_the_shipped_policies_are_tested(tmp_path: Path) -> None:
    done = lamps("test", cwd=tmp_path)
    assert "policies/lamps.lamps\n  ok    a long call" in done.stdout


def test_json_and_junit_are_for_machines(folder: Path) -> None:
    (folder / "wrong.lamps").write_text(WRONG.replace("short first", "a <b> & c"))
    (folder / "broken.lamps").write_text(BROKEN)
    done = lamps("test", folder, "--format", "json", "--coverage")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (ExitCode.FINDINGS, "")
    assert [file["passed"] for file in document["files"]] == [False, True, False]
    (test,) = document["files"][2]["tests"]
    assert test["failures"][0]["values"] == {"a": "rank 9", "b": "rank 3"}
    assert document["coverage"]["reached"] == 2
    root = ElementTree.fromstring(lamps("test", folder, "--format", "junit").stdout)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    (failed,) = (case for case in root.iter("testcase") if case.find("failure") is not None)
    assert failed.get("name") == "a <b> & c"


def test_a_mistyped_name_brings_the_nearest() -> None:
    done = lamps("test", "lmaps")
    assert done.returncode == ExitCode.USAGE
    assert "no file and no policy lmaps\n  did you mean lamps?\n" in done.stderr
