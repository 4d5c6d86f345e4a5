"""`lamps off`, `on`, `reload` and `params` against a server that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.fake_server import FakeServer, Got, answering
from tests.cli.running import lamps

POLICY = {"name": "p", "revision": "0123456789ab", "params": {}}
TRIAL = {"waiting": 12, "compared": 12, "moved": 3, "asked": 2, "differing": 1, "rank_s": 0.0005, "nans": 1}
ON = {"policy": POLICY, "state": "on", "trial": TRIAL}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with answering({"version": 1, "engines": [ON]}) as server:
        yield server


@pytest.mark.parametrize("command", ["off", "on"])
def test_off_and_on_tell_the_server(fake: FakeServer, command: str) -> None:
    off = {"policy": POLICY, "state": "off"}
    fake.body = json.dumps({"version": 1, "engines": [off, off] if command == "off" else [{**ON, "trial": None}]})
    done = lamps(command, "--url", fake.url, "--api-key", "k")
    assert done.returncode == ExitCode.OK, done.stderr
    assert fake.got == [Got(f"/lamps/{command}", {}, "Bearer k")]
    if command == "on":
        assert done.stdout == "on: policy p, revision 0123456789ab\n"
    else:  # each engine is told, and tells
        assert [line[:14] for line in done.stdout.splitlines()] == ["engine 0: off:", "engine 1: off:"]


def test_a_policy_is_sent_whole(fake: FakeServer, tmp_path: Path) -> None:
    base = 'lamps 1\npolicy base "B."\nparam patience = 5s in 1s..10s\nrank request.arrival\n'
    (tmp_path / "base.lamps").write_text(base)
    built = 'lamps 1\npolicy built "B."\nextends "base.lamps"\npromote when request.waited > patience\n'
    (tmp_path / "built.lamps").write_text(built)
    done = lamps("reload", tmp_path / "built.lamps", "--param", "patience=7s", "--url", fake.url, "--trial", "60")
    assert done.returncode == ExitCode.OK, done.stderr
    (got,) = fake.got
    body = got.body
    assert got.path == "/lamps/reload"
    assert (body["params"], body["trial_s"], body["dry_run"]) == (["patience=7s"], 60.0, False)
    assert "extends" not in body["text"] and "rank request.arrival" in body["text"]
    assert done.stdout.splitlines() == [
        "tried on 12 waiting, 2 paused: 3 of the first 12 places and 1 decisions about calls differ; "
        "one ranking takes 0.50 ms",
        "1 waiting requests have a rank that is not a number",
        "on: policy p, revision 0123456789ab",
    ]


def test_a_policy_with_errors_is_not_sent(fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "bad.lamps").write_text('lamps 1\npolicy bad "B."\nrank request.arival\npromote when 2s > 3tok\n')
    done = lamps("reload", tmp_path / "bad.lamps", "--url", fake.url)
    assert done.returncode == ExitCode.FINDINGS
    assert done.stderr.count("error[LMP") == 2 and "nothing was changed" in done.stderr
    assert fake.got == []


def test_a_refusal_is_said(fake: FakeServer) -> None:
    fake.status, fake.body = 422, json.dumps({"error": {"message": "engine 1: the policy has no param `x`"}})
    done = lamps("params", "set", "x=1", "--url", fake.url)
    assert done.returncode == ExitCode.FINDINGS
    assert "nothing was changed: engine 1: the policy has no param `x`" in done.stderr
    assert (fake.got[0].path, fake.got[0].body) == ("/lamps/params", {"params": ["x=1"], "dry_run": False})


@pytest.mark.parametrize(
    ("words", "path", "sent"),
    [
        (("fcfs", "--shadow"), "/lamps/reload", {"shadow": True, "dry_run": False}),
        (("fcfs", "--dry-run"), "/lamps/reload", {"shadow": False, "dry_run": True}),
        (("--promote-shadow",), "/lamps/shadow", {"promote": True}),
        (("--drop-shadow",), "/lamps/shadow", {"drop": True}),
    ],
)
def test_what_is_asked_of_a_shadow(fake: FakeServer, words: tuple[str, ...], path: str, sent: dict[str, Any]) -> None:
    assert lamps("reload", *words, "--url", fake.url, "--json").returncode == ExitCode.OK
    assert fake.got[0].path == path and sent.items() <= fake.got[0].body.items()


def test_one_thing_at_a_time(fake: FakeServer) -> None:
    assert lamps("reload", "fcfs", "--drop-shadow", "--url", fake.url).returncode == ExitCode.USAGE
    assert lamps("reload", "--url", fake.url).returncode == ExitCode.USAGE
    assert fake.got == []


@pytest.mark.parametrize(("status", "said"), [(401, "API key"), (404, "not scheduled by lamps"), (503, "status 503")])
def test_no_answer_is_said(fake: FakeServer, status: int, said: str) -> None:
    fake.status, fake.body = status, "{}"
    done = lamps("off", "--url", fake.url)
    assert done.returncode == ExitCode.UNREACHABLE and said in done.stderr
