"""The memory that 10,000 live sessions take: python -m benchmarks.sessions [SESSIONS]

Each has had three turns of two tools, the last of 4,096 tokens, and is paused in a call with its KV preserved; half of
them are known by an id, half by their prefix, which costs a copy of nothing but hashes. Python objects are counted by
tracemalloc, in a run of its own since it slows everything; the process' resident memory by the kernel. The blocks
themselves and vLLM's requests are the engine's. Writes benchmarks/results/sessions.json.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tracemalloc
from pathlib import Path

import policies
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine, EngineFacts, EngineLoad, Held
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.requests import Arrival, Ended
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "sessions.json"
LIMIT_MB = 300.0
SESSIONS = 10_000
POLICIES = ("fcfs", "lamps")
TURNS, FIRST_TOKENS, MORE_TOKENS, BLOCK = 3, 2_048, 1_024, 16


def runtime_of(policy: str) -> tuple[Runtime, list[float]]:
    """A runtime with memory for all, and the clock it reads."""
    loaded = load(policies.find(policy))
    assert loaded.policy is not None, loaded.diagnostics
    now = [0.0]
    engine = Engine(
        EngineFacts(10**9, BLOCK, BLOCK, 1024.0, 8192, can_preserve=True),
        load=lambda: EngineLoad(running=64, waiting=0, running_tokens=10**6, free_tokens=10**8),
        release=lambda blocks: None,
        clock=lambda: now[0],
    )
    return Runtime(compile_policy(loaded.policy, loaded.source), engine, Predictor(), CostModel()), now


def live(runtime: Runtime, now: list[float], sessions: int) -> None:
    """All sessions take their turns, the last of each ends in a call."""
    for turn in range(TURNS):
        tokens = FIRST_TOKENS + turn * MORE_TOKENS
        for n in range(sessions):
            now[0] += 1e-3
            runtime.begin_step()
            one_turn(runtime, f"s{n}", f"s{n}.{turn}", tokens, known=n % 2 == 0)


def one_turn(runtime: Runtime, session: str, name: str, tokens: int, known: bool) -> None:
    hashes = [f"{session}/{block}".encode().ljust(32) for block in range((tokens + 16) // BLOCK)]
    hints = {"lamps_call_tool": ("search", "build")[len(name) % 2], "lamps_turn": name}
    prompt = list(range(tokens))
    runtime.arrive(Arrival(name, prompt, 64, 0.0, session if known else None, hints, hashes[: tokens // BLOCK], 0))
    runtime.enqueue(name)
    runtime.first(1)
    runtime.dequeue(name)
    runtime.admitted({name: 0})
    blocks = tuple([0] * ((tokens + 16) // BLOCK))
    runtime.ended(Ended(name, 16, tokens + 16, False, hashes), hold=lambda: Held(blocks, len(blocks) * BLOCK))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(policy: str, sessions: int, traced: bool) -> dict[str, float]:
    """In this process; *traced*: Python objects are counted, and the resident memory with them."""
    runtime, now = runtime_of(policy)
    live(runtime, now, 50)  # what is allocated once
    before = resident_mb()
    if traced:
        tracemalloc.start()
    runtime, now = runtime_of(policy)
    live(runtime, now, sessions)
    held = tracemalloc.get_traced_memory()[0] / 1e6 if traced else 0.0
    return {
        "sessions": len(runtime.sessions), "paused": len(runtime.calls.paused), "pins": len(runtime.calls.ledger),
        "objects_mb": round(held, 1), "resident_mb": round(resident_mb() - before, 1),
    }  # fmt: skip


def main() -> int:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS
    if len(sys.argv) > 2:
        print(json.dumps(measured(sys.argv[2], sessions, traced=sys.argv[3] == "traced")))
        return 0
    results = []
    for policy in POLICIES:
        found = {}
        for how in ("traced", "plain"):
            command = [sys.executable, "-m", "benchmarks.sessions", str(sessions), policy, how]
            found[how] = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
        one = {"policy": policy, **found["plain"], "objects_mb": found["traced"]["objects_mb"]}
        results.append(one)
        print(
            f"{policy:14} {one['sessions']:,} sessions, {one['paused']:,} paused, {one['pins']:,} pins: "
            f"{one['objects_mb']} MB of objects, {one['resident_mb']} MB more resident"
        )
    machine = {"processor": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"limit_mb": LIMIT_MB, "machine": machine, "results": results}, indent=1) + "\n")
    return 1 if any(max(r["objects_mb"], r["resident_mb"]) > LIMIT_MB for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
