"""`lamps policy`: list, show, diff, new."""

from __future__ import annotations

import json
from pathlib import Path

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps


def test_list_says_what_each_does_and_what_is_proved() -> None:
    listed = lamps("policy", "list").stdout
    assert "lamps  " in listed and "LAMPS (arXiv 2410.18248)" in listed
    found = {one["name"]: one for one in json.loads(lamps("policy", "list", "--json").stdout)}
    assert found["fcfs"]["overtaking"] == "order"
    assert found["lamps"]["overtaking"] == "guard 10 s"
    assert found["lamps"]["statements"] == ["rank", "on call", "while paused", "promote"]


def test_show_prints_the_file() -> None:
    import policies

    assert lamps("policy", "show", "sjf").stdout == policies.shipped()["sjf"].read_text()
    shown = lamps("policy", "show", "lamps", "--params").stdout
    assert shown == "patience = 10 in 0.1..3600 (seconds)  # a request that waited this long goes first\n"


def test_show_flat_is_a_policy_that_means_the_same(tmp_path: Path) -> None:
    child = tmp_path / "child.lamps"
    child.write_text(
        'lamps 1\n\npolicy child "t"\n\nextends lamps\n\noverride param patience = 5s in 100ms..1h\n\n'
        'drop promote "nothing waits here"\n'
    )
    flat = lamps("policy", "show", child, "--flat").stdout
    assert f"# {child}:7\nparam patience = 5s in 100ms..1h" in flat
    assert "lamps.lamps:13\non call least {" in flat
    assert "promote" not in flat
    (tmp_path / "flat.lamps").write_text(flat)
    done = lamps("policy", "diff", child, tmp_path / "flat.lamps")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "they mean the same\n")


def test_diff_shows_both_texts_and_what_differs_through_others(tmp_path: Path) -> None:
    assert lamps("policy", "new", "mine", "--like", "lamps", cwd=tmp_path).returncode == 0
    path = tmp_path / "mine.lamps"
    path.write_text(path.read_text().replace("2 * swap_time", "3 * swap_time"))
    done = lamps("policy", "diff", "lamps", path)
    assert done.returncode == ExitCode.FINDINGS
    assert "on call: differs through what it reads\n" in done.stdout
    assert "let move:\n  - let move = 2 * swap" in done.stdout
    assert done.stderr == "3 differences\n"
    found = json.loads(lamps("policy", "diff", "lamps", path, "--json").stdout)
    assert [d["what"] for d in found] == ["rank", "on call", "let move"]


def test_a_new_policy_is_clean_formatted_and_passes(tmp_path: Path) -> None:
    done = lamps("policy", "new", "mine", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "wrote mine.lamps" in done.stderr
    for check in (("lint", "mine.lamps"), ("fmt", "--check", "mine.lamps"), ("test", "mine.lamps")):
        done = lamps(*check, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "coverage: 7 of 7" in lamps("test", "mine.lamps", "--coverage", cwd=tmp_path).stdout


def test_new_writes_over_nothing_unless_told(tmp_path: Path) -> None:
    (tmp_path / "mine.lamps").write_text("precious")
    done = lamps("policy", "new", "mine", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "error: mine.lamps is there already\n  --force writes over it\n"
    assert (tmp_path / "mine.lamps").read_text() == "precious"
    assert lamps("policy", "new", "mine", "--force", cwd=tmp_path).returncode == 0
    assert lamps("policy", "new", "My-Policy", cwd=tmp_path).returncode == ExitCode.USAGE


def test_policies_with_errors_and_unknown_ones(tmp_path: Path) -> None:
    bad = tmp_path / "bad.lamps"
    bad.write_text('lamps 1\n\npolicy bad "t"\n\nrank request.arival\n')
    done = lamps("policy", "diff", bad, "fcfs")
    assert done.returncode == ExitCode.FINDINGS
    assert "error[LMP" in done.stderr and f"error: {bad} has errors\n" in done.stderr
    done = lamps("policy", "show", "lmaps")
    assert done.returncode == ExitCode.USAGE
    assert "did you mean lamps?" in done.stderr
