"""`lamps bench` with several systems, from outside: tables, files, bad use, Ctrl-C and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import LAMPS, lamps
from tests.measuring.made import write_trace
from tests.workload.fake_server import FakeServer, serving


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "small.jsonl")


def test_table_json_page_and_file(trace: Path, tmp_path: Path) -> None:
    with serving(FakeServer()) as one, serving(FakeServer(delay_s=0.05)) as other:
        words = ("bench", trace, "--url", f"one={one.url}", "--url", f"two={other.url}", "--rate", "50,100")
        words = (*words, "--seeds", "2", "--warm-up", "2", "--out", tmp_path / "runs.jsonl")
        page = tmp_path / "report.html"
        done = lamps(*words, "--html", page)
        assert done.returncode == ExitCode.OK, done.stderr
        assert f"each run is kept in {tmp_path / 'runs.jsonl'}" in done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "small on fake"
        assert [line for line in lines if line.startswith("at ")] == ["at 50/s, 2 seeds", "at 100/s, 2 seeds"]
        assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 8
        assert "sessions a second" in page.read_text()
        asked = len(one.asked)
        again = lamps(*words, "--json")
        assert len(one.asked) == asked
    document = json.loads(again.stdout)
    assert [run["partial"] for run in document["runs"]] == [""] * 8
    assert {run["system"] for run in document["runs"]} == {"one", "two"}
    assert all(run["made_by"]["machine"]["cores"] for run in document["runs"])
    verdict = lamps("compare", f"{tmp_path / 'runs.jsonl'}:one", f"{tmp_path / 'runs.jsonl'}:two", "--anyway")
    assert "one -> two at rate 50, 2 pairs" in verdict.stdout


def test_ctrl_c_shows_what_is_done_and_the_same_command_goes_on(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    with serving(FakeServer(delay_s=0.3)) as one:
        words = ["bench", str(trace), "--url", f"one={one.url}", "--rate", "100", "--seeds", "3", "--out", str(out)]
        words += ["--warm-up", "0"]
        running = subprocess.Popen(
            [LAMPS, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 one thread
        )
        # Six sessions of two turns each: the second run has begun.
        while len(one.asked) < 14:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        said, warned = running.communicate(timeout=60)
        assert running.returncode == ExitCode.INTERRUPTED, warned
        assert "interrupted at 33%: 1 of 3 runs are done; the same command goes on" in warned
        assert "one at rate 100, seed 1: PARTIAL, interrupted after" in said
        assert "PARTIAL: 1 of 3 runs" in said
        assert "Traceback" not in warned
        before = len(one.asked)
        done = lamps(*words)
        assert done.returncode == ExitCode.OK
        assert "3 seeds" in done.stdout and "PARTIAL" not in done.stdout
        assert len(one.asked) - before == 2 * 12


def test_no_server_at_all(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    done = lamps("bench", trace, "--url", "one=:9", "--seeds", "2", "--out", out)
    assert done.returncode == ExitCode.UNREACHABLE
    assert "one at rate 1, seed 0: no result: no server answers at" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policies", "lamsp"], "there is no policy `lamsp`"),
        (["--policies", "stock,stock"], "two systems have one name"),
        (["--url", "a=:8000", "--url", "a=:8001"], "two systems have one name"),
        (["--policies", "stock", "--param", "stock.x=1"], "stock has no params"),
        (["--url", "a=:8000", "--param", "x=1"], "--param needs --policies"),
        (["--url", "a=:8000", "--", "--max-num-seqs", "4"], "flags are for servers that are started"),
        (["--", "--max-num-seqs", "4"], "say --policies which"),
        (["--html", "x.html"], "--html needs systems to compare"),
        (["--policies", "stock", "--load", "0.5", "--concurrency", "4"], "either --load or --concurrency"),
        (["--policies", "stock", "--load", "0.5", "--arrivals", "closed"], "have their own rate"),
        (["--policies", "stock", "--rate", "1,inf"], "without bound"),
        (["--policies", "stock", "--load", "0.5,-1"], "is not in the range"),
        (["--policies", "stock", "--stream-interval", "4"], "--stream-interval is for one run"),
        (["--policies", "stock", "--sessions", "999"], "999 are asked for"),
    ],
)
def test_bad_use_is_one_sentence(words: list[str], message: str, trace: Path) -> None:
    done = lamps("bench", trace, *words)
    assert done.returncode == ExitCode.USAGE
    assert message in done.stderr
    assert "Traceback" not in done.stderr
