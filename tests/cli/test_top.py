"""`lamps top` without a screen: what it prints once, and what it says to what can't be watched."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import LAMPS, lamps
from tests.engine.server import free_port


def test_once_prints_each_server_and_what_stands_out() -> None:
    done = lamps("top", "--demo", "--once")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "LAMPS (arXiv 2410.18248)" in done.stdout and ":8002" in done.stdout
    assert "\x1b" not in done.stdout


def test_once_as_json_is_the_frames() -> None:
    done = lamps("top", "--demo", "--once", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    told = json.loads(done.stdout)
    assert sorted(told) == [":8000", ":8001", ":8002"]
    assert told[":8000"]["engines"][0]["policy"]["name"] == "lamps"


def test_no_server_is_one_sentence_on_both_ways() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = lamps("top", url, "--once")
    assert done.returncode == ExitCode.UNREACHABLE
    assert "nothing answers at" in done.stderr and "lamps serve" in done.stderr and done.stdout == ""
    as_json = lamps("top", url, "--once", "--json")
    assert as_json.returncode == ExitCode.UNREACHABLE
    assert "nothing answers" in next(iter(json.loads(as_json.stdout).values()))["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json"], "--json goes with --once"),
        (["--demo", ":8000"], "only one of them"),
        (["--replay", "no-such-file", "--once"], "can't read no-such-file"),
        (["--demo", "--keys", "no-such-file"], "can't read no-such-file"),
        (["--demo", "--view", "nothing"], "nothing"),
        (["--demo", "--every", "0.1"], "0.1"),
    ],
)
def test_what_makes_no_sense_is_said(words: list[str], said: str) -> None:
    done = lamps("top", *words)
    assert done.returncode == ExitCode.USAGE
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[keys]\nqueu = 'x'\n", "did you mean queue?"),
        ("[keys]\nqueue = 3\n", "queue wants text"),
        ("keys = [", "can't read"),
    ],
)
def test_keys_that_mean_nothing_are_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "lamps-top.toml").write_text(text)
    done = lamps("top", "--demo", cwd=tmp_path)  # it is read from here
    assert done.returncode == ExitCode.USAGE and said in done.stderr


# Of a foreground or background: red, green, blue.
COLOUR = re.compile(rb"[34]8;2;(\d+;\d+;\d+)")


def sent(arguments: list[str], keys: bytes, wanted: str, size: tuple[int, int] = (80, 24), **environment: str) -> bytes:
    """What a terminal of *size* is sent until *wanted* comes; then *keys* are pressed, and it must end by itself."""
    main, side = pty.openpty()
    here = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    here |= {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "COLUMNS": str(size[0]),
        "LINES": str(size[1]),
        **environment,
    }
    process = subprocess.Popen([LAMPS, "top", *arguments], stdin=side, stdout=side, stderr=side, env=here)
    os.close(side)
    shown, end, pressed = b"", time.monotonic() + 60, False
    while time.monotonic() < end:
        if select.select([main], [], [], 0.1)[0]:
            try:
                shown += os.read(main, 65536)
            except OSError:  # the other side is closed
                break
        if not pressed and wanted in plain(shown):
            os.write(main, keys)
            pressed = True
    os.close(main)
    assert process.wait(20) == ExitCode.OK, plain(shown)[-2000:]
    return shown


def plain(data: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[^\[]", "", data.decode(errors="replace"))


def test_the_program_itself_in_a_terminal(tmp_path: Path) -> None:
    shown = sent(["--demo", "--record", str(tmp_path / "r.jsonl.gz")], b"q", "first token")
    assert "Traceback" not in plain(shown) and COLOUR.search(shown)
    again = lamps("top", "--replay", tmp_path / "r.jsonl.gz", "--once", "--json")
    assert again.returncode == ExitCode.OK, again.stderr
    assert ":8000" in json.loads(again.stdout)


def test_a_terminal_of_20_by_5_is_told_that_it_is_too_small() -> None:
    assert "too small" in plain(sent(["--demo"], b"q", "too small", (20, 5)))


def test_no_color_takes_the_colours_away() -> None:
    """Greys may stay: what is chosen must be seen."""
    shown = sent(["--demo"], b"q", "first token", NO_COLOR="1")
    assert all(len(set(colour.split(b";"))) == 1 for colour in COLOUR.findall(shown))
