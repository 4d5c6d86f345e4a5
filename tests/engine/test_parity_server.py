"""The record of a real server: tool calls, grammars, clients that go, status asked meanwhile; replayed as it was."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError

from engine_adapter.virtual.replay import replay
from tests.engine.server import WEATHER, Server, serving

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("LAMPS_SOAK"), reason="starts servers of its own, for minutes: make soak"),
]
# 20 blocks of 32 tokens for requests of up to 512: memory runs short.
FLAGS = ("--policy", "lamps", "--store", "none", "--model", "random", "--max-model-len", "512")
SHORT = ("--num-gpu-blocks-override", "20", "--max-num-seqs", "6")


def session(server: Server, number: int) -> None:
    """Two turns of an agent. Every third must call a tool, every fourth goes away in the middle of its answer."""
    client = server.openai()
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Question {number}: {'and so on ' * (number * 4)}"}]
    tools: dict[str, Any] = {"tools": [WEATHER]} if number % 2 else {}
    if number % 3 == 0:
        tools = {"tools": [WEATHER], "tool_choice": "required"}
    for turn in range(2):
        asked: dict[str, Any] = {"model": "random", "messages": messages, "max_tokens": 60, "temperature": 0.0}
        asked |= {**tools, "extra_body": {"session_id": f"agent-{number}", "ignore_eos": number % 3 != 0}}
        if number % 4 == 3 and turn:
            asked["max_tokens"], asked["extra_body"]["ignore_eos"] = 250, True  # not over before its client is gone
            with client.chat.completions.create(**asked, stream=True) as stream:
                next(iter(stream))
            return
        answer = client.chat.completions.create(**asked).choices[0].message
        messages += [
            {"role": "assistant", "content": answer.content or "a call"},
            {"role": "user", "content": "Go on."},
        ]
        server.status()


def test_a_real_servers_record_is_replayed(tmp_path: Path) -> None:
    record, log = tmp_path / "steps.jsonl.gz", tmp_path / "server.log"
    with serving(log, *FLAGS, *SHORT, "--record-steps", str(record)) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: session(server, number), range(16)))
        with pytest.raises(BadRequestError):
            server.openai().completions.create(model="random", prompt="word " * 600, max_tokens=5)
    assert "ALL PROMPTS AND ANSWERS" in log.read_text()
    assert record.stat().st_mode & 0o777 == 0o600
    found = replay(record)
    assert found.difference is None
    assert found.ended in ("closed", "cut off")  # vLLM's server may end its engine before that has closed anything
    assert found.clock_differs == 0
    assert (found.requests, found.aborts > 0, found.verdicts > 16) == (32, True, True)
    assert found.by_kind["preempt"] > 0
