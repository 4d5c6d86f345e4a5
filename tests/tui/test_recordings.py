"""Recordings: what is written, what is read of those that were cut or are none, how they are played."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from engine_adapter.control.frames import parse_status
from tests.tui.conftest import DEMO, SERVERS
from tests.tui.test_sources import STATUS, Told, told
from tui.dialogs import time_of
from tui.model import Delivery, Model
from tui.recording import Reader, RecordingError, Writer
from tui.sources.replay import Replay

__all__ = ["told"]  # the fixture


@pytest.fixture
def recording(tmp_path: Path, film: list[Delivery]) -> Path:
    """Thirty frames of one server, half a second apart."""
    path = tmp_path / "r.jsonl.gz"
    with Writer(path, "thirty frames") as writer:
        frames = [d.status for d in film if d.server == SERVERS[0]][:30]
        for number, status in enumerate(frames):
            assert status is not None
            writer.add(number / 2, "a", status)
    return path


def test_a_recording_is_what_was_told(recording: Path, film: list[Delivery]) -> None:
    reader = Reader(recording)
    lines = [line for line, _ in reader.lines()]
    assert (reader.head.what, reader.cut, len(lines)) == ("thirty frames", "", 30)
    assert lines[7].parsed() == [d.status for d in film if d.server == SERVERS[0]][7]


def test_a_recording_that_is_cut_is_good_up_to_there(recording: Path, tmp_path: Path) -> None:
    whole = gzip.decompress(recording.read_bytes())
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(whole[: len(whole) // 2])
    reader = Reader(cut)
    assert 10 <= len(list(reader.lines())) < 30
    assert "ends early" in reader.cut
    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(recording.read_bytes()[:-2000])
    reader = Reader(packed)
    assert 1 <= len(list(reader.lines())) < 30
    assert "ends early" in reader.cut


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a recording"),
        (b"\x1f\x8b", "can't read"),
        (b"\xfd7zXZ\x00broken", "can't read"),
        (b'{"some": "json"}\n', "not a recording"),
        (b'{"lamps_recording": 9}\n', "has version 9"),
        (b"\x00\xff" * 100, "not a recording"),
    ],
)
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        Reader(path)


def test_no_such_file() -> None:
    with pytest.raises(RecordingError, match="can't read"):
        Reader(Path("/no/such/file"))


def test_a_replay_steps_jumps_and_goes_on(recording: Path, told: Told) -> None:
    source = Replay(recording)
    source.toggle()  # paused before it begins: the first frame is shown all the same
    source.start(told)
    told.until(len)
    while source.note:
        time.sleep(0.01)
    assert (source.length_s, source.position_s, len(told.all)) == (14.5, 0.0, 1)
    source.step(3)
    told.until(lambda all: all[-1].at == 1.5)
    source.step(-1)
    told.until(lambda all: all[-1].at == 1.0)
    source.seek(9.9)
    found = told.until(lambda all: all[-1].at == 9.5)
    begun = max(n for n, d in enumerate(found) if d.restart)
    assert [d.at for d in found[begun:]] == [n / 2 for n in range(20)]  # the curves' past comes with it
    source.seek(1e9)
    told.until(lambda all: all[-1].at == 14.5)
    source.step(5)
    source.faster(10)
    assert source.speed == 16.0
    source.seek(7.0)
    told.until(lambda all: all[-1].at == 7.0)
    source.toggle()
    told.until(lambda all: all[-1].at == 14.5)
    source.stop()


def test_servers_that_speak_at_once_are_delivered_and_stepped_over_at_once(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "r.jsonl"
    with Writer(path, "three servers") as writer:
        for number in range(30):
            for server in range(3):
                status = parse_status(json.dumps(STATUS))
                writer.add(number + server / 100, f"s{server}", status)
    source = Replay(path)
    source.toggle()
    source.start(told)
    while source.note:
        time.sleep(0.01)
    source.seek(0.0)
    told.until(lambda all: all and all[-1].at == 0.02)
    source.step(2)
    assert {d.server for d in told.until(lambda all: all[-1].at == 2.02)[-3:]} == {"s0", "s1", "s2"}
    source.step(-1)
    told.until(lambda all: all[-1].at == 1.02)
    source.seek(5.0)  # not without those that spoke a moment later
    told.until(lambda all: all[-1].at == 5.02)
    source.step(-9)
    told.until(lambda all: all[-1].at == 0.02)
    source.stop()


def test_a_replay_keeps_its_pace(recording: Path, told: Told) -> None:
    source = Replay(recording, speed=8.0)
    began = time.monotonic()
    source.start(told)
    told.until(lambda all: len(all) == 30)
    assert time.monotonic() - began >= 14.5 / 8.0 * 0.95
    source.stop()


def test_the_curves_of_a_jump_are_those_of_playing_up_to_there(film: list[Delivery]) -> None:
    played, jumped = Model(), Model()
    for delivery in film:
        played.take(delivery)
    jumped.take(Delivery("gone", 0.0, film[-1].status))
    for n, delivery in enumerate(film):
        jumped.take(Delivery(delivery.server, delivery.at, delivery.status, restart=n == 0))
    assert jumped.moment == played.moment
    assert [view.name for view in played.moment.engines] == list(SERVERS)
    numbers = [decision.number for decision in played.moment.decisions]
    assert numbers == sorted(set(numbers))


def test_a_server_that_was_restarted_begins_new_curves(film: list[Delivery]) -> None:
    model = Model()
    mine = [d for d in film if d.server == SERVERS[0]]
    for delivery in (*mine[:40], mine[0]):
        model.take(delivery)
    assert len(model.moment.points) == 1


def test_the_demo_names_no_machine() -> None:
    for _, raw in Reader(DEMO).lines():
        assert b"/home/" not in raw and b"/tmp/" not in raw and b"/work/" not in raw


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90", 90.0),
        ("1:30", 90.0),
        ("1:00:01", 3601.0),
        ("50%", 100.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_times_as_people_write_them(written: str, meant: float | None) -> None:
    assert time_of(written, 200.0) == meant
