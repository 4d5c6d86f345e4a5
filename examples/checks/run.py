"""Runs clients that nobody here wrote against `lamps serve` and checks what it saw of them: `make clients`.

    python -m examples.checks.run [CASE ...]

One server with the small embedded model, short of nothing. Each client talks to it through a proxy that changes nothing
and tells what was sent. What was sent and seen is written to examples/checks/seen.json, from which docs/clients.md is
made. Exits with 1 where a client fails or something isn't seen as it must be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from benchmarks.servers import serving
from engine_adapter.control.client import fetch_status
from engine_adapter.control.decision_log import LoggedDecision, Reading
from engine_adapter.vllm.models import embedded
from examples.checks.capture import Proxy, Sent, described, proxy
from examples.checks.cases import CASES, MODEL, ROOT, Case, Where
from examples.checks.seen import metrics_in, problems, seen_in

FOUND = Path(__file__).with_name("seen.json")
LIMIT_S = 600
SETTLE_S = 60.0


class Server:
    """One `lamps serve` and its decision log."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log
        self._read = 0

    def metrics(self) -> dict[str, float]:
        return metrics_in(httpx.get(f"{self._url}/metrics", timeout=30).raise_for_status().text)

    def settled(self) -> None:
        """No request is under way, no word about one, and what was decided is in the log. RuntimeError if never."""
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            time.sleep(0.5)  # the log's thread writes four times a second
            status = fetch_status(self._url)
            if not status.engines[0].running_total + status.engines[0].waiting_total + status.api["verdicts_under_way"]:
                time.sleep(0.5)
                return
        raise RuntimeError(f"the server is still busy after {SETTLE_S:g} s")

    def decided(self) -> list[LoggedDecision]:
        """What was decided since the last time."""
        found = list(Reading(self._log))
        fresh, self._read = found[self._read :], len(found)
        return fresh


def run(case: Case, server: Server, door: Proxy, where: Where) -> dict[str, Any]:
    """One client from its start to its end; what it sent, what was seen, and what is wrong with that."""
    door.sent.clear()
    server.settled()
    server.decided()
    before = server.metrics()
    trouble = _client(case, where)
    server.settled()
    after = server.metrics()
    seen = seen_in(server.decided())
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    sent: list[Sent] = list(door.sent)
    wrong = [*trouble, *problems(case.expected, seen, len(sent), grown)]
    return {
        "name": case.name,
        "title": case.title,
        "package": f"{case.package} {_version(case)}",
        "sent": described(sent),
        "seen": {**asdict(seen), "turns": sorted(seen.turns.values()), "named": seen.named},
        "wrong": wrong,
    }


def _client(case: Case, where: Where) -> list[str]:
    """Run the client to its end; a sentence where it fails."""
    program, *words = case.command(where)
    if not (case.bin / program).exists():
        return [f"{case.environment} has no {program}: `make clients` makes the environment"]
    log = where.folder / "client.log"
    with log.open("w") as out:
        try:
            done = subprocess.run(
                [case.bin / program, *words], env=_environment(where), stdout=out, stderr=out, cwd=where.folder,
                timeout=LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return [f"the client did not end within {LIMIT_S} s"]
    if done.returncode == 0:
        return []
    print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
    return [f"the client exited with {done.returncode}"]


def _environment(where: Where) -> Mapping[str, str]:
    """What a user sets for any server: its address, some key. Offline, aiperf takes no tokenizer from a folder."""
    ours = ("VLLM_", "PYTHON", "HF_", "TRANSFORMERS_")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return mine | {
        "OPENAI_BASE_URL": f"{where.url}/v1", "OPENAI_API_KEY": "none",
        "ANTHROPIC_BASE_URL": where.url, "ANTHROPIC_API_KEY": "none",
        "TOOL_SECONDS": "0.5", "DO_NOT_TRACK": "1",
        "AIPERF_TELEMETRY_OPTOUT": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def _version(case: Case) -> str:
    ask = f"from importlib.metadata import version; print(version({case.package!r}))"
    done = subprocess.run([case.bin / "python", "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not installed"


def write(found: Mapping[str, Any]) -> None:
    """What was found, after each client: a run that is cut off keeps what it has."""
    kept = [found[case.name] for case in CASES if case.name in found]
    FOUND.write_text(json.dumps(kept, indent=1) + "\n")


def main() -> int:
    wanted = [case for case in CASES if case.name in sys.argv[1:] or len(sys.argv) == 1]
    if unknown := set(sys.argv[1:]) - {case.name for case in CASES}:
        print(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}")
        return 2
    found = {one["name"]: one for one in (json.loads(FOUND.read_text()) if FOUND.exists() else ())}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        log = folder / "decisions.jsonl"
        flags = ("--max-model-len", "4096", "--decisions", str(log))
        with serving("lamps", MODEL, *flags, logs=folder) as url, proxy(url) as door:
            server = Server(url, log)
            for case in wanted:
                where = Where(door.url, embedded(MODEL), folder / case.name)
                where.folder.mkdir()
                found[case.name] = one = run(case, server, door, where)
                print(f"{case.name}: {'; '.join(one['wrong']) or 'as it must be'}", flush=True)
                write(found)
    print(FOUND.relative_to(ROOT))
    return 1 if any(found[case.name]["wrong"] for case in wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
