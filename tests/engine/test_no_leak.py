"""Random traffic on vLLM's scheduler: whatever happens, every block and every pin comes back."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.virtual.build import make_scheduler, timed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler
from tests.engine.stepping import Clock, Stepper, vllm_config

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
    lengths = _traffic(engine, random.Random(seed))
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


def _traffic(engine: Stepper, chance: random.Random, turns: int = 90) -> dict[str, int]:
    """Sessions of several turns, aborts, verdicts early, late and never, cache resets, idle time.

    Returns the length of every prompt.
    """
    lengths = {}
    open_turns: list[str] = []
    for n in range(turns):
        session = f"s{chance.randrange(8)}"
        known = next((t for i, t in reversed(engine.finished.items()) if i.startswith(session + ".")), [])
        prompt = [*known[:300], *(chance.randrange(3, 900) for _ in range(20))]
        hints = chance.choice(
            [{}, {"lamps_call_tool": chance.choice("ab")}, {"lamps_may_call": 1, "lamps_turn": f"t{n}"}]
        )
        name = f"{session}.{n}"
        lengths[name] = len(prompt)
        engine.add(name, prompt, chance.randrange(1, 40), session if chance.random() < 0.7 else None, **hints)
        open_turns.append(f"t{n}")
        for _ in range(chance.randrange(12)):
            if engine.scheduler.has_unfinished_requests():
                engine.step()
                _consistent(engine)
        if chance.random() < 0.15:
            engine.abort(name)
        if chance.random() < 0.5 and open_turns:
            turn = open_turns.pop(chance.randrange(len(open_turns)))
            verdict = {"turn": turn, "outcome": chance.choice(["call", "end", "gone"]), "tools": ["a"]}
            assert engine.scheduler.lamps_command("verdict", json.dumps(verdict)) == "{}"
        if chance.random() < 0.03:
            engine.scheduler.reset_prefix_cache()
        if chance.random() < 0.1:
            engine.clock.now += chance.choice([0.3, 5.0, 700.0])
    return lengths


def _consistent(engine: Stepper) -> None:
    ledger = engine.scheduler.lamps.calls.ledger
    assert ledger.tokens == sum(pin.tokens for pin in ledger)
    assert all(block.ref_cnt > 0 for pin in ledger for block in pin.blocks)
    assert len(engine.scheduler.waiting) == len(engine.scheduler.lamps.table)
