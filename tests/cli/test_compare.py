"""`lamps compare` from outside: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from lamps_cli.measuring.runs_file import RunsFile
from tests.cli.running import lamps
from tests.measuring import made


@pytest.fixture
def files(tmp_path: Path):
    def write(name: str, *slower: float, **of_line) -> Path:
        kept = RunsFile.read(tmp_path / name)
        for seed, factor in enumerate(slower):
            kept.add(made.line(seed=seed, slower=factor, **of_line))
        return kept.path

    return write


def test_no_worse(files) -> None:
    done = lamps("compare", files("a", 1.0, 1.0, 1.0), files("b", 1.0, 1.0, 1.0))
    assert done.returncode == ExitCode.OK
    assert done.stdout.splitlines()[-1] == "NO WORSE: 4 same"
    assert done.stderr == ""


def test_worse(files) -> None:
    a, b = files("a", 1.0, 1.01, 0.99, 1.0), files("b", 1.5, 1.52, 1.49, 1.5, code="c2")
    done = lamps("compare", a, b)
    assert done.returncode == ExitCode.FINDINGS
    lines = done.stdout.splitlines()
    assert lines[0] == f"A  {a}: lamps 0.1.0, code c1, vLLM 0.32.0"
    assert lines[1] == f"B  {b}: lamps 0.1.0, code c2, vLLM 0.32.0"
    assert lines[3] == "lamps at rate 2, 4 pairs"
    assert lines[5].split()[:4] == ["without", "tools'", "time,", "s"]
    assert lines[5].endswith("  worse")
    assert lines[-1].startswith("WORSE: ")
    better = lamps("compare", b, a, "--json")
    assert better.returncode == ExitCode.OK
    assert {verdict["call"] for verdict in json.loads(better.stdout)["verdicts"]} <= {"better", "same"}


def test_what_cannot_be_compared_is_told(files) -> None:
    done = lamps("compare", files("a", 1.0, 1.0), files("b", 1.0, 1.0, rate=3.0))
    assert done.returncode == ExitCode.USAGE
    assert "not compared: lamps at rate 2: only " in done.stdout
    assert done.stdout.splitlines()[-1] == "CAN'T BE COMPARED"


def test_a_metric_of_ones_own(files) -> None:
    a, b = files("a", 1.0, 1.0, 1.0), files("b", 1.0, 1.0, 1.0)
    done = lamps("compare", a, b, "--metric", "end_to_end_s.p50", "--json")
    assert [verdict["metric"] for verdict in json.loads(done.stdout)["verdicts"]] == ["end_to_end_s.p50"]
    unknown = lamps("compare", a, b, "--metric", "speed")
    assert unknown.returncode == ExitCode.USAGE
    assert "no metric is named speed" in unknown.stderr
    untold = lamps("compare", a, b, "--metric", "tenant_fairness")
    assert untold.returncode == ExitCode.USAGE
    assert "tenant_fairness is unknown or 0 in some run" in untold.stdout


def test_a_file_that_is_none(files, tmp_path: Path) -> None:
    done = lamps("compare", files("a", 1.0), tmp_path / "none")
    assert done.returncode == ExitCode.USAGE
    assert "there is no file" in done.stderr
    (tmp_path / "text").write_text("hello\n")
    done = lamps("compare", files("a", 1.0), tmp_path / "text")
    assert done.returncode == ExitCode.USAGE
    assert "holds no runs" in done.stderr
