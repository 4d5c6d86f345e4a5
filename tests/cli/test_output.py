"""Progress where nobody looks at a terminal: a line once in a while, none for what is short."""

from __future__ import annotations

import pytest

from lamps_cli import output


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one number is the time, in seconds."""
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(output, "_line", output._Line())
    return now


def test_a_log_gets_a_line_of_long_work_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    for second in range(100):
        clock[0] = 100.0 + second
        output.progress(f"{second} of 100")
    output.progress("")
    assert capsys.readouterr().err == "30 of 100\n60 of 100\n90 of 100\n"


def test_a_log_gets_nothing_of_short_work(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    for second in range(29):
        clock[0] = 100.0 + second
        output.progress(f"{second} of 29")
    assert capsys.readouterr().err == ""
