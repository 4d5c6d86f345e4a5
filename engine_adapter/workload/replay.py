"""Replay: the sessions of a trace against a server, each with its own arrival, gaps and token ids.

Arrivals don't wait for the server, unless the load is a closed loop. Within a session the next turn waits for the
answer and the tool. A session that fails is a result, not an exception; a server that dies ends the run and keeps what
was measured.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine_adapter.workload.client import Client, ConnectionFailed, ServerError, ServerInfo, TurnError
from engine_adapter.workload.dialogue import Dialogue, Named, TextDialogue, TokenDialogue
from engine_adapter.workload.load import Arrival, Load, Plan, TokenSource, plan
from engine_adapter.workload.result import BenchResult, Ended, Hints, Prompts, SessionResult, TurnResult
from engine_adapter.workload.trace import SessionTrace, Trace

Progress = Callable[[tuple[SessionResult, ...], float], None]

# Nothing that is measured lies between the first and the last token: with the server asked for no chunk between them,
# one core of client reads 200 sessions with ease, and the server's own core is left to the server.
FIRST_AND_LAST = 1_000_000
_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """One run: which trace, against which server, how fast."""

    url: str
    trace: Trace
    load: Load = field(default_factory=Load)
    hints: Hints = "tool"
    model: str | None = None
    """None: the server's first."""
    api_key: str | None = None
    timeout_s: float = 600.0
    """Longest time one turn may take."""
    stream_interval: int = FIRST_AND_LAST
    """Tokens per streamed chunk."""
    prompts: Prompts = "tokens"
    """What is sent: random token ids and forced lengths, or real text, of which the model makes its own answers."""


def run_bench(config: BenchConfig, progress: Progress | None = None) -> BenchResult:
    """Replay and measure. Raises ServerError or TraceError when it can't begin; Ctrl-C ends it with what there is."""
    return asyncio.run(replay(config, progress))


async def replay(config: BenchConfig, progress: Progress | None = None) -> BenchResult:
    """As run_bench, inside a running event loop; cancelling it ends the run with what there is."""
    planned = plan(config.trace, config.load)
    async with Client(config.url, config.api_key, config.timeout_s, config.stream_interval) as client:
        server = await client.probe(config.model)
        _check_lengths(planned.all, server)
        before = await client.counters()
        run = _Run(config, client, server)
        ended = await run.drain(planned, progress)
        duration_s = run.now()
        after = await client.counters() if ended != "server gone" else None
    return BenchResult(
        trace=config.trace.name,
        url=client.url,
        server=server,
        load=config.load,
        hints=config.hints,
        sessions=run.results,
        ended=ended,
        duration_s=duration_s,
        counters=_differences(before, after),
        prompts=config.prompts,
    )


def xargs(session: SessionTrace, index: int, hints: Hints) -> dict[str, str | float]:
    """What the client tells the scheduler about turn *index*: its tenant and tool only, unless it is an oracle."""
    tool = session.calls_after(index)
    if hints == "none":
        return {}
    told: dict[str, str | float] = {"lamps_call_tool": tool} if tool else {}
    if session.tenant is not None:
        told["lamps_tenant"] = session.tenant
    if hints == "oracle":
        told["lamps_output_tokens"] = session.turns[index].output
        if tool:
            following = session.turns[index + 1]
            told["lamps_call_duration_s"] = following.gap_s
            told["lamps_call_response_tokens"] = following.prompt - following.shared
            rest = session.turns[index + 1 :]
            told["lamps_output_after_tokens"] = sum(turn.output for turn in rest)
            told["lamps_calls_left"] = len(rest)
            told["lamps_call_time_left_s"] = sum(turn.gap_s for turn in rest)
        else:
            told["lamps_call_chance"] = 0.0
    return told


