"""Puts an engine under load and gathers its steps, the times of its requests seen from both ends, and its transfers.

The load goes over HTTP like any client's. Steps come from the engine itself (`/lamps/steps`): seen from outside, one of
them can't be told from what lies around it. Interrupted or out of time, it keeps what there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine_adapter.control.client import Unreachable, fetch_status
from engine_adapter.control.steps import About, EngineSteps, Step, fetch_steps
from engine_adapter.profiling.phases import WARM_UP, Job, Phase, phases
from engine_adapter.workload.client import Client, ServerError, TurnError
from engine_adapter.workload.load import TokenSource
from engine_adapter.workload.replay import FIRST_AND_LAST
from engine_adapter.workload.trace import Turn

# The engine keeps 20 s of its fastest steps, and forgets that it is asked after ten seconds.
_FETCH_EVERY_S = 2.0
# What a turn may take: prompts of thousands of tokens on a slow processor.
_TIMEOUT_S = 600.0
# Steps of a phase's last turns reach the log a moment after the client has its answer.
_SETTLE_S = 0.05
_SETTLES = 10
_SWAPPED = 12  # sessions
_WAYS = ("out", "in")

Ended = Literal["complete", "time is up", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A phase's requests from both ends. *prompt*, *output*: tokens, means; *client_s*, *engine_s*: of a request, means
    from sending to the last token, and from coming to ending."""

    kind: str
    clients: int
    requests: int
    prompt: float
    output: float
    client_s: float
    engine_s: float


@dataclass(frozen=True, slots=True)
class Swapped:
    """Transfers of KV to and from host memory: tokens, and seconds from first byte to last. *host_tokens*: that host
    memory holds. *why_not*: a sentence where nothing was moved."""

    tokens: int = 0
    seconds: float = 0.0
    host_tokens: int = 0
    why_not: str = ""


@dataclass(slots=True)
class Measured:
    """What was measured, growing. *problem*: why it failed, a sentence."""

    about: About
    url: str
    policy: str
    steps: list[Step] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    swapped: Swapped = Swapped(why_not="the measurement ended before")
    missed: int = 0
    done: int = 0
    planned: int = 0
    seconds: float = 0.0
    ended: Ended = "complete"
    problem: str = ""


Progress = Callable[[Measured, Phase], None]


def measure(url: str, key: str | None, most_s: float, progress: Progress | None = None) -> Measured:
    """Measure the engine at *url* for *most_s* seconds at most.

    Raises Unreachable and ServerError where it can't begin, TooSmall for too little KV memory. Ctrl-C ends it with what
    there is.
    """
    return asyncio.run(_measure(url, key, most_s, progress))


async def _measure(url: str, key: str | None, most_s: float, progress: Progress | None) -> Measured:
    status = await asyncio.to_thread(fetch_status, url, key)
    first = await asyncio.to_thread(fetch_steps, url, key)
    planned = phases(first[0].about)
    measured = Measured(first[0].about, url, status.engines[0].policy.name, planned=len(planned))
    began = time.monotonic()
    async with Client(url, key, _TIMEOUT_S, FIRST_AND_LAST) as client:
        server = await client.probe()
        run = _Run(client, server.model, url, key, measured, first)
        try:
            async with asyncio.timeout(most_s):
                for phase in planned:
                    if progress is not None:
                        progress(measured, phase)
                    await run.phase(phase)
                    measured.done += 1
                    measured.seconds = time.monotonic() - began
                await run.swap()
        except TimeoutError:
            measured.ended = "time is up"
        except asyncio.CancelledError:
            measured.ended = "interrupted"
        except (TurnError, ServerError, Unreachable) as problem:
            measured.ended, measured.problem = "failed", str(problem)
        measured.seconds = time.monotonic() - began
        if measured.ended in ("time is up", "interrupted"):
            with contextlib.suppress(Unreachable):
                await run.fetch()
    return measured


