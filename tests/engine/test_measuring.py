"""`lamps bench` with two names for one real server: every run whole, nothing called different that is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from lamps_cli.measuring.runs_file import RunsFile
from tests.cli.running import lamps
from tests.engine.server import Server
from tests.measuring.made import write_trace

pytestmark = pytest.mark.server


def test_a_comparison_on_a_real_server(server: Server, tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "small.jsonl")
    out = tmp_path / "runs.jsonl"
    words = ["bench", str(trace), "--url", f"one={server.url}", "--url", f"two={server.url}", "--rate", "20"]
    words += ["--seeds", "2", "--warm-up", "2", "--api-key", str(server.key), "--out", str(out), "--json"]
    done = lamps(*words, timeout_s=120)
    assert done.returncode == ExitCode.OK, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [run["partial"] for run in runs] == [""] * 4
    assert {run["made_by"]["policy"] for run in runs} == {"lamps"}
    assert all(run["made_by"]["vllm"] and run["made_by"]["revision"] for run in runs)
    assert all(run["summary"]["finished"] == 6 for run in runs)
    # The engine's decisions are counted, of calls and of turns that end a session: how many of the last come before the
    # run has ended is chance.
    counters = [line.result.counters for line in RunsFile.read(out).lines if line.result is not None]
    decided = [
        sum(count for name, count in (counted or {}).items() if name.startswith("runtime.decisions."))
        for counted in counters
    ]
    assert len(decided) == 4
    assert all(decided)
