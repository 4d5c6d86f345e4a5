"""Random traffic on vLLM's scheduler: whatever happens, every block and every pin comes back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from tests.engine.stepping import Clock, Stepper, vllm_config
from tests.engine.traffic import random_traffic

POLICIES = {
    "fcfs": "fcfs",
    "lamps": "lamps",
    "keep": 'lamps 1\npolicy keep "all"\nrank request.arrival\non call preserve\n'
    "promote when request.waited_steps >= 30steps\nlimit pinned <= 70%\n",
    "again": 'lamps 1\npolicy asks "again"\nrank request.arrival\non call preserve for 10s then swap\n'
    "while paused every 1step if call.elapsed > 200ms { discard } else { again }\nyield highest call.elapsed\n"
    "limit pinned <= 20% + 40% / max(engine.paused, 1)\n",
    "arrival": 'lamps 1\npolicy foreseen "early"\nrank request.arrival\n'
    "on call at arrival if engine.running < 2 { preserve for 100ms then preserve for 1s } else { swap }\n"
    "while paused every 50ms again\n",
    "brief": 'lamps 1\npolicy brief "short"\nrank highest session.turn, request.arrival\n'
    'on call if call.tool == "a" { preserve for 50ms then discard } else { preserve }\n',
}


@pytest.mark.parametrize("base", [LampsScheduler, AsyncLampsScheduler])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", POLICIES)
def test_random_traffic_leaves_nothing_behind(policy: str, seed: int, base: type[Scheduler], tmp_path: Path) -> None:
    text = POLICIES[policy]
    if "\n" in text:
        (tmp_path / "p.lamps").write_text(text)
        text = str(tmp_path / "p.lamps")
    clock = Clock()
    cls = timed(base, clock)
    engine = Stepper(make_scheduler(cls, vllm_config(40, 4, {"policy": text})), clock)
    lengths = random_traffic(engine, random.Random(seed))
    engine.run()
    scheduler = engine.scheduler
    scheduler.lamps.calls.clear()
    assert not scheduler.lamps.turns
    assert len(scheduler.lamps.table) == 0
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == 39
    assert len(engine.finished) > 40
    for name, tokens in engine.finished.items():
        generated = tokens[lengths[name] :]
        assert generated == list(range(7, 7 + len(generated)))
