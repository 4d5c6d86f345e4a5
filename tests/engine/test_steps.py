"""Steps as an engine tells of them: nothing unasked, what each computed, and how long it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine_adapter.control.steps import EngineSteps, fetch_steps
from engine_adapter.runtime import step_log
from engine_adapter.virtual.profile import load_profile
from engine_adapter.vllm.scheduler import AsyncLampsScheduler
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps
from tests.engine.server import KEY, Server
from tests.engine.test_scheduler import Make, make, prompt

__all__ = ["make"]  # the fixture


def told(engine: Any, since: int | None = None) -> EngineSteps:
    payload = {"since": {} if since is None else {"0": since}}
    return msgspec.json.decode(engine.scheduler.lamps_command("steps", json.dumps(payload)), type=EngineSteps)


def test_nothing_is_kept_until_somebody_asks_nor_long_after(make: Make) -> None:
    engine = make()
    engine.add("unasked", prompt(1, 64), 3)
    engine.run()
    assert told(engine).steps == ()
    engine.add("asked", prompt(2, 64), 3)
    engine.run()
    assert len(told(engine, 0).steps) == 3
    engine.clock.now += step_log.LINGER_S + 1
    engine.add("later", prompt(3, 64), 3)
    engine.run()
    assert told(engine, 3).steps == ()


def test_a_step_is_told_as_it_was(make: Make) -> None:
    engine = make(blocks=100)
    told(engine)
    engine.add("a", prompt(1, 64), 3)
    engine.add("b", prompt(2, 40), 2)
    engine.run()
    first, second, third = told(engine, 0).steps
    assert (first.prefill_tokens, first.prefill_seqs, first.decode_seqs) == (104, 2, 0)
    assert first.prefill_area == pytest.approx(64 * 32 + 40 * 20)
    assert (second.prefill_tokens, second.decode_seqs, second.context_tokens) == (0, 2, 104)
    assert (third.decode_seqs, third.context_tokens) == (1, 65)
    assert first.step_s == pytest.approx(engine.step_s)
    assert (second.turns, third.turns) == (1, 1)
    assert third.turns_s == pytest.approx(3 * engine.step_s, abs=1e-6)
    assert told(engine, 2).steps == (third,)


def test_an_engine_that_waited_for_work_wasnt_working(make: Make) -> None:
    engine = make(blocks=100)
    told(engine)
    engine.add("a", prompt(1, 64), 2)
    engine.run()
    engine.clock.now += 5.0
    engine.add("b", prompt(2, 64), 3)
    engine.step()
    engine.clock.now += 0.25  # between two steps of a busy engine
    engine.add("c", prompt(3, 64), 1)
    engine.run()
    waited, busy = told(engine, 2).steps[:2]
    assert (waited.gap_s, waited.came, waited.woke) == (0.0, 0, True)
    assert (busy.gap_s, busy.came, busy.woke) == (pytest.approx(0.25), 2, False)  # c came, and ended
    assert busy.whole_s == pytest.approx(0.25 + engine.step_s)


def test_an_asynchronous_step_is_what_it_adds(make: Make) -> None:
    engine = make(blocks=100, base=AsyncLampsScheduler)
    told(engine)
    engine.add("a", prompt(1, 64), 20)
    engine.run()
    steps = told(engine, 0).steps
    assert len(steps) >= 20
    assert sum(step.whole_s for step in steps) == pytest.approx(engine.clock.now - 100.0, rel=0.15)


def test_memory_is_bounded_and_what_is_lost_is_counted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()
    engine.scheduler._step_log._steps = type(engine.scheduler._step_log._steps)(maxlen=4)
    told(engine)
    engine.add("a", prompt(1, 64), 10)
    engine.run()
    answer = told(engine, 0)
    assert (len(answer.steps), answer.missed, answer.number) == (4, 6, 10)


def test_the_engine_says_what_it_is(make: Make) -> None:
    engine = make(blocks=100)
    about = told(engine).about
    assert (about.block_size, about.kv_blocks, about.max_num_batched_tokens) == (16, 99, 512)
    assert set(about.identity) == {"model", "device", "dtype", "quantization", "parallel", "graphs", "vllm"}
    assert about.identity["dtype"] == "float32"


@pytest.mark.server
def test_a_server_tells_its_steps(server: Server) -> None:
    since = {engine.engine: engine.number for engine in fetch_steps(server.url, KEY)}
    server.openai().completions.create(model="smollm2", prompt="One two three", max_tokens=6)
    (engine,) = fetch_steps(server.url, KEY, since)
    assert sum(step.turns for step in engine.steps) == 1
    assert len(engine.steps) == 6 and all(step.step_s > 0.0 for step in engine.steps)
    assert engine.about.identity["model"] == "smollm2" and engine.about.max_model_len == 1024


@pytest.mark.server
def test_a_real_server_is_measured(server: Server, tmp_path: Path) -> None:
    run = lamps("profile", server.url, "--api-key", KEY, "--seconds", "10", "-o", tmp_path / "mine.yaml")
    assert run.returncode == ExitCode.OK, run.stderr
    profile = load_profile(tmp_path / "mine.yaml")
    assert profile.engine is not None and profile.engine.model == "smollm2"
    assert profile.longest == 1024 and profile.blocks == 159
    assert 0.001 < profile.step.of(0, 0.0, 1, 100) < 5.0
    assert profile.step.of(500, 125_000.0, 0, 0) > profile.step.of(16, 128.0, 0, 0)
