"""`lamps predictor`: trained, judged and shown by its users' commands; what it shows, against a golden file.

`UPDATE_GOLDEN=1 pytest tests/cli/test_predictor.py` writes the golden file anew: read the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine_adapter.training.scores import Score, Scores
from engine_adapter.workload.trace import load_trace, written
from lamps_cli.exit_codes import ExitCode
from lamps_cli.predictor_view import described, table
from tests.cli.running import lamps
from tests.runtime.made_models import model

GOLDEN = Path(__file__).parent / "predictor.txt"


def test_views() -> None:
    nan = float("nan")
    lengths = {
        "learned": Score(31.25, 60.0, 0.61, 0.8, {"p50": 0.48, "p90": 0.91, "p95": 0.96, "p99": 1.0}),
        "online": Score(30.0, 61.5, 0.55, 0.78, {"p50": 0.6, "p90": 0.95, "p95": 0.97, "p99": 0.99}),
        "class mean": Score(40.0, 64.0, nan, 0.5, {}),
        "last value": Score(50.0, 80.0, 0.2, 0.6, {}),
    }
    scores = Scores(1234, 5678, 72.4, lengths, {"learned": 0.09, "online": 0.13}, 0.925)
    many = model(tools=tuple(f"tool{n}" for n in range(11)))
    said = "\n\n".join([table(scores), described(model()), described(many), described(model(tools=(), tokens=True))])
    said = said.replace(model().revision, "REVISION").replace(many.revision, "REVISION")
    said = said.replace(model(tools=(), tokens=True).revision, "REVISION")
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(said + "\n", encoding="utf-8")
    assert said + "\n" == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.slow
def test_train_judge_and_show(tmp_path: Path) -> None:
    cache = {"LAMPS_CACHE": str(tmp_path / "cache")}
    source = tmp_path / "some.jsonl"
    source.write_bytes(written(load_trace("augmented-single").sessions[::4]))
    held_out = tmp_path / "held.jsonl"
    done = lamps("predictor", "train", source, "--test", "0.5", "--held-out", held_out, timeout_s=240, **cache)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "no tokens: the model learns from the sessions' history alone" in done.stderr
    assert "`lamps serve` uses it" in done.stderr
    assert "learned      online  class mean  last value" in done.stdout
    kept = load_trace(held_out).sessions
    assert 45 <= len(kept) <= 50
    again = lamps("predictor", "eval", source, **cache)
    assert again.stdout == done.stdout
    shown = lamps("predictor", "show", **cache)
    assert shown.stdout.endswith(done.stdout)
    as_json = json.loads(lamps("predictor", "show", "--json", **cache).stdout)
    assert (as_json["source"], as_json["reads_tokens"], as_json["test"]) == ("some", False, 0.5)
    assert set(as_json["scores"]["lengths"]) == {"learned", "online", "class mean", "last value"}
    out = tmp_path / "mine.npz"
    other = lamps("predictor", "train", source, "--test", "0.5", "--out", out, "--json", timeout_s=240, **cache)
    assert json.loads(other.stdout) == as_json | {"path": str(out)}
    assert out.read_bytes() == (tmp_path / "cache" / "predictor.npz").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "augmented-singel"], "did you mean augmented-single"),
        (["train", "augmented-single", "--test", "0.9"], "0.9 is not in the range"),
        (["eval", "augmented-single"], "no model has been trained: there is no"),
        (["eval", "augmented-single", "--predictor", __file__], "is no predictor"),
        (["show", "nosuch.npz"], "nosuch.npz can't be read: No such file or directory"),
        (["show"], "lamps predictor train TRACE"),
    ],
)
def test_what_cant_be_done_is_told(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = lamps("predictor", *arguments, LAMPS_CACHE=str(tmp_path))
    assert done.returncode == ExitCode.USAGE
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_sessions_are_told(tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_bytes(written(load_trace("augmented-single").sessions[:5]))
    done = lamps("predictor", "train", tmp_path / "few.jsonl", LAMPS_CACHE=str(tmp_path))
    assert done.returncode == ExitCode.USAGE
    assert "has 5 sessions: at least 20 are needed" in done.stderr


def test_help_and_show_need_no_torch() -> None:
    code = "import sys, lamps_cli.commands.predictor, lamps_cli.predictor_view; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "vllm", "engine_adapter"} & {name.split(".")[0] for name in done.stdout.split()}


def test_serve_refuses_a_predictor_that_was_named_and_is_none(tmp_path: Path) -> None:
    for given in ("learned", str(tmp_path / "nosuch.npz")):
        done = lamps("serve", "--predictor", given, LAMPS_CACHE=str(tmp_path))
        assert done.returncode == ExitCode.USAGE
        assert "can't be read: No such file or directory; no server was started" in done.stderr
        assert "--predictor online" in done.stderr
