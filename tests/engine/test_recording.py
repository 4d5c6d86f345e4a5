"""Recording a trace from live turns: what an engine tells, what becomes of it, and that nothing is kept unasked."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine_adapter.control.recording import EngineTurns, FinishedTurn, Gathered, Turns
from engine_adapter.runtime import recording
from engine_adapter.workload.trace import Turn, load_trace, parsed, written
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps
from tests.engine.server import KEY, Server
from tests.engine.stepping import BLOCK
from tests.engine.test_scheduler import Make, make, prompt

__all__ = ["make"]  # the fixture


def told(engine: Any, since: int | None = None) -> EngineTurns:
    payload = {"since": {} if since is None else {"0": since}}
    return msgspec.json.decode(engine.scheduler.lamps_command("turns", json.dumps(payload)), type=EngineTurns)


def test_nothing_is_kept_until_somebody_asks_nor_long_after(make: Make) -> None:
    engine = make()
    engine.add("unasked", prompt(1, 64), 3, session="s")
    engine.run()
    kept = engine.scheduler.lamps.recording
    assert told(engine).turns == () and not kept._before
    engine.add("asked", prompt(2, 64), 3, session="s")
    engine.run()
    assert [turn.session for turn in told(engine, 0).turns] == ["s"]
    engine.clock.now += recording.LINGER_S + 1
    engine.add("later", prompt(3, 64), 3, session="s")
    assert not kept._turns and not kept._before and not kept._begun


def test_a_follow_up_is_told_with_what_it_repeats_its_gap_and_its_tool(make: Make) -> None:
    engine = make(blocks=100)
    told(engine)
    first = prompt(1, 64)
    engine.add("a", first, 17, session="s", lamps_call_tool="search", lamps_tenant="t")
    engine.run()
    engine.clock.now += 7.0
    engine.add("b", [*first, *engine.finished["a"][64:], *prompt(2, 40)], 5, session="s", lamps_tenant="t")
    engine.run()
    one, two = told(engine, 0).turns
    assert (one.prompt, one.shared, one.output, one.tool, one.first) == (64, 0, 17, "", True)
    assert (two.shared, two.output, two.tool, two.first) == (80 // BLOCK * BLOCK, 5, "search", False)
    assert two.gap == pytest.approx(7.0, abs=0.1)
    assert told(engine, 1).turns == (two,)
    assert told(engine, 2).turns == ()


def test_memory_is_bounded_and_what_is_lost_is_counted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "KEPT", 3)
    monkeypatch.setattr(recording, "MOST_BLOCKS", 10)
    engine = make()
    told(engine)
    for number in range(8):
        engine.add(f"r{number}", prompt(number, 64), 2, session=f"s{number}")
        engine.run()
    kept = engine.scheduler.lamps.recording
    assert kept._blocks == sum(len(one.hashes) for one in kept._before.values()) <= 10
    answer = told(engine, 0)
    assert (len(answer.turns), answer.missed, answer.number) == (3, 5, 8)


def test_sessions_become_a_trace_that_can_be_read_again() -> None:
    gathered = Gathered()
    turns = (
        FinishedTurn("secret", 10.0, 100, 20, first=True, tenant="acme"),
        FinishedTurn("other", 12.5, 50, 0, first=True),
        FinishedTurn("secret", 15.0, 200, 30, shared=112, gap=4.0, tool="mail", tenant="acme"),
        FinishedTurn("secret", 19.0, 300, 3, shared=999, gap=1.0, tool="user", tenant="acme"),
        FinishedTurn("secret", 99.0, 40, 4, first=True, tenant="acme"),  # its past had been forgotten
    )
    gathered.add(Turns((EngineTurns(turns, 5, missed=2, now=100.0),)), now_s=1000.0)
    sessions = gathered.sessions()
    assert [(one.name, one.start_s, one.tenant) for one in sessions] == [
        ("1", 0.0, "tenant-1"), ("2", 2.5, None), ("3", 89.0, "tenant-1")
    ]  # fmt: skip
    assert sessions[0].turns == (
        Turn(100, 0, 20), Turn(200, 112, 30, 4.0, "tool", "tool-1"), Turn(300, 230, 3, 1.0, "user")
    )  # fmt: skip
    assert gathered.missed == 2
    data = written(sessions)
    assert parsed("trace", data) == tuple(sessions)
    assert b"secret" not in data and b"acme" not in data and b"mail" not in data


def test_tools_keep_their_names_where_somebody_wants_them() -> None:
    gathered = Gathered(tool_names=True)
    turns = (
        FinishedTurn("secret", 10.0, 100, 20, first=True, tenant="acme"),
        FinishedTurn("secret", 15.0, 200, 30, shared=112, gap=4.0, tool="mail", tenant="acme"),
    )
    gathered.add(Turns((EngineTurns(turns, 2, now=100.0),)), now_s=1000.0)
    data = written(gathered.sessions())
    assert gathered.sessions()[0].turns[1].tool == "mail"
    assert b"secret" not in data and b"acme" not in data


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("mine")
    assert lamps("record", "-o", tmp_path / "trace").returncode == ExitCode.USAGE
    assert (tmp_path / "trace").read_text() == "mine"


@pytest.mark.server
def test_live_traffic_is_recorded_and_the_trace_can_be_replayed(server: Server, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    done: list[Any] = []
    recorder = threading.Thread(
        target=lambda: done.append(lamps("record", "--url", server.url, "--api-key", KEY, "-o", trace, "--for", "6"))
    )
    recorder.start()

    def two_turns(session: str) -> None:
        text = "A sentence of a prompt that fills more than two blocks of KV cache. " * 6
        said: list[dict[str, str]] = [{"role": "user", "content": text}]
        for asked in ("And now?", ""):
            answer = server.openai().chat.completions.create(
                model="smollm2", messages=said, max_tokens=8, extra_headers={"X-Session-ID": session}
            )
            said += [{"role": "assistant", "content": answer.choices[0].message.content or "."}]
            said += [{"role": "user", "content": asked}]

    number = 0
    while recorder.is_alive():  # it takes a moment until it listens
        two_turns(f"recorded-{number}")
        number += 1
    recorder.join()
    assert done[0].returncode == ExitCode.OK, done[0].stderr
    whole = [session for session in load_trace(trace).sessions if len(session.turns) == 2]
    assert whole
    for session in whole:
        assert session.turns[1].shared >= 64 and session.turns[1].after == "user"
    assert "sentence" not in trace.read_text() and "recorded" not in trace.read_text()
