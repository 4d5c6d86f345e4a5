"""`lamps simulate`: what it shows, against golden files; refusals before anything runs; small real comparisons.

`UPDATE_GOLDEN=1 pytest tests/cli/test_simulate.py` writes the golden files anew: read the difference.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.remembered import remember
from engine_adapter.workload.trace import load_trace, written
from lamps_cli.chosen_policy import params_of_each
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.metrics import compared, estimate
from lamps_cli.output import to_json
from lamps_cli.simulate_view import document, render, table
from tests.cli.comparing import comparison
from tests.cli.running import lamps
from tests.virtual.small import SMALL, trace

HERE = Path(__file__).parent / "simulate"


def test_an_interval_is_students() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.303 / math.sqrt(3))
    assert math.isnan(estimate([1.0]).half)


def test_ratios_are_paired_by_seed() -> None:
    first = {0: {"finished": 1.0}, 1: {"finished": 2.0}}
    mine = {0: {"finished": 2.0}, 1: {"finished": 4.0}, 2: {"finished": 9.0}}
    own, ratio = compared(mine, first)["finished"]
    assert (own.mean, ratio.mean, ratio.half) == (5.0, 2.0, 0.0)
    assert table({"a": first, "b": mine}).splitlines()[1].split() == [
        "sessions", "finished", "1.50", "±6.35", "5.00", "±8.96", "x2.00", "±0.00"
    ]  # fmt: skip


@pytest.mark.parametrize("golden", ["table.txt", "runs.json"])
def test_views(golden: str) -> None:
    said = render(comparison()) if golden == "table.txt" else to_json(document(comparison()), indent=2)
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / golden).write_text(said + "\n", encoding="utf-8")
    assert said + "\n" == (HERE / golden).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "nosuch"], "nosuch"),
        (["--policy", "lamps", "--policy", "fcfs"], "one policy: compare it with others as --against fcfs"),
        (["--profile", "nosuch"], "no profile and no file is named nosuch"),
        (["--trace", "nosuch"], "no trace and no file is named nosuch"),
        (["--predict", "nosuch"], "there are no predictions 'nosuch'"),
        (["--load", "x"], "shares of saturation are wanted"),
        (["--load", "0.5,,1"], "shares of saturation are wanted"),
        (["--rate", "1", "--load", "1"], "either --load or a finite --rate"),
        (["--arrivals", "closed", "--load", "1"], "neither --load nor --rate is taken"),
        (["--against", "lamps"], "a policy is given twice"),
        (["--diff"], "a difference needs two policies"),
        (["--html", "nosuch/report.html"], "can't write nosuch/report.html: there is no folder nosuch"),
        (["--chrome-trace", "nosuch/t.json"], "can't write nosuch/t.json: there is no folder nosuch"),
        (["--against", "fcfs,stock", "--against", "fcfs"], "a policy is given twice"),
        (["--param", "patience=soon"], "--param patience=soon: NAME=VALUE with a number is wanted"),
        (["--param", "patience=5lightyears"], "NAME=VALUE with a number is wanted"),
        (["--param", "patience=nan"], "NAME=VALUE with a number is wanted"),
        (["--param", "patience=5tok"], "tok is a unit of tokens, the param is one of seconds"),
        (["--param", "patience=2h"], "param `patience` must lie in 0.1..3600"),
        (["--param", "patienc=5"], "the policy has no param `patienc`"),
        (["--param", "sjf.patience=5"], "--param sjf.patience=5: sjf is no policy of this comparison"),
        (["--against", "stock", "--param", "stock.patience=5"], "stock has no params"),
        (["--sessions", "398", "--rate", "1"], "draw fewer, or with replacement"),
        (["--gap-scale", "1e300", "--rate", "1"], "gaps x 1e+300 make one of 6e+301 s"),
        (["--length-scale", "nan", "--rate", "1"], "nan is not a number"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], message: str) -> None:
    done = lamps("simulate", *arguments)
    assert done.returncode == ExitCode.USAGE
    assert message in done.stderr
    assert done.stdout == ""


def test_params_are_for_the_policy_they_name_or_the_first() -> None:
    found = params_of_each(["a=1", "sjf.b=2", "mine.c=3s", "dir/mine.lamps.d=4"], ["lamps", "sjf", "dir/mine.lamps"])
    assert found == {"lamps": ["a=1"], "sjf": ["b=2"], "dir/mine.lamps": ["c=3s", "d=4"]}
    with pytest.raises(Failure, match="mine is two policies of this comparison"):
        params_of_each(["mine.a=1"], ["x/mine.lamps", "y/mine.lamps"])


def test_a_policy_with_errors_is_shown_and_nothing_simulated(tmp_path: Path) -> None:
    (tmp_path / "bad.lamps").write_text('lamps 1\npolicy bad "bad"\nrank nosuch.signal\n')
    done = lamps("simulate", "--policy", "bad.lamps", cwd=tmp_path)
    assert done.returncode == ExitCode.FINDINGS
    assert "nosuch.signal" in done.stderr
    assert done.stderr.endswith("error: bad.lamps has errors, so nothing was simulated\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--policy", "vt"], {"vtc"}),
        (["--against", "fcfs,sto"], {"fcfs,stock", "fcfs,stock-no-cache"}),
        (["--against", "stock,stock"], {"stock,stock-no-cache"}),
        (["--trace", "aug"], {"augmented-single", "augmented-multi"}),
        (["--profile", "llama"], {"llama3-8b-h100"}),
        (["--predict", "o"], {"online", "oracle"}),
    ],
)
def test_the_shell_offers_what_an_option_takes(words: list[str], offered: set[str]) -> None:
    asked = " ".join(["lamps", "simulate", *words])
    done = lamps(_LAMPS_COMPLETE="bash_complete", COMP_WORDS=asked, COMP_CWORD="3")
    assert {line.split(",", 1)[1] for line in done.stdout.splitlines() if line.startswith("plain")} == offered


# What a trace, an engine or a policy can do wrong

GOOD = '{"session":"a","turns":[{"prompt":10,"shared":0,"output":5},{"prompt":30,"shared":15,"output":5,"gap":1}]}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no session"),
        ("\n\n", "holds no session"),
        (GOOD.replace('"output":5}', '"output":-5}', 1), "t.jsonl:1: session 'a': turn 1: output is -5"),
        (GOOD.replace('"prompt":30', '"prompt":-30'), "turn 2: prompt is -30, must be at least 1"),
        (GOOD.replace('"gap":1', '"gap":-1'), "gap is -1.0, must be from 0"),
        (GOOD.replace('"gap":1', '"gap":1e300'), "gap is 1e+300, must be from 0"),
        (GOOD.replace('"gap":1', '"gap":1e999'), "t.jsonl:1: "),
        (GOOD + "{", "t.jsonl:2: "),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_told_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    done = lamps("simulate", "--trace", "t.jsonl", "--rate", "1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert message in done.stderr


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a small engine, and a trace for it."""
    (tmp_path / "small.yaml").write_text(json.dumps(SMALL))
    (tmp_path / "small.jsonl").write_bytes(written(trace(12).sessions))
    return tmp_path


