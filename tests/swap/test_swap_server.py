"""Swap on the real server: a follow-up computes no block again, and answers are stock vLLM's, token for token."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.server import Server, serving, until

# Three servers start one after another, half a minute each on an idle machine.
pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("LAMPS_SOAK"), reason="starts servers of its own, for minutes: make soak"),
]

BLOCK = 32
# 40 blocks of 32 tokens: one request of the longest kind leaves seven.
FLAGS = ("--model", "random", "--dtype", "float32", "--store", "none", "--max-model-len", "1024", "--enforce-eager")
FLAGS += ("--block-size", str(BLOCK), "--num-gpu-blocks-override", "40", "--enable-prompt-tokens-details")
POLICY = 'lamps 1\npolicy out "swap at each call"\nrank request.arrival\non call swap\n'
SESSIONS, TURNS = 3, 3


def ask(server: Server, prompt: list[int], session: str, output: int = 40, **options: Any) -> tuple[list[int], int]:
    """The answer's tokens, and how many tokens of the prompt were found or loaded."""
    body = {
        "model": "random", "prompt": prompt, "max_tokens": output, "ignore_eos": True, "temperature": 0,
        "session_id": session, "return_token_ids": True,
    }  # fmt: skip
    answer = httpx.post(f"{server.url}/v1/completions", json=body | options, timeout=120, verify=False)  # plain HTTP
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["choices"][0]["token_ids"], (found["usage"]["prompt_tokens_details"] or {}).get("cached_tokens") or 0


def crowd(server: Server, number: int) -> None:
    """Requests of nobody that take every block of the device."""
    for n in range(3):
        ask(server, [100 + (number * 7919 + n * 104729 + i * 31) % 40_000 for i in range(700)], f"crowd{number}.{n}", 4)


def sessions(server: Server, told: dict[str, str]) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Sessions of three turns side by side; all tokens of each, and (found, to be found) of each follow-up.

    *told*: what comes with each turn.
    """
    known = [[1000 * s + i * 17 % 900 + 200 for i in range(230)] for s in range(SESSIONS)]
    found = []
    for turn in range(TURNS):
        for s in range(SESSIONS):
            prompt = [*known[s], *(3000 + 100 * turn + i for i in range(20 if turn else 0))]
            answer, cached = ask(server, prompt, f"s{s}", vllm_xargs=told)
            if turn:
                found.append((cached, (len(known[s]) - 1) // BLOCK * BLOCK))
            known[s] = [*prompt, *answer]
        crowd(server, turn)
    return known, found


def metric(server: Server, name: str) -> float:
    """A counter of vLLM's, over all its labels."""
    with server.http() as http:
        lines = http.get("/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", lines, re.MULTILINE))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """What stock vLLM answers."""
    with serving(tmp_path_factory.mktemp("stock") / "log", "--policy", "stock", *FLAGS) as server:
        tokens, found = sessions(server, {})
    assert all(cached < wanted for cached, wanted in found)  # the crowd did take the blocks
    return tokens


@pytest.mark.parametrize("told", [{"lamps_call_tool": "t"}, {}], ids=["announced", "plain"])
def test_a_session_that_is_swapped_at_each_call(
    expected: list[list[int]], told: dict[str, str], tmp_path: Path
) -> None:
    """A call that is announced is foreseen, and its turn copied while it runs; otherwise it is copied at its end."""
    (tmp_path / "p.lamps").write_text(POLICY)
    given = ("--policy", str(tmp_path / "p.lamps"), "--swap-space", "0.25", *FLAGS)
    with serving(tmp_path / "log", *given, VLLM_SERVER_DEV_MODE="1") as server:
        tokens, found = sessions(server, told)
        assert [cached for cached, _ in found] == [wanted for _, wanted in found]
        assert tokens == expected
        counters = server.counters()
        loaded = sum(wanted for _, wanted in found)
        assert counters["transfers.tokens_in"] == loaded
        assert counters["transfers.us_in"] > 0 and counters["transfers.us_out"] > 0
        assert metric(server, "vllm:external_prefix_cache_hits_total") == loaded
        assert metric(server, "vllm:kv_offload_load_bytes_total") > 0
        assert counters.get("swap.foreseen", 0) == (SESSIONS * TURNS if told else 0)
        engine = server.status().engines[0].engine
        assert engine["engine.can_swap"] and engine["engine.host_free"] < engine["engine.host_total"]
        assert engine["cost.swap"] != 50e-6  # measured
        paused = server.paused("s0")
        assert paused is not None and paused.handling == "swap"
        _vanish(server)
        with server.http() as http:
            assert http.post("/reset_prefix_cache").status_code == 200
        assert _used_tokens(server) == 0


def _vanish(server: Server) -> None:
    """A client of a session leaves in the middle of its answer: its copy goes too."""
    body = {
        "model": "random", "prompt": list(range(300, 500)), "max_tokens": 700, "ignore_eos": True, "stream": True,
        "session_id": "gone", "vllm_xargs": {"lamps_call_tool": "t"},
    }  # fmt: skip

    before = _used_tokens(server)
    with server.http() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        for _ in zip(range(10), answer.iter_lines(), strict=False):
            pass
    until(lambda: not server.status().engines[0].running)
    assert server.paused("gone") is None
    assert _used_tokens(server) == before


def _used_tokens(server: Server) -> int:
    return server.status().engines[0].memory.host
