"""`lamps bench` from outside: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps
from tests.workload.fake_server import FakeServer, serving

SESSION = {
    "tool": "math",
    "turns": [
        {"prompt": 30, "shared": 0, "output": 8, "gap": None, "after": None},
        {"prompt": 45, "shared": 38, "output": 4, "gap": 0.02, "after": "tool"},
    ],
}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "small.jsonl"
    path.write_text("".join(json.dumps({"session": f"s{number}", **SESSION}) + "\n" for number in range(5)))
    return path


def test_it_prints_figures_and_saves_every_turn(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with serving(FakeServer()) as fake:
        done = lamps("bench", trace, "--url", fake.url, "--rate", "100", "--gap-scale", "0.5", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "small: 5 sessions at 100/s, seed 0, gaps x 0.5"
    assert lines[1] == f"fake at {fake.url}"
    assert lines[3].startswith("sessions                5 finished, 0 failed, in ")
    assert [line[:24].strip() for line in lines[4:]] == [
        "seconds", "end to end", "without tools' time", "first token, session", "first token, turn", "tokens", "server"
    ]  # fmt: skip
    assert "375 prompt (18.7% cached), 60 generated" in done.stdout
    assert "20 preemptions, 50.0% prefix-cache hits" in done.stdout
    saved = json.loads(out.read_text())
    assert len(saved["turns"]) == 5
    assert all(len(session["turns"]) == 2 for session in saved["turns"])
    assert saved["summary"]["end_to_end_s"]["p50"] > 0.03


def test_json_is_the_only_thing_on_stdout(trace: Path) -> None:
    with serving(FakeServer(refuse_prompts_over=40)) as fake:
        done = lamps("bench", trace, "--url", fake.url, "--rate", "100", "--policy-hints", "oracle", "--json")
    assert done.returncode == ExitCode.FINDINGS
    document = json.loads(done.stdout)
    assert document["hints"] == "oracle"
    assert document["summary"]["failures"] == [["400: prompt too long", 5]]
    assert document["summary"]["end_to_end_s"]["mean"] is None
    assert "5 failed: 400: prompt too long" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arrivals", "bursty", "--cv", "2.5", "--rate", "200"], "at 200/s in bursts (cv 2.5)"),
        (["--arrivals", "recorded", "--time-scale", "0.1"], "as recorded, times x 0.1"),
        (["--arrivals", "closed", "--clients", "2", "--think", "0.01"], "of 2 clients, 0.01 s between sessions"),
    ],
)
def test_sessions_arrive_as_asked_for(options: list[str], said: str, trace: Path) -> None:
    lines = trace.read_text().splitlines()
    trace.write_text("".join(json.dumps(json.loads(line) | {"start": 1}) + "\n" for line in lines))
    with serving(FakeServer()) as fake:
        done = lamps("bench", trace, "--url", fake.url, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"small: 5 sessions {said}, seed 0"
    assert ", 155 tokens computed again" in done.stdout


def test_an_oracle_is_labelled(trace: Path) -> None:
    with serving(FakeServer()) as fake:
        done = lamps("bench", trace, "--url", fake.url, "--rate", "inf", "--policy-hints", "oracle")
    assert done.stdout.splitlines()[0].endswith(", ORACLE hints")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nosuch"], ExitCode.USAGE, "no trace and no file is named nosuch"),
        (["augmented-single", "--sessions", "999"], ExitCode.USAGE, "has 397 sessions, 999 are asked for"),
        (["augmented-single", "--rate", "0"], ExitCode.USAGE, "0.0 is not in the range x>0"),
        (["augmented-single", "--rate", "nan"], ExitCode.USAGE, "nan is not a number"),
        (["augmented-single", "--arrivals", "recorded"], ExitCode.USAGE, "has no start"),
        (["augmented-single", "--arrivals", "closed", "--clients", "0"], ExitCode.USAGE, "is not in the range"),
        (["augmented-single", "--out", "/no/such/folder/x"], ExitCode.USAGE, "there is no folder /no/such/folder"),
        (["augmented-single", "--url", "http://127.0.0.1:9"], ExitCode.UNREACHABLE, "no server answers"),
        (["augmented-single", "--url", "ftp://x"], ExitCode.USAGE, "is not an http address"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], status: ExitCode, message: str) -> None:
    done = lamps("bench", *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
