"""What a policy costs the engine: tokens a second of fcfs over stock, two whole engines in one process, in turn.

    python -m benchmarks.side_by_side [--policies stock,fcfs] [--model random] [--starts 6]

Two servers of the same policy differ by some percent from start to start, and keep that (`serving throughput`). Here
both engines are in one process, whose starts differ, too, if less (results). It computes one step after the other:
scheduler, KV manager, model and detokenizer, without a server in front of them. They get the same requests, a new one
for each that ends, twice as many as there are seats, memory plenty; fcfs decides as stock does, so that their steps are
the same. Some steps of one and of the other are timed in turn, in seconds of CPU time, which other work of the machine
moves less than the clock. Half of the processes create the one engine first, half the other.

Nothing of a decision is hidden behind the model here, as it is on an engine whose model computes on another core or a
GPU. Writes its part of benchmarks/results/side_by_side.json; exits with 1 below the bound.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

RESULTS = Path(__file__).parent / "results" / "side_by_side.json"
LIMIT = 0.99
SEATS = 64
# Of a round, by model: a second or three.
STEPS = {"random": 100, "smollm2": 10}
ROUNDS, WARM_UP_ROUNDS = 12, 3
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}  # fmt: skip


def engine_for(policy: str, model: str) -> LLMEngine:
    """An engine of this process. *policy*: "stock" is vLLM's own scheduler."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from engine_adapter.vllm import models
    from engine_adapter.vllm.compat_api import SCHEDULER

    ours = {} if policy == "stock" else {
        "scheduler_cls": SCHEDULER, "additional_config": {"lamps": {"policy": policy}}
    }  # fmt: skip
    return LLMEngine.from_engine_args(
        EngineArgs(
            model=str(models.embedded(model)),
            enforce_eager=True,
            max_model_len=2304,
            max_num_seqs=SEATS,
            block_size=32,
            **ours,
        )
    )


def steps(engine: LLMEngine) -> Iterator[None]:
    """One step after the other; a request that has ended is followed by the next."""
    from vllm.sampling_params import SamplingParams

    numbers, under_way = count(), 0
    while True:
        while under_way < 2 * SEATS:
            number = next(numbers)
            prompt = [(number * 7919 + i * 31) % 40_000 + 100 for i in range(50 + number * 37 % 200)]
            params = SamplingParams(max_tokens=64 + number * 53 % 128, ignore_eos=True, temperature=0.0)
            engine.add_request(f"r{number}", {"prompt_token_ids": prompt}, params)
            under_way += 1
        under_way -= sum(found.finished for found in engine.step())
        yield


def measure(policies: Sequence[str], model: str) -> dict[str, list[float]]:
    """CPU seconds of each round's steps, by policy. The engines are created in this order."""
    engines = {policy: steps(engine_for(policy, model)) for policy in policies}
    found: dict[str, list[float]] = {policy: [] for policy in policies}
    for n in range(WARM_UP_ROUNDS + ROUNDS):
        for policy in policies if n % 2 else reversed(policies):
            began = process_time()
            for _ in range(STEPS[model]):
                next(engines[policy])
            found[policy].append(process_time() - began)
    return {policy: taken[WARM_UP_ROUNDS:] for policy, taken in found.items()}


def one_start(policies: Sequence[str], model: str) -> dict[str, list[float]]:
    """`measure` in a process of its own."""
    words = ["--inside", "--policies", ",".join(policies), "--model", model]
    command = [sys.executable, "-m", "benchmarks.side_by_side", *words]
    ran = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr[-4000:])
    taken: dict[str, list[float]] = json.loads(ran.stdout.splitlines()[-1])
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", default="stock,fcfs", help="the second over the first")
    parser.add_argument("--model", choices=sorted(STEPS), default="random")
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    policies: list[str] = given.policies.split(",")
    if given.inside:
        print(json.dumps(measure(policies, given.model)))
        return 0
    first, other = policies
    ratios, step_ms = [], []
    for start in range(given.starts):
        taken = one_start(policies if start % 2 == 0 else policies[::-1], given.model)
        ratios.append(median(a / b for a, b in zip(taken[first], taken[other], strict=True)))
        step_ms.append(1e3 * median(taken[first]) / STEPS[given.model])
        print(f"start {start + 1}: {ratios[-1]:.4f}; a step of {first}: {step_ms[-1]:.1f} ms", file=sys.stderr)
    if policies == ["stock", "fcfs"]:
        keep(given.model, ratios, median(step_ms))
    print(f"{other} over {first}: {median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})")
    return 0 if median(ratios) >= LIMIT else 1


def keep(model: str, ratios: Sequence[float], step_ms: float) -> None:
    """The figures of one model, beside those of others."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found[model] = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "limit": LIMIT,
        "step_ms": round(step_ms, 2),
        "fcfs_over_stock": {"median": round(median(ratios), 4), "starts": [round(ratio, 4) for ratio in ratios]},
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
