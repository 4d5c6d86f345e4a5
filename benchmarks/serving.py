"""Policies against stock vLLM on the real server: same arrivals, same token ids, interleaved, every session counted.

    python -m benchmarks.serving latency      mean and tails of sessions, memory short, past saturation
    python -m benchmarks.serving throughput   what a policy costs: fcfs.lamps against stock (or with --model smollm2)
    python -m benchmarks.serving identity     greedy outputs, token for token

Unless another is named, the model is the small one with random weights, whose arithmetic takes little, so that
scheduling is what differs. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.servers import serving, several
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.summary import as_document
from engine_adapter.workload.trace import load_trace

RESULTS = Path(__file__).parent / "results"
# Requests that come at once, by model: four times the seats; with a model that computes, what takes half a minute.
AT_ONCE = {"random": 256, "smollm2": 96}
# 16k tokens of KV: about a quarter of what 200 sessions of augmented-single hold when they all run.
SHORT_OF_MEMORY = (
    "--max-model-len", "2304", "--block-size", "32", "--num-gpu-blocks-override", "512", "--max-num-seqs", "64",
)  # fmt: skip


# Times the pauses of tools.
GAP_SCALE, _WARM_UP_GAPS = 0.3, 0.1
_WARM_UP_SESSIONS = 30


def warm_up_of(rate: float, seed: int) -> Load:
    """What a server has served before the run of *seed*."""
    return Load(rate=rate, sessions=_WARM_UP_SESSIONS, seed=1000 + seed, gap_scale=_WARM_UP_GAPS)


def latency(
    policies: Sequence[str], trace_name: str, rate: float, sessions: int, seeds: Sequence[int], logs: Path
) -> dict[str, Any]:
    """Replay a trace under every policy, seed by seed, in an order that turns."""
    runs: dict[str, list[dict[str, Any]]] = {policy: [] for policy in policies}
    for n, seed in enumerate(seeds):
        for policy in turned(policies, n):
            load = Load(rate=rate, sessions=sessions, seed=seed, gap_scale=GAP_SCALE)
            runs[policy].append(run_of(policy, trace_name, load, logs))
    return {"rate": rate, "sessions": sessions, "seeds": list(seeds), "flags": SHORT_OF_MEMORY, "runs": runs}


def turned(policies: Sequence[str], places: int) -> list[str]:
    """Another of them first."""
    first = places % len(policies)
    return [*policies[first:], *policies[:first]]


def run_of(policy: str, trace_name: str, load: Load, logs: Path) -> dict[str, Any]:
    """One run, on a server of its own that is warmed up with other sessions.

    One server at a time: a second one, though idle, takes cores and memory from the one that is measured.
    """
    assert load.rate is not None
    trace = load_trace(trace_name)
    with serving(policy, "random", *SHORT_OF_MEMORY, logs=logs) as url:
        run_bench(BenchConfig(url, trace, warm_up_of(load.rate, load.seed)))
        before = _counters(url, policy)
        run = as_document(run_bench(BenchConfig(url, trace, load)))
        run["lamps"] = {k: v - before.get(k, 0) for k, v in _counters(url, policy).items()}
    _tell(policy, load.seed, run)
    return run


def throughput(policies: Sequence[str], model: str, rounds: int, repetitions: int, logs: Path) -> dict[str, Any]:
    """Tokens a second with more requests than seats, memory plenty: each policy over the first, pair by pair.

    Two servers of the same policy differ by 4 % from start to start, and keep that while they run, so each round has
    new ones, started in another order: a round's ratio is the median of its pairs, the figure the median of the rounds.
    """
    flags = ("--max-model-len", "2304", "--block-size", "32", "--max-num-seqs", "64")
    rates: dict[str, list[list[float]]] = {policy: [] for policy in policies}
    for n in range(rounds):
        order = turned(policies, n)
        with several(order, model, *flags, logs=logs) as urls:
            for policy in policies:
                rates[policy].append([])
                saturate(urls[policy], seed=0, requests=AT_ONCE[model] // 4)
            for m in range(repetitions):
                for policy in order if m % 2 == 0 else reversed(order):
                    seed = n * repetitions + m + 1
                    rates[policy][-1].append(saturate(urls[policy], seed, AT_ONCE[model]))
        print(f"round {n + 1}:", {p: round(statistics.median(r[-1])) for p, r in rates.items()}, file=sys.stderr)
    ratios = {
        policy: [
            statistics.median(a / b for a, b in zip(mine, first, strict=True))
            for mine, first in zip(rates[policy], rates[policies[0]], strict=True)
        ]
        for policy in policies[1:]
    }
    return {
        "tokens_per_s": rates,
        "ratio_to": policies[0],
        "ratio": {p: {"median": statistics.median(r), "rounds": r} for p, r in ratios.items()},
    }


def identity(policies: Sequence[str], logs: Path) -> dict[str, Any]:
    """Greedy answers of every policy under a load that makes batches differ; models one after the other."""
    found = {}
    for model, flags in (("random", ()), ("smollm2", ("--dtype", "float32"))):
        answers = {}
        for policy in policies:
            with serving(policy, model, *flags, "--max-model-len", "1024", "--max-num-seqs", "8", logs=logs) as url:
                answers[policy] = _greedy(url, requests=24)
        found[model] = {
            policy: sum(a == b for a, b in zip(answers[policy], answers[policies[0]], strict=True))
            for policy in policies
        }
        print(f"{model}: identical answers of 24: {found[model]}", file=sys.stderr)
    return {"identical_of_24": found, "reference": policies[0]}


def saturate(url: str, seed: int, requests: int) -> float:
    """Output tokens a second of *requests* that all come at once, 64 to 191 tokens each, after prompts of 50 to 249."""
    import asyncio

    model = _served(url)

    async def one(client: httpx.AsyncClient, n: int) -> int:
        prompt = [(seed * 104729 + n * 7919 + i * 31) % 40000 + 100 for i in range(50 + n * 37 % 200)]
        output = 64 + n * 53 % 128
        body = {"model": model, "prompt": prompt, "max_tokens": output, "ignore_eos": True, "temperature": 0}
        answer = await client.post(f"{url}/v1/completions", json=body)
        answer.raise_for_status()
        return int(answer.json()["usage"]["completion_tokens"])

    async def all_at_once() -> int:
        async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None)) as client:
            return sum(await asyncio.gather(*(one(client, n) for n in range(requests))))

    began = time.perf_counter()
    return asyncio.run(all_at_once()) / (time.perf_counter() - began)


def _greedy(url: str, requests: int) -> list[list[int]]:
    """Token ids of greedy answers to requests that come together."""
    from concurrent.futures import ThreadPoolExecutor

    model = _served(url)

    def one(n: int) -> list[int]:
        prompt = [(n * 7919 + i * 31) % 40000 + 100 for i in range(20 + n * 37 % 300)]
        body = {"model": model, "prompt": prompt, "max_tokens": 48, "ignore_eos": True, "temperature": 0}
        body |= {"return_token_ids": True, "vllm_xargs": {"session_id": f"s{n}", "lamps_call_tool": "x"}}
        answer = httpx.post(f"{url}/v1/completions", json=body, timeout=300)
        answer.raise_for_status()
        return list(answer.json()["choices"][0]["token_ids"])

    with ThreadPoolExecutor(requests) as pool:
        return list(pool.map(one, range(requests)))


def _served(url: str) -> str:
    return str(httpx.get(f"{url}/v1/models").json()["data"][0]["id"])


def _counters(url: str, policy: str) -> dict[str, int]:
    if policy == "stock":
        return {}
    state = httpx.get(f"{url}/lamps/status", timeout=30).json()
    engines = state if isinstance(state, list) else state.get("engines", [state])
    return dict(engines[0]["counters"])


def _tell(policy: str, seed: int, run: dict[str, Any]) -> None:
    s = run["summary"]
    e2e, ttft = s["end_to_end_s"], s["ttft_turn_s"]
    print(
        f"{policy:8} seed {seed}: {s['finished']}/{s['sessions']} sessions, end to end mean {e2e['mean']:.2f} s "
        f"p50 {e2e['p50']:.2f} p95 {e2e['p95']:.2f} p99 {e2e['p99']:.2f} max {e2e['max']:.2f}, "
        f"TTFT mean {ttft['mean']:.2f} p99 {ttft['p99']:.2f}, cached {s['cached_tokens']}",
        file=sys.stderr,
    )


def main() -> None:
    """Run one comparison and write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("latency", "throughput", "identity"))
    parser.add_argument("--policies", default=None, help="comma-separated; the first is what others are compared with")
    parser.add_argument("--trace", default="augmented-single", help="(latency)")
    parser.add_argument("--rate", type=float, default=60.0, help="sessions per second (latency)")
    parser.add_argument("--sessions", type=int, default=380)
    parser.add_argument("--seeds", type=int, default=3)
    # One pair's ratio strays by 0.03 and a round's by as much again: nine rounds put the median within 0.015.
    parser.add_argument("--rounds", type=int, default=9, help="new servers so many times (throughput)")
    parser.add_argument("--repetitions", type=int, default=4, help="pairs a round (throughput)")
    parser.add_argument("--model", choices=sorted(AT_ONCE), default="random", help="whose throughput")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        policies = (given.policies or ("stock,fcfs" if given.what == "throughput" else "stock,fcfs,lamps")).split(",")
        match given.what:
            case "latency":
                seeds = range(1, given.seeds + 1)
                found = latency(policies, given.trace, given.rate, given.sessions, seeds, logs)
            case "throughput":
                found = throughput(policies, given.model, given.rounds, given.repetitions, logs)
            case _:
                found = identity(policies, logs)
    of = "" if given.model == "random" else f"-{given.model}"
    of += "" if given.trace == "augmented-single" else f"-{given.trace}"
    out = given.out or RESULTS / f"{given.what}{of}.json"
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
