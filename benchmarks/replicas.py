"""Two replicas behind a router, by session and in turns, against one: python -m benchmarks.replicas [NGINX]

nginx stands before two servers with the configuration of examples/two_replicas; for `turns` the line that hashes the
session is taken out, so that requests go to the replicas one after the other. One replica gets a load of sessions, two
get twice that: the same for each. Every replica has a core of its own less what nginx and the client take, and memory
for a part of its sessions only; both stay up for all runs, and ways take turns.

Two replicas on one machine are not faster than one. What is measured is what a router can win or lose: whether a
session stays, how much of what it sends again is found in a KV cache, how much of that was preserved for it, and at the
same load the time that this takes. Writes benchmarks/results/replicas.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.servers import CORES, free_port, on_cores, serving
from engine_adapter.control.client import fetch_status
from engine_adapter.control.decision_log import Reading
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig, run_bench
from engine_adapter.workload.summary import as_document
from engine_adapter.workload.trace import load_trace

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "examples" / "two_replicas" / "nginx.conf"
RESULTS = Path(__file__).parent / "results" / "replicas.json"
TRACE, SESSIONS, RATE, SEEDS = "augmented-multi", 16, 1.0, (1, 2)
REST_S = 30.0
# 8,192 tokens of KV for each replica.
FLAGS = (
    "--max-model-len", "2304", "--block-size", "32", "--num-gpu-blocks-override", "256", "--max-num-seqs", "32",
    "--enable-prompt-tokens-details",
)  # fmt: skip
# Way: how many replicas, and what is before them.
WAYS = {"one": 1, "session": 2, "turns": 2}
HASH = re.compile(r"^\s*hash .*;$", re.MULTILINE)


def configuration(way: str, port: int, replicas: Sequence[int]) -> str:
    """The example's configuration for other ports; `turns`: without the hash."""
    text = CONFIGURATION.read_text()
    for number, replica in enumerate(replicas, start=8001):
        assert f"127.0.0.1:{number} " in text
        text = text.replace(f"127.0.0.1:{number} ", f"127.0.0.1:{replica} ")
    text = text.replace("listen 127.0.0.1:8000;", f"listen 127.0.0.1:{port};")
    if way == "turns":
        text, found = HASH.subn("", text)
        assert found == 1
    return text


@contextmanager
def router(nginx: str, way: str, replicas: Sequence[int], folder: Path) -> Iterator[str]:
    """nginx before *replicas*, by their ports; its URL."""
    port = free_port()
    (folder / "nginx.conf").write_text(configuration(way, port, replicas))
    folder.chmod(0o755)  # started by root, nginx works as nobody
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                httpx.get(f"{url}/health", timeout=2).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


class Replica:
    """One of the servers, by its port. `since` tells what it did since the last time."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._log = log
        self._read = 0
        self._before: dict[str, int] = {}

    def since(self) -> tuple[set[str], dict[str, int]]:
        """The sessions that it served and how much its counts of tokens grew."""
        found = list(Reading(self._log)) if self._log.exists() else []
        fresh, self._read = found[self._read :], len(found)
        frame = fetch_status(self.url).engines[0]
        now = {
            "prompt_tokens": frame.flow.prompt_tokens,
            "cached_tokens": frame.flow.cached_tokens,
            "preserved_tokens": frame.counters.get("pins.tokens_reused", 0),
        }
        grown = {name: value - self._before.get(name, 0) for name, value in now.items()}
        self._before = now
        return {one.session for one in fresh if one.kind == "admit"}, grown

    def at_rest(self) -> None:
        """Nothing is held any more for sessions of the run before, or it has been waited for long enough."""
        end = time.monotonic() + REST_S
        while time.monotonic() < end and fetch_status(self.url).engines[0].pins.count:
            time.sleep(1)


def run(way: str, seed: int, replicas: Sequence[Replica], nginx: str, folder: Path) -> dict[str, Any]:
    """One run: the client's figures and the replicas' own. Prefixes of another run are not found again (a salt)."""
    used = replicas[: WAYS[way]]
    for replica in used:
        replica.at_rest()
        replica.since()
    load = Load(rate=len(used) * RATE, sessions=len(used) * SESSIONS, seed=seed, gap_scale=0.3, max_gap_s=6.0)
    with ExitStack() as stack:
        ports = [replica.port for replica in used]
        url = used[0].url if len(used) == 1 else stack.enter_context(router(nginx, way, ports, folder))
        document = as_document(run_bench(BenchConfig(url, load_trace(TRACE), load)))
    time.sleep(1)  # the logs' threads write four times a second
    did = [replica.since() for replica in used]
    totals = {name: sum(grown[name] for _, grown in did) for name in did[0][1]}
    served = [sessions for sessions, _ in did]
    moved = len(set.intersection(*served)) if len(used) > 1 else 0
    return {"summary": document["summary"], "sessions": [len(one) for one in served], "moved": moved, **totals}


@contextmanager
def two(folder: Path) -> Iterator[list[Replica]]:
    """Both replicas, each on a core of its own."""
    with ExitStack() as stack:
        replicas = []
        for number, core in enumerate([CORES[0], CORES[-1]]):
            log = folder / f"decisions-{number}.jsonl"
            flags = (*FLAGS, "--decisions", str(log))
            started = serving("lamps", "random", *flags, logs=folder, give=on_cores(core))
            replicas.append(Replica(stack.enter_context(started), log))
        os.sched_setaffinity(0, CORES)
        yield replicas


def figures(run: dict[str, Any]) -> dict[str, float]:
    """What is compared; tokens for a session, since ways differ in how many there are."""
    summary = run["summary"]
    return {
        "sessions that moved": run["moved"],
        "prompt tokens from the cache, %": 100 * run["cached_tokens"] / run["prompt_tokens"],
        "of them preserved, tokens a session": run["preserved_tokens"] / summary["sessions"],
        "computed again, tokens a session": summary["recomputed_tokens"] / summary["sessions"],
        "first token of a turn, s mean": summary["ttft_turn_s"]["mean"],
        "session without its tools, s mean": summary["without_tools_s"]["mean"],
    }


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Means over the seeds, and between brackets the lowest and the highest."""
    ways = list(runs)
    rows = {way: [figures(one) for one in runs[way]] for way in ways}
    lines = [f"{'':38}" + "".join(f"{way:>30}" for way in ways)]
    for name in rows[ways[0]][0]:
        cells = []
        for way in ways:
            values = [row[name] for row in rows[way]]
            cells.append(f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})")
        lines.append(f"{name:38}" + "".join(f"{cell:>30}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    nginx = sys.argv[1] if len(sys.argv) > 1 else shutil.which("nginx")
    if nginx is None:
        print("nginx is not installed: apt install nginx-light, brew install nginx", file=sys.stderr)
        return 2
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as made, two(Path(made)) as replicas:
        run("session", 0, replicas, nginx, Path(made))  # both warm up, and learn lengths and durations
        for number, seed in enumerate(SEEDS):
            for way in [*[*WAYS][number % len(WAYS) :], *[*WAYS][: number % len(WAYS)]]:
                runs[way].append(run(way, seed, replicas, nginx, Path(made)))
                print(way, seed, json.dumps(figures(runs[way][-1])), file=sys.stderr, flush=True)
    document = {
        "trace": TRACE, "sessions_for_each_replica": SESSIONS, "rate_for_each_replica": RATE, "seeds": SEEDS,
        "flags": FLAGS, "runs": runs,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(table(runs))
    return 1 if any(one["moved"] for one in runs["session"]) else 0


if __name__ == "__main__":
    sys.exit(main())
