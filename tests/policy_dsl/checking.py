"""Short policies checked and evaluated, for the tests of what rules mean."""

from __future__ import annotations

from policy_dsl import ir
from policy_dsl.interpret import evaluate
from policy_dsl.loading import load_text
from policy_dsl.verify import verify

HEAD = 'lamps 1\npolicy p "t"\n'
ENGINE = {
    "cost.prefill": 1e-3,
    "cost.prefill_context": 1e-6,
    "cost.decode": 0.02,
    "cost.swap": 5e-4,
    "engine.running_tokens": 1000.0,
    "allow.preserve": True,
    "allow.swap": True,
}


def good(text: str) -> ir.Policy:
    loaded = load_text(HEAD + text)
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    verify(loaded.policy)
    return loaded.policy


def value(text: str, **row: float | bool | str) -> float | bool | str:
    """The value of an expression for one row; keys are written with `__` for the dot."""
    keys = {k.replace("__", "."): v for k, v in row.items()}
    return evaluate(good(f"rank {text}").rank[0].expr, keys, ENGINE, {})


def wrong(text: str) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in load_text(HEAD + text).diagnostics]