class _Run:
    """The state of one measurement."""

    def __init__(
        self, client: Client, model: str, url: str, key: str | None, measured: Measured, first: Sequence[EngineSteps]
    ) -> None:
        self._client = client
        self._model = model
        self._url, self._key = url, key
        self._measured = measured
        self._since = {engine.engine: engine.number for engine in first}
        self._salt = f"profile-{time.time_ns()}"  # no prompt is ever found in the prefix cache
        self._number = 0
        self._turns, self._turns_s = 0, 0.0
        self._kept = True

    async def phase(self, phase: Phase) -> None:
        """Run it, and gather its steps."""
        self._kept = phase.kind != WARM_UP
        self._turns, self._turns_s = 0, 0.0
        jobs = iter(phase.jobs)
        took: list[float] = []

        async def client() -> None:
            for job in jobs:
                took.append(await self._request(job))

        async with _gathering(self.fetch):
            await _all(client() for _ in range(phase.clients))
        await self._settle(len(phase.jobs))
        if self._kept and self._turns:
            count = len(phase.jobs)
            self._measured.seen.append(
                Seen(
                    phase.kind,
                    phase.clients,
                    count,
                    sum(job.prompt for job in phase.jobs) / count,
                    sum(job.output for job in phase.jobs) / count,
                    sum(took) / count,
                    self._turns_s / self._turns,
                )
            )

    async def swap(self) -> None:
        """Sessions that call and come back: what they move, where the policy in force swaps them."""
        engine = (await asyncio.to_thread(fetch_status, self._url, self._key)).engines[0]
        if not engine.swap.possible:
            self._measured.swapped = Swapped(why_not=engine.swap.reason or "the engine has no host memory for KV")
            return
        before = engine.counters
        prompt = max(min(self._measured.about.longest // 2, 1024), 2)
        for number in range(_SWAPPED):
            await self._session(f"swap-{number}", prompt)
        after = (await asyncio.to_thread(fetch_status, self._url, self._key)).engines[0].counters
        tokens, micros = (
            sum(after.get(f"transfers.{what}_{way}", 0) - before.get(f"transfers.{what}_{way}", 0) for way in _WAYS)
            for what in ("tokens", "us")
        )
        why_not = (
            "" if tokens else f"the policy {self._measured.policy} swapped none of {_SWAPPED} sessions that called"
        )
        self._measured.swapped = Swapped(tokens, micros / 1e6, engine.swap.total, why_not)

    async def fetch(self) -> None:
        """Take the steps that the engine has kept."""
        for engine in await asyncio.to_thread(fetch_steps, self._url, self._key, self._since):
            self._since[engine.engine] = engine.number
            self._turns += sum(step.turns for step in engine.steps)
            self._turns_s += sum(step.turns_s for step in engine.steps)
            if self._kept:
                self._measured.steps += engine.steps
                self._measured.missed += engine.missed

    # --- inside ----------------------------------------------------------------------------------

    async def _request(self, job: Job) -> float:
        """One request; returns how long its client waited, seconds."""
        self._number += 1
        name = f"{self._salt}-{self._number}"
        prompt = TokenSource(0, name).prompt(Turn(job.prompt, 0, job.output))
        sent = time.perf_counter()
        answer = await self._client.turn(self._model, prompt, job.output, name, self._salt, {})
        return answer.done_at - sent

    async def _session(self, name: str, tokens: int) -> None:
        session = f"{self._salt}-{name}"
        prompt = TokenSource(0, session).prompt(Turn(tokens, 0, 4))
        told = {"lamps_call_tool": "profile"}
        answer = await self._client.turn(self._model, prompt, 4, session, self._salt, told)
        await asyncio.sleep(0.3)  # the copy is made meanwhile
        again = [*prompt, *answer.token_ids, *TokenSource(1, session).prompt(Turn(16, 0, 1))]
        await self._client.turn(self._model, again, 1, session, self._salt, {})

    async def _settle(self, turns: int) -> None:
        for _ in range(_SETTLES):
            await self.fetch()
            if self._turns >= turns:
                return
            await asyncio.sleep(_SETTLE_S)


async def _all(clients: Iterable[Coroutine[None, None, None]]) -> None:
    """Run them together; when one fails, or this is cancelled, the others end too."""
    tasks = [asyncio.create_task(client) for client in clients]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _gathering(fetch: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Fetch steps every now and then during the block."""

    async def again() -> None:
        while True:
            await asyncio.sleep(_FETCH_EVERY_S)
            await fetch()

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
