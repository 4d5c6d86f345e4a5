"""A real engine and its replay in virtual time decide the same, step by step: fcfs, sjf and lamps, agents' traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine_adapter.virtual.replay import replay

# 40 s on an idle machine of two cores, of which loading vLLM and three times the model are most.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
POLICIES = ("fcfs", "sjf", "lamps")
PROGRAM = Path(__file__).with_name("agentic_run.py")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A record of each policy at work, made in one process: three engines in turn."""
    folder = tmp_path_factory.mktemp("records")
    paths = {policy: folder / f"{policy}.jsonl" for policy in POLICIES}
    words = [str(word) for pair in paths.items() for word in pair]
    ran = subprocess.run([sys.executable, PROGRAM, *words], capture_output=True, text=True, timeout=800, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return paths


@pytest.mark.parametrize("policy", POLICIES)
def test_a_real_engine_and_its_replay_decide_the_same(policy: str, records: Mapping[str, Path]) -> None:
    found = replay(records[policy])
    assert found.difference is None
    assert (found.header.policy.name, found.ended, found.clock_differs) == (policy, "closed", 0)
    # What the traffic is for: memory that runs short, clients that go, turns whose end is told and others.
    assert found.by_kind["preempt"] > 0
    assert found.aborts > 0
    assert found.requests > found.verdicts > 30
    assert found.by_kind["call"] > 20


def test_the_replay_of_a_real_engine_finds_a_planted_decision(records: Mapping[str, Path], tmp_path: Path) -> None:
    lines = records["lamps"].read_text().splitlines()
    place, event = next(
        (n, event)
        for n, event in enumerate(map(json.loads, lines[1:]), 1)
        if n > len(lines) // 2 and any(d["kind"] == "preempt" for d in event.get("did", {}).get("decisions", ()))
    )
    victim = next(d for d in event["did"]["decisions"] if d["kind"] == "preempt")
    chosen, victim["request"] = victim["request"], "s0/0"
    lines[place] = json.dumps(event)
    planted = tmp_path / "planted.jsonl"
    planted.write_text("\n".join(lines) + "\n")
    difference = replay(planted).difference
    assert difference is not None
    assert (difference.call, difference.what) == (place, "a decision")
    assert (difference.recorded["request"], difference.replayed["request"]) == ("s0/0", chosen)