@pytest.mark.slow
def test_a_prompt_larger_than_the_memory_fails_its_session_with_the_reason(small: Path) -> None:
    (small / "t.jsonl").write_text(GOOD + GOOD.replace('"a"', '"b"').replace('"prompt":30', '"prompt":3000'))
    done = lamps("simulate", "--trace", "t.jsonl", "--profile", "small.yaml", "--rate", "1", "--seeds", "1", cwd=small)
    assert done.returncode == ExitCode.FINDINGS
    assert "3005 tokens don't fit: the engine holds 1024 of one request" in done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("sessions ")] == ["1.00", "1.00"]


@pytest.mark.slow
def test_an_engine_that_takes_no_session_has_no_saturation(small: Path) -> None:
    (small / "t.jsonl").write_text(GOOD.replace('"prompt":30', '"prompt":3000'))
    done = lamps(
        "simulate", "--trace", "t.jsonl", "--profile", "small.yaml", cwd=small, LAMPS_CACHE=str(small / "cache")
    )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "1 of the 1 sessions of t have turns of more than the 1024 tokens that small takes" in done.stderr


@pytest.mark.slow
def test_a_policy_that_holds_everything_ends(small: Path) -> None:
    """Every session's memory is kept through calls of a quarter of an hour, and there isn't enough for the others."""
    (small / "keep.lamps").write_text(
        'lamps 1\npolicy keep "preserve everything"\nrank request.arrival\non call least { preserve: 0 }\n'
    )
    sessions = (
        GOOD.replace('"prompt":10', '"prompt":700').replace('"prompt":30', '"prompt":800').replace(":1}", ":900}")
    )
    (small / "t.jsonl").write_text("".join(sessions.replace('"a"', f'"{n}"') for n in range(6)))
    arguments = ["--trace", "t.jsonl", "--profile", "small.yaml", "--rate", "1", "--seeds", "1", "--predict", "oracle"]
    done = lamps("simulate", "--policy", "keep.lamps", *arguments, cwd=small)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sessions finished                           6.00" in done.stdout


