"""The decision log: what is written, what a crash, a full queue and a full disk cost, how much it may hold."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from engine_adapter.control import decision_log
from engine_adapter.control.decision_log import OLDER_FILES, DecisionLog, Reading, numbered, path_of
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.journal import Entry
from tests.runtime.host_port import HostWorld, start

POLICY = "rank request.arrival\non call least { preserve: call.duration * call.context discard: 40tok * 1s }"


def entry(number: int, **more: object) -> Entry:
    return Entry(number, float(number), "admit", "admitted", **more)  # type: ignore[arg-type]


def put(log: DecisionLog, *numbers: int) -> None:
    for number in numbers:
        log.put(entry(number), "tried", "0123456789ab")


def written(path: Path) -> list[int]:
    return [one.number for one in Reading(path)]


def logged_call(path: Path, counters: Counter[str], session: str = "s") -> Runtime:
    world = HostWorld()
    runtime = world.runtime(POLICY)
    runtime.watch.log_to(DecisionLog(path, "0", pytest.fail, counters), lambda: runtime.policy)
    start(runtime, "chatcmpl-a", session, lamps_call_tool="x", lamps_call_duration_s=5.0)
    world.end(runtime, "chatcmpl-a")
    runtime.close()
    return runtime


def test_a_decision_is_logged_with_its_rule_its_values_and_the_revision(tmp_path: Path) -> None:
    counters: Counter[str] = Counter()
    runtime = logged_call(tmp_path / "log", counters)
    decided = [one for one in Reading(tmp_path / "log") if one.kind == "call"]
    assert [(one.request, one.session, one.what, one.note) for one in decided] == [("chatcmpl-a", "s", "discard", "x")]
    (one,) = decided
    assert (one.policy, one.revision) == (runtime.policy.name, runtime.policy.revision)
    assert one.line == 4
    assert one.values["call.duration"] == 5.0
    assert [(arm.text, arm.chosen) for arm in one.arms] == [("preserve", False), ("discard", True)]
    assert abs(one.time - time.time()) < 600
    assert counters["log.written"] == len(list(Reading(tmp_path / "log")))


def test_a_line_cut_by_a_crash_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, "0", pytest.fail, Counter())
    put(log, 1, 2)
    log.close()
    path.write_bytes(path.read_bytes()[:-9])
    again = DecisionLog(path, "0", pytest.fail, Counter())
    put(again, 3)
    again.close()
    reading = Reading(path)
    assert [one.number for one in reading] == [1, 3]
    assert reading.cut == 1


def test_files_are_turned_over_and_their_number_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, "0", pytest.fail, Counter(), most_bytes=2000)
    for number in range(200):
        put(log, number)
        if number % 5 == 4:
            _wait(log._queue.empty)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert files == sorted(numbered(path, number) for number in range(OLDER_FILES + 1))
    assert all(file.stat().st_size <= 2000 for file in files)
    numbers = written(path)
    assert numbers == list(range(numbers[0], 200))


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    line = DecisionLog._line
    monkeypatch.setattr(DecisionLog, "_line", lambda self, *record: gate.wait(30) and line(self, *record))
    counters: Counter[str] = Counter()
    log = DecisionLog(tmp_path / "log", "0", pytest.fail, counters, queued=10)
    put(log, *range(100))
    gate.set()
    log.close()
    assert counters["log.dropped"] >= 89  # one may be in the thread's hands
    assert counters["log.written"] + counters["log.dropped"] == 100
    assert written(tmp_path / "log") == list(range(counters["log.written"]))


def test_a_full_disk_is_said_once_counted_and_got_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    write = os.write

    def written_or_not(file: int, data: bytes) -> int:
        if full:
            write(file, data[:20])
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(decision_log.os, "write", written_or_not)
    said: list[str] = []
    counters: Counter[str] = Counter()
    log = DecisionLog(tmp_path / "log", "0", said.append, counters)
    for number in (1, 2):
        put(log, number)
        _wait(lambda number=number: counters["log.failed"] >= number)
    full = False
    put(log, 3)
    log.close()
    assert counters["log.failed"] == 2
    assert said == [f"decisions are not being logged: {tmp_path / 'log'}: No space left on device"]
    assert written(tmp_path / "log") == [3]


def test_each_engine_has_a_file() -> None:
    assert path_of(Path("d/log.jsonl"), "0") == Path("d/log.jsonl")
    assert path_of(Path("d/log.jsonl"), "2") == Path("d/log-2.jsonl")


def test_a_log_is_followed_over_a_turn(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, "0", pytest.fail, Counter(), most_bytes=1000)
    put(log, 0)
    _wait(path.exists)
    following = Reading(path).following(every_s=0.01)
    assert next(following).number == 0

    def go_on() -> None:
        for number in range(1, 12):
            put(log, number)
            time.sleep(0.05)

    thread = threading.Thread(target=go_on)
    thread.start()
    assert [one.number for one in islice(following, 11)] == list(range(1, 12))
    thread.join()
    log.close()
    assert numbered(path, 1).exists()


def test_infinite_costs_are_valid_json(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log", "0", pytest.fail, Counter())
    log.put(entry(1, arms=[("preserve", float("inf"), True, False)]), "tried", "0")
    log.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["arms"][0]["cost"] is None


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
