"""`lamps rule`: the documentation of every rule, from the command line."""

from __future__ import annotations

import json

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps


def test_a_rule_is_found_by_code_and_by_name() -> None:
    page = lamps("rule", "LMP301")
    assert page.returncode == 0
    assert page.stdout.startswith("# unbounded-wait (LMP301)\n\nNo proof that ")
    assert "## Why" in page.stdout
    assert lamps("rule", "unbounded-wait").stdout == page.stdout


def test_all_rules_are_listed() -> None:
    lines = lamps("rule", "--all").stdout.splitlines()
    assert len(lines) >= 25
    assert lines == sorted(lines)
    assert all(line.startswith("LMP") and line.endswith(".") for line in lines)


def test_json() -> None:
    (found,) = json.loads(lamps("rule", "title", "--json").stdout)
    assert (found["code"], found["severity"]) == ("LMP604", "warning")
    assert "## Avoid" in found["page"]


def test_wrong_use() -> None:
    assert lamps("rule").returncode == ExitCode.USAGE
    wrong = lamps("rule", "unbounded-wiat")
    assert wrong.returncode == ExitCode.USAGE
    assert "did you mean unbounded-wait?" in wrong.stderr
