"""Whether a machine was calm: what is read of /proc, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lamps_cli.measuring import machine
from lamps_cli.measuring.machine import Disturbance, Look, Meter, busy_s, disturbance, groups_s, look

BURN = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


def test_only_the_cores_that_may_be_used_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 9000 500 5 6 7 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n")
    monkeypatch.setattr(machine, "CORES", frozenset({0}))
    assert busy_s(stat) == pytest.approx(168 / os.sysconf("SC_CLK_TCK"))
    assert busy_s(tmp_path / "none") is None


def test_others_are_all_but_ours() -> None:
    burning = subprocess.Popen([sys.executable, "-c", BURN], process_group=0)
    try:
        meter, without = Meter(()), Meter((burning.pid,))
        end = time.monotonic() + 1.0
        while time.monotonic() < end and groups_s((burning.pid,)) < 0.3:
            time.sleep(0.05)
        others, rest = meter.others(), without.others()
        assert others is not None and rest is not None
        assert others > rest + 0.05
        assert groups_s((burning.pid,)) > 0
        assert Meter((), elsewhere=True).others() is None
    finally:
        burning.kill()
        burning.wait()


def test_a_look_has_all_its_parts() -> None:
    found = look(())
    assert found.others is not None and found.others >= 0
    assert found.work_s > 0
    assert found.stretched >= 0.9


def test_a_server_started_by_others_is_not_taken_for_a_disturbance() -> None:
    """It still takes a core just after its last step: each look found one taken."""
    found = look((), elsewhere=True)
    assert found.others is None
    assert found.work_s > 0


def test_what_is_said_of_a_disturbed_machine() -> None:
    assert Disturbance(0.0, 0.05, None, 1.05, 1.1).reasons == []
    said = Disturbance(0.5, 0.3, 0.0, 0.8, 2.0).reasons
    assert said == [
        "others took 0.50 cores before it",
        "others took 0.30 cores meanwhile",
        "the processor's speed changed by a factor of 1.25",
        "work took 2.00 times its processor time",
    ]
    found = disturbance(Look(0.01, 0.002, 1.0), 0.02, Look(0.03, 0.003, 1.4))
    assert found == Disturbance(0.01, 0.02, 0.03, 1.5, 1.4, 2.5)
