"""`lamps status` and its frames, against a server that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine_adapter.control.client import base_url
from engine_adapter.control.frames import FrameError, parse_status
from lamps_cli.exit_codes import ExitCode
from lamps_cli.status_view import show
from tests.cli.fake_server import FakeServer, answering
from tests.cli.running import lamps

FRAME: dict[str, Any] = {
    "version": 1,
    "policy": {"name": "p", "title": "A policy.", "revision": "0123456789ab", "path": "/p", "params": {"patience": 9}},
    "engine": {"engine.kv_free": 1000.0, "engine.kv_total": 4000.0, "allow.swap": False},
    "running": [{"id": "chatcmpl-1", "session": "r", "turn": 2, "context_tokens": 1234, "generated_tokens": 5}],
    "waiting": [
        {"id": "cmpl-2", "session": "w", "place": 1, "rank": [12.5, None], "promoted": True, "waited_s": 3.25,
         "prompt_tokens": 77}
    ],
    "waiting_total": 61,
    "paused": [
        {"session": "none", "tool": "user", "handling": "discard", "tokens": 0, "age_s": 7300.0, "expected_s": None},
        {"session": "held", "tool": "search", "handling": "preserve", "tokens": 640, "age_s": 1.5, "expected_s": 120.0},
    ],
    "pins": {"count": 1, "tokens": 640, "share": 0.16},
    "counters": {"turns": 3, "faults.rank": 0},
}  # fmt: skip
STATUS = {"version": 1, "engines": [FRAME], "api": {"verdicts_sent": 2}}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with answering(STATUS) as server:
        yield server


def test_the_frame_is_shown(fake: FakeServer) -> None:
    done = lamps("status", fake.url)
    assert done.returncode == ExitCode.OK, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[0] == f"p revision 0123456789ab on {fake.url}"
    assert "params patience 9" in rows
    assert "1 running, 61 waiting, 2 paused, 640 tokens pinned (16%), 1,000 of 4,000 tokens free" in rows
    assert "1 r 2 1,234 5" in rows
    assert "1 2 w 12.5, - 3.2 s 77 promoted" in rows
    assert "and 60 more" in rows
    assert rows.index("held search preserve 640 1.5 s 2 min") < rows.index("none user discard 0 2 h -")
    assert rows[-1] == "turns 3"  # counters at zero are left out


def test_the_server_may_be_named_as_in_other_commands(fake: FakeServer) -> None:
    assert lamps("status", "--url", fake.url).stdout == lamps("status", fake.url).stdout


def test_json_is_what_the_server_gave(fake: FakeServer) -> None:
    assert json.loads(lamps("status", fake.url, "--json").stdout) == STATUS
    assert fake.got[0].path.partition("?")[0] == "/lamps/status"


def test_the_key_goes_into_the_header(fake: FakeServer) -> None:
    lamps("status", fake.url, LAMPS_API_KEY="ours", VLLM_API_KEY="theirs")
    assert fake.got[-1].authorization == "Bearer ours"
    lamps("status", fake.url, "--api-key", "given", LAMPS_API_KEY="ours")
    assert fake.got[-1].authorization == "Bearer given"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "{}", "it is not scheduled by lamps"),
        (401, "{}", "asks for an API key"),
        (503, '{"error": {"message": "the engine did not answer"}}', "status 503: the engine did not answer"),
        (500, "oops", "status 500"),
        (200, "<html>", "not a status of a lamps server"),
        (200, '{"version": 2, "engines": []}', "the server is newer: it speaks version 2"),
    ],
)
def test_other_answers_are_said_in_a_sentence(fake: FakeServer, status: int, body: str, said: str) -> None:
    fake.status, fake.body = status, body
    done = lamps("status", fake.url, LAMPS_API_KEY="", VLLM_API_KEY="")
    assert done.returncode == ExitCode.UNREACHABLE
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", ":1", "http://[", "no such host"])
def test_nothing_there(url: str) -> None:
    done = lamps("status", url)
    assert done.returncode == ExitCode.UNREACHABLE
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize("written", ["127.0.0.1:8000", ":8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"])
def test_urls_as_people_write_them(written: str) -> None:
    assert base_url(written) == "http://127.0.0.1:8000"


def test_frames_of_a_neighbouring_version_are_read() -> None:
    text = json.dumps({"version": 1, "engines": [{"version": 1, "policy": {"name": "p", "revision": "r"}, "new": 1}]})
    assert parse_status(text).engines[0].waiting == ()
    with pytest.raises(FrameError):
        parse_status('{"version": 1, "engines": [{}]}')


def test_each_engine_has_a_block_and_colour_is_kept_out_of_pipes() -> None:
    status = parse_status(json.dumps(STATUS | {"engines": [FRAME, FRAME]}))
    plain, coloured = show(status, "here", colour=False), show(status, "here", colour=True)
    assert plain.count("revision 0123456789ab") == 2 and "here, engine 1" in plain
    assert "\x1b[" in coloured and "\x1b[" not in plain


def test_a_session_name_is_not_taken_for_markup() -> None:
    odd = FRAME | {"paused": [FRAME["paused"][1] | {"session": "[red]x[/]"}]}
    assert "[red]x[/]" in show(parse_status(json.dumps(STATUS | {"engines": [odd]})), "here", colour=True)


@pytest.mark.parametrize(
    ("swap", "said"),
    [
        ({"possible": True, "total": 65536}, "1,280 of 65,536 tokens of host memory used"),
        ({"possible": False, "reason": "prefix caching is off"}, "can't swap: prefix caching is off"),
    ],
)
def test_swap_is_shown_or_why_there_is_none(swap: dict[str, Any], said: str) -> None:
    frame = FRAME | {"swap": swap, "memory": {"host": 1280}}
    shown = show(parse_status(json.dumps(STATUS | {"engines": [frame]})), "http://here", colour=False)
    assert said in " ".join(shown.split())


def test_who_decides_is_shown(fake: FakeServer) -> None:
    guard = {"state": "ejected", "reason": "`rank` failed", "chosen": "mine", "revision": "r1"}
    shadow = {"name": "other", "revision": "r2", "compared": 1200, "differing": 7}
    fake.body = json.dumps(STATUS | {"engines": [FRAME | {"guard": guard, "shadow": shadow}]})
    rows = lamps("status", fake.url).stdout.splitlines()
    assert "ejected: mine, revision r1, is set aside: `rank` failed" in rows
    assert "shadow  other, revision r2: differs in 7 of 1,200 samples" in rows
    fake.body = json.dumps(STATUS | {"engines": [FRAME | {"guard": {"state": "ok", "on_trial": True}}]})
    assert "on trial" in lamps("status", fake.url).stdout


def test_what_foretells_lengths_is_told_unless_it_is_what_always_does() -> None:
    def said(**predictor: Any) -> str:
        return show(parse_status(json.dumps(STATUS | {"engines": [FRAME | {"predictor": predictor}]})), "u", False)

    assert "predictor" not in said(name="online")
    learned = {"name": "learned", "revision": "ab12", "source": "mine", "error": 0.8}
    line = "predictor  learned, revision ab12, trained on mine: 0.80 of the error of the online statistics"
    assert f"{line}\n" in said(**learned, believed=True)
    assert f"{line}, so these are used\n" in said(**learned, believed=False)
    assert "predictor  online: /p.npz is no predictor" in said(name="online", reason="/p.npz is no predictor")
