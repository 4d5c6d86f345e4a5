"""`lamps simulate`: the table's figures, refusals before anything runs, and one small real comparison."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from lamps_cli.metrics import compared, estimate
from lamps_cli.simulate_view import table
from tests.cli.running import lamps


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "nosuch"], "nosuch"),
        (["--profile", "nosuch"], "no profile and no file is named nosuch"),
        (["--trace", "nosuch"], "no trace and no file is named nosuch"),
        (["--predict", "nosuch"], "there are no predictions 'nosuch'"),
        (["--load", "x"], "shares of saturation are wanted"),
        (["--rate", "1", "--load", "1"], "either --load or a finite --rate"),
        (["--against", "lamps"], "a policy is given twice"),
        (["--diff"], "a difference needs two policies"),
        (["--html", "nosuch/report.html"], "can't write nosuch/report.html: there is no folder nosuch"),
        (["--chrome-trace", "nosuch/t.json"], "can't write nosuch/t.json: there is no folder nosuch"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], message: str) -> None:
    done = lamps("simulate", *arguments)
    assert done.returncode == ExitCode.USAGE
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_small_comparison() -> None:
    done = lamps("simulate", "--against", "stock", "--rate", "8", "--sessions", "10", "--seeds", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    runs = json.loads(done.stdout)["runs"]
    assert sorted(run["policy"] for run in runs) == ["lamps", "stock"]
    assert [run["summary"]["finished"] for run in runs] == [10, 10]
    assert runs[0]["summary"]["prompt_tokens"] == runs[1]["summary"]["prompt_tokens"]


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
