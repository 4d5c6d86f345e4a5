"""vLLM's scheduler with lamps' decisions in it.

`schedule()` stays vLLM's own. What changes: the waiting queue is ranked by the policy, finished
turns may leave their KV blocks pinned, and an allocation that fails may make pins yield. One
mix-in serves both of vLLM's schedulers; `lamps_scheduler` picks the base by `async_scheduling`,
since a synchronous subclass under async scheduling costs most of a GPU's speed (vllm#43724).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.config import VllmConfig
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from engine_adapter.runtime.activation import NO_PROFILE, Settings, activate
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import StepSample
from engine_adapter.runtime.engine import Engine, EngineLoad, Running
from engine_adapter.runtime.folders import cache_folder
from engine_adapter.runtime.held import Holding
from engine_adapter.runtime.profiled import start
from engine_adapter.runtime.requests import Arrival, Ended
from engine_adapter.runtime.step_log import StepLog
from engine_adapter.vllm import compat_api, identity, internals
from engine_adapter.vllm.commands import Commands
from engine_adapter.vllm.gated import GatedQueue
from engine_adapter.vllm.offload.connect import connect
from engine_adapter.vllm.queue import RankedQueue
from engine_adapter.vllm.room import Room

# One step in this many is measured for the cost model: enough to follow a change within seconds.
SAMPLE_EVERY = 4
# A turn that ended so was not answered: whatever it announced, nobody comes back from its call.
_CUT_OFF = (RequestStatus.FINISHED_ABORTED, RequestStatus.FINISHED_ERROR)

# The mix-in stands before either of vLLM's schedulers; for the type checker it is one.
if TYPE_CHECKING:
    from vllm.v1.core.sched.scheduler import Scheduler as _Base
else:
    _Base = object


class LampsMixin(_Base):
    """Decisions of a `Runtime` at the seams of vLLM's scheduler. *clock*: seconds, monotonic."""

    clock = staticmethod(time.monotonic)
    in_real_time = True
    beside: Sequence[Request] = ()
    """Running requests that `running` is without: in virtual time vLLM's loop doesn't see all (`virtual.beside`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = Settings.from_config(self.vllm_config.additional_config)
        port = connect(self)
        self.lamps_swap = None if isinstance(port, str) else port
        facts = internals.facts_of(self)
        engine = Engine(
            facts=replace(facts, can_swap=self.lamps_swap is not None, no_swap=port if isinstance(port, str) else ""),
            load=self._load,
            release=lambda blocks: internals.release_blocks(self, blocks),
            clock=self.clock,
            cached_tokens=lambda name: internals.cached_tokens(self, self.requests[name]),
            in_real_time=self.in_real_time,
            host=None if self.lamps_swap is None else self.lamps_swap.host_memory(),
            running=self._running,
        )
        engine_id = str(self.parallel_config.data_parallel_rank)
        measured = NO_PROFILE if settings.profile is None else start(settings.profile, identity.identity(self))
        self.lamps: Runtime = activate(settings, engine, engine_id, measured)
        if self.lamps_swap is not None:
            workers = self.parallel_config.world_size
            self.lamps_swap.attach(self.lamps.calls, self.lamps.transferred, facts.token_bytes, workers)
        self.waiting = self._queue()
        self._room = Room(self, self.lamps)
        self._measured: tuple[SchedulerOutput, float, StepSample] | None = None
        self._updated_at = 0.0
        self._step_log = StepLog()
        dumps = Path(settings.dumps) if settings.dumps else cache_folder() / "dumps"
        self._commands = Commands(self, self.lamps, self._step_log, engine_id, self._holding, dumps)
        self._scheduled_tokens = 0

    def _queue(self) -> RankedQueue:
        """An empty queue as the policy needs it."""
        if self.lamps.admission.needed:
            return GatedQueue(self.lamps, lambda: internals.all_seated(self))
        return RankedQueue(self.lamps)

    # --- requests ------------------------------------------------------------------------------

    def add_request(self, request: Request) -> None:
        if request.request_id not in self.requests:
            self.lamps.arrive(self._arrival(request))
            if self._step_log.open:
                self._step_log.came()
        super().add_request(request)

    def _arrival(self, request: Request) -> Arrival:
        params = request.sampling_params
        return Arrival(
            id=request.request_id,
            tokens=request.prompt_token_ids or [0] * request.num_prompt_tokens,
            max_tokens=_bound(request),
            priority=request.priority,
            session_id=request.session_id,
            extra_args=(params.extra_args if params is not None else None) or {},
            hashes=request.block_hashes,
            cached_tokens=internals.cached_tokens(self, request) if self.lamps.waiting.reads_cached else 0,
        )

    def finish_requests(self, request_ids: str | Iterable[str] | None, finished_status: RequestStatus) -> list[Request]:
        """One after the other, as given: vLLM makes a set, so what is freed first would differ between processes."""
        self.lamps.later.do()
        if request_ids is None or isinstance(request_ids, str):
            return super().finish_requests(request_ids, finished_status)
        ended = []
        for name in sorted(request_ids) if isinstance(request_ids, set) else request_ids:
            ended += super().finish_requests(name, finished_status)
        return ended

    def _preempt_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self._room.preempts()
        self.lamps.preempted(request.request_id, request.num_tokens)
        super()._preempt_request(request, *args, **kwargs)

    def _free_request(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if self._step_log.open and (turn := self.lamps.turns.get(request.request_id)) is not None:
            self._step_log.left(turn.arrival)
        self.lamps.ended(
            Ended(
                id=request.request_id,
                output_tokens=request.num_output_tokens,
                context_tokens=request.num_tokens,
                aborted=request.status in _CUT_OFF,
                hashes=request.block_hashes,
            ),
            hold=lambda: internals.hold_blocks(self, request),
        )
        return super()._free_request(request, *args, **kwargs)

    def reset_prefix_cache(self, *args: Any, **kwargs: Any) -> bool:
        self.lamps.later.do()
        self.lamps.calls.clear()
        return bool(super().reset_prefix_cache(*args, **kwargs))

    def shutdown(self) -> None:
        self.lamps.close()
        super().shutdown()

    # --- steps ---------------------------------------------------------------------------------

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        if self.lamps_swap is not None:
            self.lamps_swap.report()
        self.lamps.begin_step()
        if self.lamps.admission.needed != self.waiting.gated:  # another policy is in force
            self.waiting = self._queue().instead_of(self.waiting)
        began = self.lamps.engine.clock()
        self.waiting.new_step(began)
        self._room.new_step()
        output = super().schedule(*args, **kwargs)
        self._scheduled_tokens = output.total_num_scheduled_tokens
        cached = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        if resumed := output.scheduled_cached_reqs.resumed_req_ids:  # a set, whose order differs between processes
            cached.update((name, 0) for name in output.scheduled_cached_reqs.req_ids if name in resumed)
        if cached:
            self.lamps.admitted(cached)
        sampled, watched = self.lamps.step % SAMPLE_EVERY == 0, self._step_log.wanted(began)
        if (sampled or watched) and output.total_num_scheduled_tokens:
            shape = self._shape(output)
            if sampled:
                self._measured = (output, began, shape)
            if watched:
                self._step_log.begin(output, began, shape)
        return output

    def get_grammar_bitmask(self, *args: Any, **kwargs: Any) -> Any:
        """vLLM asks for it when the step has been handed to the workers (seen in 0.30 to 0.32)."""
        bitmask = super().get_grammar_bitmask(*args, **kwargs)
        self.meanwhile()
        return bitmask

    def meanwhile(self) -> None:
        """The model computes: there is time for what was put off."""
        self.lamps.later.do()

    def update_from_output(self, scheduler_output: SchedulerOutput, *args: Any, **kwargs: Any) -> Any:
        self.lamps.later.do()
        outputs = super().update_from_output(scheduler_output, *args, **kwargs)
        self.computed(scheduler_output)
        return outputs

    def computed(self, output: SchedulerOutput) -> None:
        """A step has been computed: learn what it cost."""
        now = self.lamps.engine.clock()
        self.lamps.watch.stepped(now, self._has_token)
        if self._measured is not None and self._measured[0] is output:
            _, began, shape = self._measured
            self._measured = None
            # With steps in flight, a step's own time is what it adds to the one before it.
            self.lamps.observe(replace(shape, step_s=now - max(began, self._updated_at)))
        if self._step_log.open:
            self._step_log.end(output, self._updated_at, now, bool(self.requests))
        self._updated_at = now

    def decoding(self, output: SchedulerOutput, sequences: int, context_tokens: int) -> None:
        """In place of `schedule`, for a step that gives *sequences* running requests a token, while nothing waits.

        *output* stands for the step until `computed`; *context_tokens*: what they had together before it.
        """
        now = self.lamps.engine.clock()
        self.lamps.pass_step()
        self.waiting.new_step(now)
        self._scheduled_tokens = sequences
        if self.lamps.step % SAMPLE_EVERY == 0:
            self._measured = (output, now, StepSample(0, 0.0, sequences, context_tokens, 0.0))

    def _has_token(self, request_id: str) -> bool:
        request = self.requests.get(request_id)
        return request is not None and request.num_output_tokens > 0

    def _shape(self, output: SchedulerOutput) -> StepSample:
        """What a scheduled step computes; its time is filled in when it is done."""
        prefill_tokens = prefill_seqs = decode_seqs = context_tokens = 0
        area = 0.0
        for request_id, tokens in output.num_scheduled_tokens.items():
            request = self.requests[request_id]
            before = request.num_computed_tokens - tokens  # already advanced by this step
            if tokens > 1:
                prefill_tokens += tokens
                prefill_seqs += 1
                area += tokens * (before + tokens / 2)
            else:
                decode_seqs += 1
                context_tokens += before
        return StepSample(prefill_tokens, area, decode_seqs, context_tokens, 0.0, prefill_seqs)

    def _load(self) -> EngineLoad:
        # vLLM takes finished requests off its list at the end of a step; a call is judged before that.
        contexts = [r.num_tokens for r in (*self.beside, *self.running) if r.status is RequestStatus.RUNNING]
        return EngineLoad(
            running=len(contexts),
            waiting=len(self.waiting) + len(internals.second_queue(self)),
            running_tokens=sum(contexts),
            free_tokens=internals.free_blocks(self) * self.block_size,
            query_tokens=self._scheduled_tokens,
        )

    def _running(self) -> list[Running]:
        """What runs, in vLLM's order; behind it what will, as soon as its KV is loaded."""
        return [
            Running(request.request_id, request.num_tokens)
            for request in (*self.beside, *self.running, *internals.second_queue(self))
            if request.status in (RequestStatus.RUNNING, RequestStatus.WAITING_FOR_REMOTE_KVS)
        ]

    # --- control -------------------------------------------------------------------------------

    def lamps_command(self, name: str, payload: str) -> str:
        """Answer a command of the API server. Names and payloads are JSON as in `control.frames`; never raises."""
        return self._commands.answer(name, payload)

    def _holding(self) -> Holding:
        """What kept the last step from taking the next request."""
        first = ""
        if internals.all_seated(self):
            first = "seats"
        elif self._room.was_short:
            first = "kv"
        elif self._scheduled_tokens >= self.max_num_scheduled_tokens:
            first = "token budget"
        elif not self._room.watches:
            first = "kv"  # nobody saw an allocation fail, and nothing else holds the first of the queue
        return Holding(first, internals.loading(self))


class LampsScheduler(LampsMixin, Scheduler):
    """For synchronous scheduling."""


class AsyncLampsScheduler(LampsMixin, AsyncScheduler):
    """For asynchronous scheduling, the default on GPUs."""


def _bound(request: Request) -> int | None:
    """The most that it may generate. Where its end is ignored, the bound is the length itself, as when a trace is
    replayed: to foretell by it would be to know."""
    params = request.sampling_params
    return None if params is not None and params.ignore_eos else request.max_tokens


def lamps_scheduler(vllm_config: VllmConfig, *args: Any, **kwargs: Any) -> Scheduler:
    """What `--scheduler-cls` names: the scheduler for this engine's configuration.

    RuntimeError where this vLLM lacks what lamps relies on.
    """
    compat_api.insist()
    cls = AsyncLampsScheduler if vllm_config.scheduler_config.async_scheduling else LampsScheduler
    if path := Settings.from_config(vllm_config.additional_config).record:
        from engine_adapter.vllm.recording import recorded

        cls = recorded(cls, Path(path))
    return cls(vllm_config, *args, **kwargs)
