"""Random traffic for a stepped scheduler, and what must hold of the ledger after each of its steps."""

from __future__ import annotations

import json
import random

from tests.engine.stepping import Stepper


def random_traffic(engine: Stepper, chance: random.Random, turns: int = 90) -> dict[str, int]:
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
                consistent(engine)
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


def consistent(engine: Stepper) -> None:
    """The ledger adds up, its blocks are held, and the queue and the table have the same requests."""
    ledger = engine.scheduler.lamps.calls.ledger
    assert ledger.tokens == sum(pin.tokens for pin in ledger)
    assert all(block.ref_cnt > 0 for pin in ledger for block in pin.blocks)
    assert len(engine.scheduler.waiting) == len(engine.scheduler.lamps.table)
