"""vLLM's own scheduler and KV manager with a made-up model and a clock the test turns: no server, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from engine_adapter.virtual import build
from engine_adapter.virtual.clock import VirtualClock
from engine_adapter.virtual.profile import Profile, StepTimes

BLOCK = 16


class Clock(VirtualClock):
    """Starts late enough for waits to lie in the past."""

    def __init__(self) -> None:
        super().__init__(100.0)


def vllm_config(blocks: int, seats: int = 8, lamps: dict[str, Any] | None = None) -> VllmConfig:
    """A configuration for a small engine with *blocks* KV blocks of 16 tokens (one of them vLLM's null block)."""
    profile = Profile(
        name="stepping",
        title="a small engine",
        source="made up",
        block_size=BLOCK,
        token_bytes=256,
        kv_blocks=blocks - 1,
        max_num_seqs=seats,
        max_num_batched_tokens=512,
        max_model_len=1024,
        step=StepTimes(step_s=0.01),
    )
    return build.vllm_config(profile, lamps)


class Stepper:
    """Drives a scheduler: adds requests, makes up tokens. An asynchronous one runs a step ahead of its output."""

    def __init__(self, scheduler: Scheduler, clock: Clock, step_s: float = 0.01) -> None:
        hash_fn = get_hash_fn_by_name("sha256")
        init_none_hash(hash_fn)
        self._hasher = get_request_block_hasher(BLOCK, hash_fn)
        self.scheduler = scheduler
        self.clock = clock
        self.step_s = step_s
        self._ahead = int(isinstance(scheduler, AsyncScheduler))
        self._in_flight: list[tuple[Any, ModelRunnerOutput]] = []
        self._last_tokens = 0
        self.order: list[str] = []  # ids as they were first scheduled
        self.finished: dict[str, list[int]] = {}  # id -> all token ids

    def add(self, name: str, prompt: Sequence[int], output: int, session: str | None = None, **hints: Any) -> Request:
        """Add a request that generates *output* tokens."""
        params = SamplingParams(max_tokens=output, ignore_eos=True, extra_args=hints or None)
        params.update_from_generation_config({}, eos_token_id=2)
        request = Request(
            name, list(prompt), params, None, arrival_time=self.clock(), block_hasher=self._hasher, session_id=session
        )
        self.scheduler.add_request(request)
        return request

    def step(self) -> int:
        """Schedule one engine step; returns the tokens it computes."""
        self._in_flight.append(self._schedule())
        while len(self._in_flight) > self._ahead:
            self._finish(*self._in_flight.pop(0))
        return self._last_tokens

    def steps(self, count: int) -> None:
        """So many steps."""
        for _ in range(count):
            self.step()

    def _schedule(self) -> tuple[Any, ModelRunnerOutput]:
        """Schedule a step and make up what the model will answer."""
        output = self.scheduler.schedule()
        self.order += [new.req_id for new in output.scheduled_new_reqs if new.req_id not in self.order]
        self.clock.now += self.step_s
        self._last_tokens = output.total_num_scheduled_tokens
        ids = list(output.num_scheduled_tokens)
        places = {i: n for n, i in enumerate(ids)}
        sampled = [self._sample(self.scheduler.requests[i]) for i in ids]
        return output, ModelRunnerOutput(req_ids=ids, req_id_to_index=places, sampled_token_ids=sampled)

    def _sample(self, request: Request) -> list[int]:
        """The next token of a request whose prompt is computed: 7, 8, 9, ... by position."""
        if request.is_prefill_chunk:
            return []
        return [7 + request.num_computed_tokens - request.num_prompt_tokens]

    def _finish(self, output: Any, done: ModelRunnerOutput) -> None:
        requests = [self.scheduler.requests[i] for i in done.req_ids if i in self.scheduler.requests]
        self.scheduler.update_from_output(output, done)
        for request in requests:
            if request.is_finished():
                self.finished[request.request_id] = list(request.all_token_ids)

    def run(self, most: int = 10_000) -> None:
        """Step until nothing is left to do. AssertionError when *most* steps don't suffice."""
        for _ in range(most):
            if self.scheduler.has_unfinished_requests():
                self.step()
            elif self._in_flight:
                self._finish(*self._in_flight.pop(0))
            else:
                return
        raise AssertionError(f"unfinished after {most} steps")

    def abort(self, name: str) -> None:
        """The client of request *name* has gone."""
        self.scheduler.finish_requests(name, RequestStatus.FINISHED_ABORTED)
