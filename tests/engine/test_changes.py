"""The routes that change what decides: who may use them, and what they ask of the engines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from engine_adapter.vllm.api.changes import Changes
from engine_adapter.vllm.api.routes import Keys

FCFS = 'lamps 1\npolicy mine "P."\nparam patience = 5s in 1s..10s\nrank request.arrival\n'
NEAR, FAR = ("127.0.0.1", 5000), ("192.0.2.7", 5000)


class Engines:
    """Two engines; *answers* by command name, else an empty object from each."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[str]] = {
            "compile": ['{"pending": false}'] * 2, "prepare": ['{"policy": {"revision": "r1"}, "trial": {}}'] * 2
        }  # fmt: skip
        self.pending = 0  # how often the second engine hasn't compiled yet

    async def command(self, name: str, payload: str) -> list[str]:
        self.told.append((name, json.loads(payload)))
        if name == "compile" and self.pending:
            self.pending -= 1
            return ['{"pending": false}', '{"pending": true}']
        return self.answers.get(name, ["{}", "{}"])


@pytest.fixture
def engines() -> Engines:
    return Engines()


def client(engines: Engines, keys: tuple[str, ...] = (), near: tuple[str, int] = NEAR) -> TestClient:
    changes = Changes(Keys(keys), engines.command)
    names = ("off", "on", "reload", "params", "shadow")
    routes = [Route(f"/{name}", getattr(changes, name), methods=["POST"]) for name in names]
    return TestClient(Starlette(routes=routes), client=near)


def test_every_engine_takes_a_policy_or_none(engines: Engines) -> None:
    http = client(engines)
    answer = http.post("/reload", json={"text": FCFS, "params": ["patience=2s"], "trial_s": 7})
    assert answer.status_code == 200 and len(answer.json()["engines"]) == 2
    assert [name for name, _ in engines.told] == ["compile", "prepare", "commit"]
    assert engines.told[2][1] == {"revision": "r1", "shadow": False, "trial_s": 7.0}
    engines.told.clear()
    engines.answers["prepare"] = ["{}", '{"refused": "no"}']
    answer = http.post("/reload", json={"text": FCFS})
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, "engine 1: no")
    assert [name for name, _ in engines.told] == ["compile", "prepare"]


def test_no_engine_is_told_before_all_have_compiled(engines: Engines) -> None:
    engines.pending = 3
    assert client(engines).post("/reload", json={"text": FCFS}).status_code == 200
    assert [name for name, _ in engines.told] == ["compile"] * 4 + ["prepare", "commit"]
    engines.told.clear()
    assert client(engines).post("/params", json={"params": ["patience=2s"]}).status_code == 200
    assert [name for name, _ in engines.told] == ["prepare", "commit"]


@pytest.mark.parametrize(
    "body",
    [{"text": "lamps 1\npolicy bad\nrank 3tok > 2s"}, {"text": FCFS, "params": ["patience=99s"]}, {}, {"params": []}],
)
def test_what_is_wrong_reaches_no_engine(engines: Engines, body: dict[str, Any]) -> None:
    answer = client(engines).post("/reload", json=body)
    assert answer.status_code == 422 and answer.json()["error"]["message"]
    assert engines.told == []


def test_a_dry_run_commits_nothing(engines: Engines) -> None:
    assert client(engines).post("/reload", json={"text": FCFS, "dry_run": True}).status_code == 200
    assert [name for name, _ in engines.told] == ["compile", "prepare"]


@pytest.mark.parametrize("content", [b"[1]", b"{", b'{"txt": 1}', b"\xff"])
def test_nonsense_is_refused(engines: Engines, content: bytes) -> None:
    assert client(engines).post("/reload", content=content).status_code == 400
    assert engines.told == []


def test_with_a_key_the_key_decides(engines: Engines) -> None:
    http = client(engines, keys=("k",), near=FAR)
    assert http.post("/off").status_code == 401
    assert http.post("/off", headers={"Authorization": "Bearer k"}).status_code == 200
    assert engines.told == [("off", {})]


def test_without_a_key_only_this_machine_does(engines: Engines) -> None:
    assert client(engines, near=FAR).post("/off").status_code == 403
    assert client(engines).post("/off", headers={"Origin": "http://somewhere"}).status_code == 403
    assert engines.told == []
    assert client(engines).post("/off").status_code == 200


def test_an_engine_in_trouble_is_said(engines: Engines) -> None:
    engines.answers["on"] = ['{"error": "KeyError: 1"}', "{}"]
    answer = client(engines).post("/on")
    assert answer.status_code == 503 and "KeyError" in answer.json()["error"]["message"]
