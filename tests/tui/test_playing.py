"""The keys of a player, and recordings that are cut or of another version, on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import SERVERS
from tests.tui.screens import line, press, running, settle, text
from tui.model import Delivery
from tui.recording import Writer
from tui.sources.replay import Replay


@pytest.fixture
def recording(tmp_path: Path, film: list[Delivery]) -> Path:
    """Sixty seconds of one server, a frame a second."""
    path = tmp_path / "r.jsonl"
    with Writer(path, "a minute") as writer:
        for number, status in enumerate([d.status for d in film if d.server == SERVERS[0]][:60]):
            assert status is not None
            writer.add(float(number), "a", status)
    return path


async def shows(pilot: Pilot[Any], words: str) -> None:
    """Wait until the first line has *words* in it."""
    for _ in range(200):
        if words in line(pilot, "lamps top"):
            return
        await pilot.pause(0.02)
    raise AssertionError(text(pilot))


async def playing(pilot: Pilot[Any], source: Replay) -> None:
    """Wait until the recording is read, and pause it."""
    while source.note:
        await pilot.pause(0.01)
    if not source.paused:
        await press(pilot, "space")
    await shows(pilot, "‖")


async def test_a_recording_is_paused_stepped_and_skipped(recording: Path) -> None:
    source = Replay(recording)
    async with running(source) as pilot:
        await playing(pilot, source)
        await press(pilot, "at", "2", "0", "enter")
        await shows(pilot, "‖ 0:20/0:59")
        await press(pilot, "right", "right")
        await shows(pilot, "‖ 0:22")
        await press(pilot, "left")
        await shows(pilot, "‖ 0:21")
        await press(pilot, "shift+right")
        await shows(pilot, "‖ 0:31")
        await press(pilot, "shift+left", "shift+left")
        await shows(pilot, "‖ 0:11")
        await press(pilot, "p")
        await shows(pilot, "▶")


async def test_speed_is_shown_and_has_ends(recording: Path) -> None:
    source = Replay(recording)
    async with running(source) as pilot:
        await playing(pilot, source)
        await press(pilot, "plus", "plus")
        await shows(pilot, "x4")
        await press(pilot, *["minus"] * 9)
        await shows(pilot, "x0.25")


async def test_a_time_that_is_none_is_asked_for_again(recording: Path) -> None:
    source = Replay(recording)
    async with running(source) as pilot:
        await playing(pilot, source)
        await press(pilot, "at", *"soon", "enter")
        assert pilot.app.screen.query_one(Input).value == "soon" and "is no time" in text(pilot)
        await press(pilot, "escape", "at", *"50%", "enter")
        await shows(pilot, "‖ 0:29")


async def test_a_recording_that_is_cut_plays_up_to_there_and_says_so(recording: Path) -> None:
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) // 2])
    source = Replay(recording)
    async with running(source) as pilot:
        while source.note == "still reading":
            await pilot.pause(0.01)
        await press(pilot, "at", *"100%", "enter")
        await settle(pilot)
        assert "ends early: its last line is cut off" in text(pilot) and "KV memory" in text(pilot)


@pytest.mark.parametrize(("version", "said"), [(99, "the server is newer"), (0, "the server is older")])
async def test_frames_of_another_version_are_said_in_a_sentence(tmp_path: Path, version: int, said: str) -> None:
    path = tmp_path / "r.jsonl"
    status = {"version": version, "engines": [{"version": version, "policy": {"name": "p", "revision": "r"}}]}
    lines = [{"lamps_recording": 1, "what": "x"}, {"at": 0.0, "server": "a", "status": status}]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    async with running(Replay(path)) as pilot:
        await pilot.pause(0.2)
        for number in "1234567":
            await press(pilot, number)
            assert said in text(pilot)
