"""A stand-in for vLLM's completions API: it streams made-up tokens, remembers what it was asked, and can fail."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

CALL = '{"answer": "short"}'


@dataclass
class FakeServer:
    """Answers each turn after *delay_s*, its first token half-way."""

    delay_s: float = 0.01
    max_model_len: int = 4096
    api_key: str | None = None
    refuse_prompts_over: int | None = None
    cut_after: int | None = None
    """The stream ends after so many chunks, without a word."""
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    named: list[str | None] = field(default_factory=list)
    """The header X-Session-ID of each of them."""
    server: uvicorn.Server | None = None

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", lambda request: PlainTextResponse("")),
                Route("/v1/models", self.models),
                Route("/v1/completions", self.completions, methods=["POST"]),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/metrics", self.metrics),
            ]
        )

    async def models(self, request: Request) -> Response:
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return JSONResponse({"error": "Unauthorized"}, status_code=401)
        return JSONResponse({"data": [{"id": "fake", "max_model_len": self.max_model_len}]})

    async def metrics(self, request: Request) -> Response:
        total = len(self.asked)
        return PlainTextResponse(
            "# HELP vllm:num_preemptions_total x\n"
            f'vllm:num_preemptions_total{{engine="0",model_name="a b"}} {total}.0\n'
            f'vllm:num_preemptions_total{{engine="1",model_name="a b"}} {total}.0\n'
            f'vllm:prefix_cache_queries_total{{engine="0"}} {10 * total}.0\n'
            f'vllm:prefix_cache_hits_total{{engine="0"}} {5 * total}.0\n'
        )

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.named.append(request.headers.get("x-session-id"))
        if self.refuse_prompts_over is not None and len(body["prompt"]) > self.refuse_prompts_over:
            return JSONResponse({"error": {"message": "prompt too long", "code": 400}}, status_code=400)
        return StreamingResponse(self.stream(body), media_type="text/event-stream")

    async def chat(self, request: Request) -> Response:
        """Says five words, or calls the tool that is named."""
        body = await request.json()
        self.asked.append(body)
        choice = body.get("tool_choice", "none")
        said = {"content": "five words and no more"}
        if choice != "none":
            said = {"tool_calls": [{"index": 0, "function": {"name": choice["function"]["name"], "arguments": CALL}}]}
        return StreamingResponse(self.chat_stream(body, said), media_type="text/event-stream")

    async def chat_stream(self, body: dict[str, Any], said: dict[str, Any]) -> AsyncIterator[str]:
        yield f"data: {json.dumps({'choices': [{'delta': {'role': 'assistant', 'content': ''}}]})}\n\n"
        await asyncio.sleep(self.delay_s)
        yield f"data: {json.dumps({'choices': [{'delta': said}]})}\n\n"
        if self.cut_after is None:
            prompt = sum(len(message["content"]) for message in body["messages"]) // 3
            usage = {"prompt_tokens": prompt, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 7}}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    async def stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        tokens = answer(body)
        first, rest = tokens[:1], tokens[1:]
        await asyncio.sleep(self.delay_s / 2)
        chunks = [first, rest] if rest else [first]
        for number, chunk in enumerate(chunks, start=1):
            if self.cut_after is not None and number > self.cut_after:
                return
            finish = "length" if number == len(chunks) else None
            yield f"data: {json.dumps({'choices': [{'text': '', 'token_ids': chunk, 'finish_reason': finish}]})}\n\n"
            await asyncio.sleep(self.delay_s / 2)
        usage = {"prompt_tokens": len(body["prompt"]), "prompt_tokens_details": {"cached_tokens": 7}}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    def stop(self) -> None:
        """Die at once: open answers are cut off, new connections refused."""
        assert self.server is not None
        self.server.force_exit = True
        self.server.should_exit = True


def answer(body: dict[str, Any]) -> list[int]:
    """The tokens the fake generates: they depend on the prompt, so that a client that guesses them is found out."""
    start = sum(body["prompt"]) % 20_000 + 40_000
    return [start + place for place in range(body["max_tokens"])]


@contextmanager
def serving(fake: FakeServer) -> Iterator[FakeServer]:
    """Run *fake* on a free port in a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        fake.server = uvicorn.Server(uvicorn.Config(fake.app(), log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=fake.server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not fake.server.started:
            time.sleep(0.005)
        try:
            yield fake
        finally:
            fake.stop()
            thread.join(timeout=10)