class _Run:
    """The state of one replay."""

    def __init__(self, config: BenchConfig, client: Client, server: ServerInfo) -> None:
        self._config = config
        self._client = client
        self._server = server
        # Names and cached prefixes of this run alone: the same load again, on the same server, starts as cold.
        self._salt = secrets.token_hex(8)
        self._gone = asyncio.Event()
        self._began = time.perf_counter()
        self.results: tuple[SessionResult, ...] = ()

    def now(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    async def drain(self, planned: Plan, progress: Progress | None) -> Ended:
        """Replay all sessions to their end, or until the server is gone or the caller cancels."""
        by_name = {arrival.name: _unplayed(arrival) for arrival in planned.all}
        self.results = tuple(by_name.values())
        self._began = time.perf_counter()
        tasks = {asyncio.create_task(self._client_of(planned, first, by_name)) for first in planned.first}
        gone = asyncio.create_task(self._gone.wait())
        pending: set[asyncio.Task[None]] = tasks
        try:
            while pending and not self._gone.is_set():
                await asyncio.wait({*pending, gone}, timeout=_PROGRESS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                for failed in (task for task in pending if task.done() and task.exception()):
                    failed.result()  # a bug: sessions return their failures
                pending = {task for task in pending if not task.done()}
                if progress:
                    progress(self.results, self.now())
        except asyncio.CancelledError:
            return self._cut("interrupted")
        else:
            return self._cut("server gone") if self._gone.is_set() else "finished"
        finally:
            for task in (*tasks, gone):
                task.cancel()
            await asyncio.gather(*tasks, gone, return_exceptions=True)

    def _cut(self, why: Ended) -> Ended:
        for result in self.results:
            if not result.finished and not result.error:
                result.error = "server gone" if why == "server gone" else "interrupted"
        return why

    async def _client_of(self, planned: Plan, first: Arrival, results: dict[str, SessionResult]) -> None:
        """One session, and in a closed loop those that follow it."""
        arrival: Arrival | None = first
        while arrival is not None:
            result = results[arrival.name]
            result.arrival_s = arrival.arrival_s
            await self._session(arrival, result)
            arrival = planned.after_end(self.now())

    def _dialogue(self, arrival: Arrival) -> Dialogue:
        named = Named(self._server.model, f"{self._salt}-{arrival.name}", self._salt)
        seed = self._config.load.seed
        match self._config.prompts:
            case "tokens":
                return TokenDialogue(self._client, named, TokenSource(seed, arrival.name))
            case "text":
                return TextDialogue(self._client, named, arrival.session, random.Random(f"{seed}/text/{arrival.name}"))

    async def _session(self, arrival: Arrival, result: SessionResult) -> None:
        talk = self._dialogue(arrival)
        due_s = possible_s = arrival.arrival_s
        for index, turn in enumerate(arrival.session.turns):
            talk.prepare(turn)
            await asyncio.sleep(max(0.0, due_s - self.now()))
            record = TurnResult(
                turn.prompt, turn.output, turn.gap_s, due_s, lag_s=self.now() - possible_s, shared_tokens=turn.shared
            )
            result.turns.append(record)
            told = xargs(arrival.session, index, self._config.hints)
            try:
                answer = await talk.ask(turn, arrival.session.calls_after(index), told)
            except TurnError as failure:
                result.error = str(failure)
                if isinstance(failure, ConnectionFailed) and not await self._client.alive():
                    self._gone.set()
                return
            record.prompt_tokens, record.output_tokens = answer.prompt_tokens, answer.output_tokens
            record.shared_tokens, record.cached_tokens = answer.shared_tokens, answer.cached_tokens
            record.first_token_s = answer.first_token_at - self._began
            record.done_s = answer.done_at - self._began
            if index + 1 < len(arrival.session.turns):
                due_s = record.done_s + arrival.session.turns[index + 1].gap_s
                possible_s = max(due_s, self.now())  # the stream may end some time after its last token


def _unplayed(arrival: Arrival) -> SessionResult:
    session = arrival.session
    return SessionResult(arrival.name, session.tool, arrival.arrival_s, len(session.turns), tenant=session.tenant)


def _check_lengths(planned: tuple[Arrival, ...], server: ServerInfo) -> None:
    """Refuse a load of which the server must refuse a part: what is left would be another workload."""
    if server.max_model_len is None:
        return
    too_long = [arrival for arrival in planned if arrival.session.longest > server.max_model_len]
    if too_long:
        longest = max(arrival.session.longest for arrival in too_long)
        raise ServerError(
            f"{len(too_long)} of {len(planned)} sessions don't fit the server's --max-model-len of"
            f" {server.max_model_len} tokens, the longest needs {longest}:"
            f" try --length-scale {server.max_model_len / longest * 0.99:.2g}"
        )


def _differences(before: dict[str, float] | None, after: dict[str, float] | None) -> dict[str, float] | None:
    if before is None or after is None:
        return None
    return {name: after[name] - before[name] for name in before if name in after}
