"""What `lamps explain` shows, against golden files, and of a server that says what the test wants.

`UPDATE_GOLDEN=1 pytest tests/cli/test_explain_views.py` writes the golden files anew: read the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.fake_server import FakeServer, answering
from tests.cli.running import lamps

HERE = Path(__file__).with_name("explain")
TEXT = 'lamps 1\npolicy p "P."\nparam most = 5s in 1s..1h\nrank request.context\npromote when request.waited >= most\n'
STATE: dict[str, Any] = {
    "version": 1,
    "policy": {"name": "p", "revision": "r", "path": "/p", "text": TEXT, "params": {"most": 9.0}},
    "engine": {"engine.now": 50.0, "engine.can_swap": False, "cost.prefill": 1e-4, "allow.preserve": True},
    "requests": {
        "chatcmpl-aa": {"session": "first", "request.context": 10.0, "request.deadline": "inf", "held_by": "kv"},
        "chatcmpl-bb": {"session": "other", "request.context": 20.0, "hint.x": 2, "held_by": "behind chatcmpl-aa"},
    },
    "running": {"cmpl-cc": {"session": "third"}},
    "paused": {"idle": {"handling": "discard", "call.tool": "t"}},
    "left_out": {"requests": 7, "paused": 0},
}


@pytest.mark.parametrize(
    ("golden", "arguments"),
    [
        ("seats.out", (HERE / "seats.lamps", HERE / "seats.yaml")),
        ("shallow.out", (HERE / "seats.lamps", HERE / "seats.yaml", "--depth", "0")),
        ("unstated.out", ("fcfs", HERE / "plain.yaml", "--request", "spared", "--request", "human")),
        ("victim.out", ("coding_agents", "--test", "a minute at the gate puts a turn first")),
        ("session.out", ("infercept", "--test", "without swap a call that has run too long is discarded")),
    ],
)
def test_views(golden: str, arguments: tuple[str | Path, ...]) -> None:
    done = lamps("explain", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / golden).write_text(done.stdout, encoding="utf-8")
    assert done.stdout == (HERE / golden).read_text(encoding="utf-8")


@pytest.fixture
def live() -> Iterator[FakeServer]:
    with answering({"version": 1, "engines": [STATE]}) as server:
        yield server


def test_a_server_is_explained_by_its_own_policy_and_parameters(live: FakeServer) -> None:
    done = lamps("explain", "--url", live.url, LAMPS_API_KEY="ours")
    assert (done.returncode, done.stderr) == (0, "")
    assert (live.got[0].path.rstrip("?"), live.got[0].authorization) == ("/lamps/state", "Bearer ours")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["order: chatcmpl-aa, chatcmpl-bb", "7 more requests not in this state"]
    assert "chatcmpl-aa (session first): place 1 of 2" in lines
    assert "  held by: kv (said by the engine, not by the policy)" in lines
    assert "behind chatcmpl-aa (said" not in done.stdout  # the order says so already
    assert "  it would be promoted with any one of" in lines
    assert "    request.waited  at least 9 seconds (now 0 seconds): in 9 seconds, if it waits on" in lines
    assert "cmpl-cc (session third): runs" in lines and "idle: paused, discard" in lines


def test_what_was_saved_is_explained_later_by_it_and_by_another(live: FakeServer, tmp_path: Path) -> None:
    saved = tmp_path / "state.json"
    now = lamps("explain", "--url", live.url, "--save", saved)
    assert now.stderr == f"wrote {saved}\n"
    assert json.loads(saved.read_text()) == STATE
    assert lamps("explain", saved).stdout == now.stdout
    other = lamps("explain", "fcfs", saved)
    assert other.returncode == 0 and "behind chatcmpl-aa, which arrived earlier" not in other.stdout
    assert "  held by: kv (said by the engine, not by the policy)" in other.stdout


@pytest.mark.parametrize("name", ["chatcmpl-bb", "b", "other"])
def test_one_request_by_any_of_its_names(live: FakeServer, name: str) -> None:
    done = lamps("explain", "--url", live.url, "--request", name)
    assert "chatcmpl-bb (session other): place 2 of 2" in done.stdout
    assert "chatcmpl-aa (session" not in done.stdout
    assert live.got[0].path == f"/lamps/state?request={name}"


def test_one_of_several_engines(live: FakeServer) -> None:
    empty = STATE | {"requests": {}, "running": {}, "paused": {}, "left_out": {}}
    live.body = json.dumps({"version": 1, "engines": [empty, STATE]})
    done = lamps("explain", "--url", live.url)
    assert done.returncode == ExitCode.USAGE and "choose one with --engine 0..1" in done.stderr
    assert lamps("explain", "--url", live.url, "--engine", "0").stdout == "nothing waits, runs or is paused\n"
    assert "place 2 of 2" in lamps("explain", "--url", live.url, "--request", "other").stdout
    assert "has no engine 2" in lamps("explain", "--url", live.url, "--engine", "2").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--request", "zz"), "there is no request zz\n  there are chatcmpl-aa"),
        (("--test", "t"), "give a state file, --test NAME or --url URL"),
        (("--save", "/no/such/folder/state.json"), "can't write /no/such/folder/state.json"),
    ],
)
def test_wrong_use_of_a_server_is_said(live: FakeServer, arguments: tuple[str, ...], said: str) -> None:
    done = lamps("explain", "--url", live.url, *arguments)
    assert done.returncode == ExitCode.USAGE
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, "{}", "asks for an API key"),
        (404, "{}", "it is not scheduled by lamps"),
        (200, "[]", "not the state of a lamps server"),
        (200, '{"engines": [{"requests": {"a": {"request.contxt": 1}}, "policy": {"text": "lamps 2"}}]}', "errors"),
    ],
)
def test_servers_without_a_state(live: FakeServer, status: int, body: str, said: str) -> None:
    live.status, live.body = status, body
    done = lamps("explain", "--url", live.url, LAMPS_API_KEY="", VLLM_API_KEY="")
    assert done.returncode in (ExitCode.UNREACHABLE, ExitCode.FINDINGS)
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_state_without_a_policy_needs_one(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"requests": {"a": {}}}')
    done = lamps("explain", state)
    assert done.returncode == ExitCode.USAGE and "this state brings no policy" in done.stderr
