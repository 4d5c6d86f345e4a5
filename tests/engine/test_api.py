"""The HTTP surface: OpenAI's API as it was, the control route beside it, both behind the same key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import policies
from engine_adapter.control.client import Unreachable, fetch_status
from lamps_cli.exit_codes import ExitCode
from policy_dsl.loading import load
from tests.cli.running import lamps
from tests.engine.server import KEY, Server

pytestmark = pytest.mark.server


def test_a_chat_completion_is_answered(server: Server) -> None:
    answer = server.openai().chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.completion_tokens <= 8


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}])
def test_status_asks_for_the_key_that_v1_asks_for(server: Server, header: dict[str, str]) -> None:
    status = httpx.get(f"{server.url}/lamps/status", headers=header)
    models = httpx.get(f"{server.url}/v1/models", headers=header)
    assert (status.status_code, models.status_code) == (401, 401)
    assert set(status.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_live_rows_ask_for_the_key_too(server: Server, header: dict[str, str]) -> None:
    assert httpx.get(f"{server.url}/lamps/state", headers=header).status_code == 401


def test_live_rows_are_explained_and_saved(server: Server, tmp_path: Path) -> None:
    said = "a sentence of the prompt"
    for n in range(2):
        server.openai().chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": f"{said} {n}"}], max_tokens=4,
            extra_headers={"X-Session-ID": f"explained-{n}"},
        )  # fmt: skip
    saved = tmp_path / "state.json"
    live = lamps("explain", "--url", server.url, "--api-key", KEY, "--save", saved)
    assert live.returncode == ExitCode.OK, live.stderr
    state = json.loads(saved.read_text())
    policy = server.status().engines[0].policy
    assert (state["policy"]["name"], state["policy"]["revision"]) == (policy.name, policy.revision)
    assert state["paused"] and said not in saved.read_text()
    assert lamps("explain", saved).stdout == live.stdout
    assert all(f"{key}: paused, " in live.stdout for key in state["paused"])


def test_status_tells_the_policy_and_its_revision(server: Server) -> None:
    frame = server.status().engines[0]
    assert frame.policy.name == "lamps"
    assert len(frame.policy.revision) == 12
    assert frame.engine["engine.kv_total"] == pytest.approx(159 * 32)  # one block is vLLM's own


def test_status_command_shows_the_frame(server: Server) -> None:
    done = lamps("status", server.url, "--api-key", KEY)
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout.startswith("lamps  revision ")
    assert "\x1b" not in done.stdout


def test_status_command_as_json_takes_the_key_from_the_environment(server: Server) -> None:
    done = lamps("status", server.url, "--json", LAMPS_API_KEY=KEY)
    assert done.returncode == ExitCode.OK, done.stderr
    assert json.loads(done.stdout)["engines"][0]["version"] == 1


def test_a_wrong_key_is_said_in_one_sentence(server: Server) -> None:
    with pytest.raises(Unreachable, match="the API key is wrong"):
        fetch_status(server.url, "wrong")
    done = lamps("status", server.url, LAMPS_API_KEY="", VLLM_API_KEY="")
    assert done.returncode == ExitCode.UNREACHABLE
    assert "the server asks for an API key" in done.stderr


def test_stock_metrics_and_models_are_still_there(server: Server) -> None:
    with server.http() as http:
        assert http.get("/v1/models").json()["data"][0]["id"] == "smollm2"
        assert "vllm:num_requests_running" in http.get("/metrics").text


def test_a_policy_is_changed_while_requests_are_served(server: Server, tmp_path: Path) -> None:
    assert httpx.post(f"{server.url}/lamps/off").status_code == 401
    before = server.status().engines[0].policy
    control = ("--url", server.url, "--api-key", KEY)

    def ask(n: int) -> str:
        said = server.openai().chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": f"Count from {n}."}], max_tokens=48, temperature=0
        )
        return said.choices[0].message.content or ""

    (tmp_path / "bad.lamps").write_text("lamps 1\npolicy bad\nrank 3tok > 2s\n")
    try:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, n) for n in range(16)]
            assert lamps("reload", tmp_path / "bad.lamps", *control).returncode == ExitCode.FINDINGS
            for words, state, name in (
                (("reload", "sjf", *control), "ok", "sjf"),
                (("off", *control), "off", "built_in"),
                (("on", *control), "ok", "sjf"),
                (("reload", "fcfs", "--shadow", *control), "ok", "sjf"),
                (("reload", "lamps", *control), "ok", "lamps"),
                (("params", "set", "patience=200", *control), "ok", "lamps"),
            ):
                done = lamps(*words)
                assert done.returncode == ExitCode.OK, done.stderr
                engine = server.status().engines[0]
                assert (engine.guard.state, engine.policy.name) == (state, name)
            assert all(answer.result() for answer in asked)
        assert engine.policy.params["patience"] == 200 and engine.policy.revision != before.revision
        assert engine.shadow is not None and engine.shadow.name == "fcfs"
        assert {"off", "on", "reload", "params", "shadow"} <= set(engine.capabilities)
        with server.http() as http:
            text = load(policies.find("lamps")).source.text
            assert http.post("/lamps/reload", json={"text": text}).status_code == 200
        assert server.status().engines[0].policy.revision == before.revision
    finally:
        lamps("reload", "lamps", *control)
        lamps("reload", "--drop-shadow", *control)
