"""`lamps explain`, from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps

STATE = """
engine:   {engine.running_tokens: 40000tok, engine.can_swap: false}
params:   {patience: 20s}
requests:
  big:   {request.context: 900tok, predict.output: 50tok, request.waited: 3s, held_by: seats}
  small: {request.context: 300tok, predict.output: {p50: 20tok, p90: 40tok}}
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.yaml"
    path.write_text(STATE)
    return path


def test_a_saved_state_is_explained(state: Path) -> None:
    done = lamps("explain", "lamps", state)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "order: small, big"
    assert "big: place 2 of 2" in lines
    assert "  held by: seats (said by the engine, not by the policy)" in lines
    assert any(line.startswith("  behind small: `before + during + after` is ") for line in lines)
    assert "    request.waited   at least 20 seconds (now 3 seconds)" in lines
    assert any("(not considered: the engine cannot swap now)" in line for line in lines)


def test_a_test_of_the_policy_is_explained() -> None:
    done = lamps("explain", "lamps", "--test", "waiting promotes", "--request", "small", "--depth", "0")
    assert done.returncode == 0
    assert done.stdout.startswith("order: big, small\n\nsmall: place 2 of 2\n  behind big, which is promoted\n")
    assert "big: place" not in done.stdout
    assert "patience  more than 2 seconds (now 2 seconds)" in done.stdout


def test_json_holds_the_whole_trees_and_standard_input_is_read(state: Path) -> None:
    done = lamps("explain", "lamps", "-", "--json", "--request", "big", stdin=STATE)
    document = json.loads(done.stdout)
    assert document["order"] == ["small", "big"]
    (big,) = document["waiting"]
    assert big["standing"]["keys"][1]["text"] == "before + during + after"
    assert [p["text"] for p in big["standing"]["keys"][1]["parts"]] == ["before", "during", "after"]
    assert big["standing"]["ahead"]["name"] == "small"
    as_json = json.dumps({"requests": {"a": {"request.context": "3tok"}}})
    assert lamps("explain", "lamps", "-", stdin=as_json).stdout.startswith("order: a\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requests: {a: {request.contxt: 3tok}}", "unknown signal `request.contxt`\n  did you mean `request.context`?"),
        ("requests: [", "is neither YAML nor JSON"),
        ("\0", "is neither YAML nor JSON"),
        ("", "the state has no requests"),
    ],
)
def test_a_bad_state_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "state.yaml"
    path.write_text(text)
    done = lamps("explain", "lamps", path)
    assert done.returncode == ExitCode.USAGE
    assert said in done.stderr


def test_wrong_use_is_said(state: Path) -> None:
    for arguments, said in (
        (("lamps",), "give a state file, --test NAME or --url URL"),
        (("lamps", state, "--test", "x"), "give a state file, --test NAME or --url URL"),
        (("lmaps", state), "did you mean lamps?"),
        (("lamps", "absent.yaml"), "can't read absent.yaml"),
        (("lamps", "--test", "waitin promotes"), "did you mean `waiting promotes`?"),
        (("lamps", state, "--request", "x"), "there is no request x\n  there are big, small"),
    ):
        done = lamps("explain", *arguments)
        assert done.returncode == ExitCode.USAGE
        assert said in done.stderr, done.stderr
