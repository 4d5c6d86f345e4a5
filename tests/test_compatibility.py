"""The releases that are supported: said alike everywhere, and none of which `make compat` has found that it fails."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from engine_adapter.vllm.compat_api import SUPPORTED
from lamps_cli.checkup import TRANSFORMERS

ROOT = Path(__file__).parent.parent
SEEN = json.loads((ROOT / "requirements" / "compatibility.json").read_text())


def release(seen: dict[str, str]) -> str:
    return ".".join(seen["release"].split(".")[:2])


def test_none_that_is_supported_fails() -> None:
    supported = [seen for seen in SEEN if release(seen) in SUPPORTED]
    assert {release(seen) for seen in supported} == set(SUPPORTED)
    assert all(not seen["lacking"] and not seen["failed"] for seen in supported)
    assert any(seen["tests"] for seen in supported)


def test_the_newest_for_gpus_was_looked_up() -> None:
    (cuda,) = [seen for seen in SEEN if seen["distribution"] == "vllm"]
    assert release(cuda) >= SUPPORTED[-1]


def test_pip_doctor_and_pages_say_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (engine,) = [Requirement(line) for line in project["optional-dependencies"]["engine"]]
    taken = {f"0.{minor}" for minor in range(60) if engine.specifier.contains(f"0.{minor}.1")}
    assert taken == set(SUPPORTED) == set(TRANSFORMERS)
    named = " and ".join(SUPPORTED)
    assert f"vLLM {named}." in (ROOT / "README.md").read_text()
    assert f"supported: {named}." in (ROOT / "docs" / "compatibility.md").read_text()