@pytest.mark.slow
def test_loads_are_shares_of_what_was_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(small / "cache"))
    monkeypatch.chdir(small)
    remember(load_trace("small.jsonl"), load_profile("small.yaml"), 3.0)
    arguments = ["--trace", "small.jsonl", "--profile", "small.yaml", "--sessions", "12", "--seeds", "2", "--json"]
    arguments += ["--load", "0.5,0.9,1.2", "--against", "fcfs,stock", "--against", "sjf", "--param", "sjf.patience=5s"]
    done = lamps("simulate", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["saturation_per_s"] == 3.0
    runs = {(run["load"], run["policy"], run["seed"]): run for run in found["runs"]}
    assert {load: runs[load, "stock", 0]["load_options"]["rate"] for load, _, _ in runs} == {
        0.5: 1.5, 0.9: pytest.approx(2.7), 1.2: pytest.approx(3.6)
    }  # fmt: skip
    assert len(runs) == len(found["runs"]) == 3 * 4 * 2
    assert {run["summary"]["finished"] for run in runs.values()} == {12}
    assert runs[0.5, "lamps", 0]["params"] == {"patience": 10.0}
    assert json.loads(lamps("simulate", *arguments).stdout) == found


HANDLING = """lamps 1
policy alike "one handling for every call"
rank request.arrival
on call least { preserve: 0 }
"""


@pytest.mark.slow
def test_a_report_a_trace_and_a_difference(tmp_path: Path) -> None:
    keep, drop = tmp_path / "keep.lamps", tmp_path / "drop.lamps"
    keep.write_text(HANDLING)
    drop.write_text(HANDLING.replace("preserve", "discard"))
    page, traced = tmp_path / "report.html", tmp_path / "trace.json"
    files = ("--html", str(page), "--chrome-trace", str(traced))
    policies = ("--policy", str(keep), "--against", f"{drop},stock")
    load = ("--rate", "8", "--sessions", "10", "--seeds", "1")
    done = lamps("simulate", *policies, *load, "--diff", "--json", *files, timeout_s=280)  # five processes with vLLM
    assert done.returncode == 0
    assert done.stderr == f"wrote {page}\nwrote {traced}: seed 0\n"
    with_drop, with_stock = json.loads(done.stdout)["differences"]
    assert with_drop["divergence"]["one"][0]["what"] == "preserve"
    assert [name for name, _ in with_drop["explained"]] == [str(keep), str(drop)]
    assert "on call, as it was when the call began: preserve" in with_drop["explained"][0][1]
    # Stock has no policy to explain anything by.
    assert [name for name, _ in with_stock["explained"]] == [str(keep)]
    text = page.read_text()
    assert f"lamps simulate --policy {keep}" in text
    assert "keep.lamps at that moment" in text
    names = [e["args"]["name"] for e in json.loads(traced.read_text())["traceEvents"] if e["name"] == "process_name"]
    assert names == [f"{name}: {part}" for name in (keep, drop, "stock") for part in ("engine", "sessions")]
