"""`lamps lint`: every file checked, every error shown, exit statuses that scripts can rely on."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lamps_cli.exit_codes import ExitCode
from policies import shipped
from tests.cli.running import LAMPS, lamps

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
    files = len(shipped()) if name == "policies" else 1
    assert done.stderr == f"checked {files} file{'s' * (files > 1)}, no errors\n"


def test_all_errors_of_all_files_are_shown_with_their_source(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", folder / "good.lamps")
    assert done.returncode == ExitCode.FINDINGS
    assert done.stdout.count("error[LMP") == 2
    assert f"--> {folder}/bad.lamps:5:6" in done.stdout
    assert "rank request.arival\n  |      ^^^^^^^^^^^^^^" in done.stdout
    assert "request.arrival" in done.stdout  # what was meant
    assert done.stderr == "checked 2 files, 2 errors, 1 note\n"


def test_a_folder_stands_for_its_policies(folder: Path) -> None:
    done = lamps("lint", ".", "--format", "concise", cwd=folder)
    assert done.returncode == ExitCode.FINDINGS
    places = ["bad.lamps:5:6:", "bad.lamps:6:19:", "good.lamps:3:1:"]
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == places
    assert done.stderr == "checked 2 files, 2 errors, 1 note\n"


def test_json_is_for_machines(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", "--format", "json")
    assert (done.returncode, done.stderr) == (ExitCode.FINDINGS, "")
    findings = json.loads(done.stdout)
    assert [(finding["line"], finding["severity"]) for finding in findings] == [(5, "error"), (6, "error")]
    assert json.loads(lamps("lint", "fcfs", "--format", "json").stdout) == []


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


# --- rules, formats, fixes

UNFAIR = 'lamps 1\npolicy unfair "The shortest answer first."\nparam spare = 1 in 0..2\nrank highest -predict.output\n'


@pytest.fixture
def unfair(tmp_path: Path) -> Path:
    path = tmp_path / "unfair.lamps"
    path.write_text(UNFAIR)
    return path


def test_warnings_fail_and_notes_do_not(unfair: Path, folder: Path) -> None:
    done = lamps("lint", unfair, "--format", "concise")
    assert done.returncode == ExitCode.FINDINGS
    assert [line.split(" ")[1] for line in done.stdout.splitlines()] == ["LMP612", "LMP601", "LMP608", "LMP301"]
    assert done.stderr == "checked 1 file, no errors, 3 warnings, 1 note\n"
    assert lamps("lint", unfair, "--fail-level", "error").returncode == 0
    assert lamps("lint", unfair, "--exit-zero").returncode == 0
    good = folder / "good.lamps"
    assert (lamps("lint", good).returncode, lamps("lint", good, "--fail-level", "info").returncode) == (0, 1)


def test_rules_are_selected_and_ignored(unfair: Path) -> None:
    def codes(*options: str) -> list[str]:
        return [x["code"] for x in json.loads(lamps("lint", unfair, "--format", "json", *options).stdout)]

    assert codes("--select", "LMP3,unused-param") == ["LMP601", "LMP301"]
    assert codes("--ignore", "LMP6") == ["LMP301"]
    wrong = lamps("lint", unfair, "--select", "unbounded-wiat")
    assert wrong.returncode == ExitCode.USAGE
    assert "did you mean unbounded-wait?" in wrong.stderr


def test_json_holds_the_fix(unfair: Path) -> None:
    (finding,) = json.loads(lamps("lint", unfair, "--format", "json", "--select", "LMP608").stdout)
    assert finding["fix"]["edits"][0]["text"] == "predict.output"
    assert finding["fix"]["title"] == "say the direction"


def test_github_annotations(unfair: Path) -> None:
    lines = lamps("lint", unfair, "--format", "github").stdout.splitlines()
    assert lines[0] == (
        f"::notice file={unfair},line=2,col=1,endColumn=42,title=LMP612::"
        'this policy has no test%0Ahelp: add `test "..." { ... }`'
    )
    assert lines[1].startswith("::warning ")


def test_sarif_names_the_rules_it_reports(unfair: Path) -> None:
    log = json.loads(lamps("lint", unfair, "--format", "sarif").stdout)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    assert {r["id"]: r["name"] for r in rules}["LMP301"] == "unbounded-wait"
    assert {r["level"] for r in run["results"]} == {"warning", "note"}
    region = run["results"][1]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 3, "startColumn": 7, "endLine": 3, "endColumn": 12}
    assert json.loads(lamps("lint", "fcfs", "--format", "sarif").stdout)["runs"][0]["results"] == []


def test_junit_has_a_case_for_each_file(unfair: Path) -> None:
    xml = ElementTree.fromstring(lamps("lint", unfair, "fcfs", "--format", "junit").stdout)
    cases = xml.findall(".//testcase")
    assert [case.find("failure") is not None for case in cases] == [True, False]
    assert xml.get("failures") == "1"
    text = cases[0].findtext("failure") or ""
    assert "LMP301" in text
    assert str(unfair) in text


def test_fix_writes_what_is_certain_and_shows_the_rest(unfair: Path) -> None:
    done = lamps("lint", unfair, "--fix", "--format", "concise")
    assert done.returncode == ExitCode.FINDINGS  # what is left is a warning
    after = 'lamps 1\npolicy unfair "The shortest answer first."\nrank predict.output\n'
    assert unfair.read_text() == after
    assert [line.split(" ")[1] for line in done.stdout.splitlines()] == ["LMP612", "LMP301"]
    assert done.stderr == "2 fixes in 1 file; left: no errors, 1 warning, 1 note\n"
    again = lamps("lint", unfair, "--fix", "--exit-zero")
    assert again.stderr.startswith("0 fixes in 0 files")
    assert unfair.read_text() == after


def test_diff_shows_fixes_and_writes_nothing(unfair: Path) -> None:
    done = lamps("lint", unfair, "--diff")
    assert done.returncode == ExitCode.FINDINGS
    assert "-rank highest -predict.output\n+rank predict.output\n" in done.stdout
    assert unfair.read_text() == UNFAIR
    assert lamps("lint", "fcfs", "--diff").returncode == 0


def test_fixing_keeps_line_endings_and_works_on_standard_input(unfair: Path) -> None:
    unfair.write_bytes(UNFAIR.replace("\n", "\r\n").encode())
    lamps("lint", unfair, "--fix")
    assert unfair.read_bytes().count(b"\r\n") == 3
    assert lamps("lint", "-", "--fix", stdin=UNFAIR).stdout.endswith("\nrank predict.output\n")


def test_fix_leaves_a_file_with_errors(folder: Path) -> None:
    done = lamps("lint", folder / "bad.lamps", "--fix")
    assert done.returncode == ExitCode.FINDINGS
    assert (folder / "bad.lamps").read_text() == BAD
    assert "error[LMP" in done.stdout


def test_verbose_says_what_is_proved_and_what_it_costs() -> None:
    said = lamps("lint", "sjf", "-v").stderr
    assert "overtaking: guard 60 s: after 60 s no later arrival starts before it\n" in said
    assert "cost: ranking takes" in said


def test_watch_checks_again_when_a_file_changes(folder: Path) -> None:
    good = folder / "good.lamps"
    with subprocess.Popen(
        [LAMPS, "lint", str(good), "--watch", "--format", "concise"], stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert "LMP612" in watching.stdout.readline()
        good.write_text(BAD)
        assert "LMP101" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == ExitCode.INTERRUPTED
    assert lamps("lint", "-", "--watch").returncode == ExitCode.USAGE
