"""A virtual engine: vLLM's scheduler with a lamps policy in it, a made-up worker, and a clock that steps move.

It does what vLLM's engine core does around its scheduler. Synchronous: schedule, compute, update. Asynchronous: the
next step is scheduled while the last one computes, and no more than two are under way. A request is added, and a
verdict heard, between two steps, as on the server.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.sampling_params import SamplingParams
from vllm.v1.core.kv_cache_utils import init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from engine_adapter.runtime.core import Runtime
from engine_adapter.virtual import shortcuts, updates
from engine_adapter.virtual.accounts import Accounts, Live
from engine_adapter.virtual.build import scheduler_for
from engine_adapter.virtual.clock import VirtualClock
from engine_adapter.virtual.decode import DecodeRuns
from engine_adapter.virtual.events import Events, Finished, Occupancy
from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.timing import Timing
from engine_adapter.virtual.transfers import Transfers
from engine_adapter.vllm import internals

if TYPE_CHECKING:
    from engine_adapter.virtual.recorder import Recorder

# What the model always answers. Sessions differ in their prompts, so no two share an answer's KV by it.
TOKEN = 7
_ANSWER, _NO_ANSWER = [TOKEN], list[int]()  # read-only, shared by all requests and steps
# What all requests have in common: made anew for each, it is one part in forty of a run's time.
_PARAMS = SamplingParams(ignore_eos=True)
# With a step computing and the next one scheduled, the engine core waits for the first.
_MOST_UNDER_WAY = 2
# Of a step in which there is nothing to compute: the engine core sleeps for as long (core.py, 0.32).
_LOOKS_AGAIN_S = 0.001


@dataclass(frozen=True, slots=True)
class _Step:
    output: SchedulerOutput
    answer: ModelRunnerOutput
    first_tokens: list[str]
    ends_s: float


def _nothing_computed() -> ModelRunnerOutput:
    return ModelRunnerOutput(req_ids=[], req_id_to_index={}, sampled_token_ids=[])


class VirtualEngine:
    """One engine. *predictor*: the file of a trained model. *lamps*: the runtime, None for stock vLLM."""

    def __init__(
        self,
        profile: Profile,
        policy: str,
        params: Mapping[str, float],
        clock: VirtualClock,
        predictor: Path | None = None,
    ) -> None:
        init_none_hash(shortcuts.block_hash)
        self.profile = profile
        self.clock = clock
        self.scheduler = scheduler_for(profile, policy, params, clock, predictor)
        self.lamps: Runtime | None = getattr(self.scheduler, "lamps", None)
        self.recorder: Recorder | None = None
        self.steps = 0
        self._hasher = shortcuts.plain_hasher(self.scheduler.hash_block_size, shortcuts.block_hash)
        self._ahead = isinstance(self.scheduler, AsyncScheduler)
        self._under_way: deque[_Step] = deque()
        self._live: dict[str, Live] = {}
        self._unanswered: dict[str, Request] = {}  # admitted, no token yet
        self._timing = Timing(profile.step, self.scheduler.requests)
        self._accounts = Accounts(self.scheduler)
        shortcuts.skip_idle_allocations(self.scheduler)
        shortcuts.skip_stop_checks(self.scheduler)
        self._transfers: Transfers | None = None
        if self.scheduler.connector is not None:
            assert profile.swap_token_s is not None
            self._transfers = Transfers(profile.swap_token_s, profile.block_size, profile.token_bytes)
        else:
            shortcuts.skip_model_runner_data(self.scheduler)  # the connector reads it too, and has a part in updates
            updates.skip_plain_updates(self.scheduler)
        self._decode_runs = DecodeRuns(self.scheduler, self.lamps, clock, profile.step, TOKEN)

    @property
    def counters(self) -> Counter[str]:
        """Of what the engine did, by the names of a server's."""
        return self._accounts.counters

    # --- requests ------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        prompt: list[int],
        output: int,
        session: str,
        told: Mapping[str, Any],
        known: int = 0,
        priority: int = 0,
    ) -> None:
        """A request reaches the engine, to generate exactly *output* tokens.

        *told*: as `vllm_xargs`. *known*: tokens at the start of the prompt whose KV was computed in earlier turns.
        ValueError when it is too long to be ever admitted.
        """
        needed = len(prompt) + output
        if needed > self.profile.longest:
            raise ValueError(f"{needed} tokens don't fit: the engine holds {self.profile.longest} of one request")
        params = copy.copy(_PARAMS)
        params.max_tokens, params.extra_args = output, dict(told) or None
        request = Request(
            name,
            prompt,
            params,
            None,
            arrival_time=self.clock(),
            block_hasher=self._hasher,
            session_id=session,
            priority=priority,
        )
        request.prefill_stats = None  # for vLLM's metrics, which nobody reads here
        if not self._live:
            self._timing.wakes()
        self._live[name] = Live(request, known)
        self._timing.comes_or_ends()
        self.scheduler.add_request(request)

    def abort(self, name: str) -> None:
        """The client of a request has gone."""
        if self._live.pop(name, None) is not None:
            self._unanswered.pop(name, None)
            self._accounts.forget(name)
            self.scheduler.finish_requests(name, RequestStatus.FINISHED_ABORTED)

    def verdict(self, label: str, tool: str | None) -> None:
        """The API side says that turn *label* ended in a call of *tool*, or with None in an answer to a person."""
        if self.lamps is not None:
            self.lamps.verdict(label, "end" if tool is None else "call", () if tool is None else (tool,))

    def handling(self, session: str, tenant: str | None) -> str | None:
        """What is done with the KV of a paused session; None where no policy was asked."""
        if self.lamps is None:
            return None
        self.lamps.later.do()
        paused = self.lamps.calls.paused.get(f"{tenant}/{session}" if tenant else session)
        return None if paused is None or paused.provisional else paused.handling.word

    # --- steps ---------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._live or self._under_way) or self._transferring

    def step(self, until_s: float = -math.inf) -> Events:
        """Let the engine core turn once: schedule, or wait for what computes, or both.

        Steps that begin before *until_s* and do nothing but decode are taken together, unless a recorder wants each or
        what they compute may be swapped.
        """
        if self.clock.now < until_s and (events := self._decode(until_s)) is not None:
            return events
        scheduled = 0
        if (self._live or self._transferring) and len(self._under_way) < _MOST_UNDER_WAY:
            scheduled = self._schedule()
            if self._ahead and scheduled and len(self._under_way) < _MOST_UNDER_WAY:
                return Events(scheduled)
        if not self._under_way:
            return Events()
        return self._finish(self._under_way.popleft(), scheduled)

    def occupancy(self) -> Occupancy:
        """How the KV memory is used now."""
        free = internals.free_blocks(self.scheduler)
        used = self.profile.blocks - free
        pinned = self.lamps.calls.ledger.tokens // self.profile.block_size if self.lamps is not None else 0
        return Occupancy(max(used - pinned, 0), min(pinned, used), free)

    @property
    def computing(self) -> bool:
        """Whether a step or a transfer is under way."""
        return bool(self._under_way) or self._transferring

    @property
    def paused(self) -> int:
        """Sessions between two turns, as far as the runtime knows them; 0 for stock vLLM."""
        if self.lamps is None:
            return 0
        self.lamps.later.do()
        return len(self.lamps.calls.paused)

    @property
    def running(self) -> int:
        return len(self.scheduler.running)

    @property
    def waiting(self) -> int:
        return len(self._live) - len(self.scheduler.running)

    # --- inside ----------------------------------------------------------------------------------

    def _decode(self, until_s: float) -> Events | None:
        """Take a run of steps that only decode; None where the next step isn't one."""
        running = self.running
        if self.recorder is not None or self._transfers is not None:
            return None
        if self._unanswered or self.waiting or not running or self._timing.owes:
            return None
        last: Sequence[str] = ()
        match list(self._under_way):
            case [] if not self._ahead:
                steps, last = self._decode_runs.take(until_s)
            case [step] if self._ahead and self._decodes_all(step):
                steps, output, ends_s = self._decode_runs.take_ahead(step.output, step.ends_s, until_s)
                self._under_way[0] = replace(step, output=output, ends_s=ends_s)
            case _:
                return None
        self.steps += steps
        return Events(steps * running, (), self._finished(last)) if steps else None

    def _decodes_all(self, step: _Step) -> bool:
        """Whether *step* gives each running request a token, and no request its first."""
        ids = [request.request_id for request in self.scheduler.running]
        return (
            not step.first_tokens and step.answer.req_ids == ids and step.output.total_num_scheduled_tokens == len(ids)
        )

    def _schedule(self) -> int:
        """Schedule one step and begin to compute it; returns its tokens."""
        self.scheduler.sees_all = self.recorder is not None
        output = self.scheduler.schedule()
        began = max(self.clock(), self._under_way[-1].ends_s if self._under_way else 0.0)
        if self._transfers is not None:
            began = self._transfers.begin(output.kv_connector_metadata, began)
        if not output.total_num_scheduled_tokens:
            if self._transferring:
                self._under_way.append(_Step(output, _nothing_computed(), [], self._idle_until_s(began)))
            return 0
        self.steps += 1
        self._admitted(output)
        ids = list(output.num_scheduled_tokens)
        requests = self.scheduler.requests
        answer = ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={name: place for place, name in enumerate(ids)},
            sampled_token_ids=[_NO_ANSWER if requests[name].is_prefill_chunk else _ANSWER for name in ids],
        )
        first = [
            name
            for name, request in self._unanswered.items()
            if name in output.num_scheduled_tokens and not request.is_prefill_chunk
        ]
        for name in first:
            del self._unanswered[name]
        ends = began + self._timing.of(output)
        self._under_way.append(_Step(output, answer, first, ends))
        if self.recorder is not None:
            self.recorder.scheduled(output, began, ends)
        return int(output.total_num_scheduled_tokens)

    def _finish(self, step: _Step, scheduled: int) -> Events:
        """The step has computed: its tokens reach the scheduler and the clients."""
        self.clock.advance_to(step.ends_s)
        if self._transfers is not None:
            step.answer.kv_connector_output = self._transfers.ended(step.ends_s)
        self.scheduler.update_from_output(step.output, step.answer)
        return Events(scheduled, step.first_tokens, self._finished(step.answer.req_ids))

    def _finished(self, names: Sequence[str]) -> list[Finished]:
        """Those of *names* that the last update ended."""
        ended = self.scheduler.finished_req_ids
        return [self._ended(name) for name in names if name in ended and name in self._live]

    @property
    def _transferring(self) -> bool:
        """Whether vLLM's engine core would go on stepping for transfers alone."""
        return self._transfers is not None and self.scheduler.connector.has_pending_push_work()

    def _idle_until_s(self, now: float) -> float:
        """The end of a step without work: the next transfer's, or when the engine core looks again."""
        assert self._transfers is not None
        again = now + _LOOKS_AGAIN_S
        return min(max(self._transfers.next_end_s(now), now), again) if self._transfers else again

    def _ended(self, name: str) -> Finished:
        live = self._live.pop(name)
        self._timing.comes_or_ends()
        self._accounts.ends(live)
        return Finished(name, live.cached or 0, live.started_s or 0.0, live.request.num_preemptions)

    def _admitted(self, output: SchedulerOutput) -> None:
        """Note what new and resumed requests found in the prefix cache, and what is computed once more."""
        now = self.clock()
        for new in output.scheduled_new_reqs:
            live = self._live[new.req_id]
            self._unanswered[new.req_id] = live.request
            self._accounts.begins(live, new.num_computed_tokens, now)
        resumed = output.scheduled_cached_reqs.resumed_req_ids
        for name in sorted(resumed) if resumed else ():
            self._accounts.resumes(self._live[name].request, output)
