"""Runs of steps in which each running request gains a token and nothing else happens, taken at once.

At nine tenths of saturation two steps of three are such: nothing waits, nothing arrives, nothing ends. vLLM's loops
over the running requests would do the same in each, at 10 us a token. What such a step changes is known: counters, the
clock, a token a request, and where a block is full the KV manager, which is asked here too, in the same order. A run
stops before anything that could be decided; its last step may end requests, which vLLM's own update does.
tests/virtual/test_shortcuts.py runs the same load with and without and wants the same bytes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from engine_adapter.runtime.core import Runtime
from engine_adapter.virtual.clock import VirtualClock
from engine_adapter.virtual.profile import StepTimes
from engine_adapter.vllm import internals


@dataclass(slots=True)
class _Row:
    """A running request, and how many steps of the run it has been brought to."""

    request: Request
    steps: int = 0


class _Batch:
    """The running requests of one run, none of which is being prefilled. *token*: what each gains in a step."""

    def __init__(self, scheduler: Scheduler, token: int, fills: Sequence[int]) -> None:
        """*fills*: steps in which a block is seen to, counted from the one that takes its first slot."""
        running = scheduler.running
        self.rows = [_Row(request) for request in running]
        self.count = len(running)
        self.context = sum([request.num_computed_tokens for request in running])
        self.undisturbed = min([request.max_tokens - request.num_output_tokens for request in running]) - 1
        """Steps after which the first of them has one token left to gain."""
        self._scheduler = scheduler
        self._token = token
        self._size = size = scheduler.block_size
        # By step modulo the block size: who needs the KV manager, in order of running, and how many need a block.
        self._due: list[list[_Row]] = [[] for _ in range(size)]
        self._begun = [0] * size
        for row in self.rows:
            begins = -row.request.num_computed_tokens % size
            for step in fills:
                self._due[(begins + step) % size].append(row)
            self._begun[begins] += 1

    def slots(self, step: int) -> bool:
        """Let blocks fill up and begin, as a step's scheduling does; False, and nothing done, when memory is short."""
        place = step % self._size
        begun = self._begun[place]
        if begun and begun > internals.free_blocks(self._scheduler):
            return False
        for row in self._due[place]:
            self._catch_up(row, step)
            internals.next_slot(self._scheduler, row.request)
        return True

    def catch_up(self, steps: int) -> None:
        """Give every row the tokens of the first *steps* steps."""
        for row in self.rows:
            self._catch_up(row, steps)

    def _catch_up(self, row: _Row, steps: int) -> None:
        behind = steps - row.steps
        if behind:  # never over the end of a block: there `slots` has been
            internals.append(self._scheduler, row.request, [self._token] * behind)
            row.request.num_computed_tokens += behind
            row.steps = steps


class DecodeRuns:
    """The runs of one engine. *token*: what its model always answers.

    Both methods take steps that begin before *until_s* and can be nothing but a token for each running request. They
    are to be called between two steps, with no request waiting. None are taken where a request is being prefilled,
    where memory for the next token might have to be made, or where something of the runtime's is due.
    """

    def __init__(
        self, scheduler: Scheduler, lamps: Runtime | None, clock: VirtualClock, times: StepTimes, token: int
    ) -> None:
        self._scheduler = scheduler
        self._lamps = lamps
        self._clock = clock
        self._times = times
        self._token = token

    def take(self, until_s: float) -> tuple[int, Sequence[str]]:
        """Of a synchronous engine: how many steps were taken, and the requests of the last one if it ended any."""
        until_s = self._quiet(until_s)
        # A block enters the prefix cache in the step that takes its last slot.
        batch = self._batch(0, fills=(-1, 0)) if self._clock.now < until_s else None
        if batch is None:
            return 0, ()
        steps, clock = 0, self._clock
        mark = SchedulerOutput.make_empty()
        while clock.now < until_s and batch.slots(steps):
            if steps == batch.undisturbed:
                batch.catch_up(steps)
                internals.count_steps(self._scheduler, steps + 1)
                return steps + 1, self._last(batch)
            self._scheduled(mark, batch, steps)
            clock.advance_to(clock.now + self._step_s(batch, steps))
            self._computed(mark)
            steps += 1
        batch.catch_up(steps)
        internals.count_steps(self._scheduler, steps)
        return steps, ()

    def take_ahead(self, output: SchedulerOutput, ends_s: float, until_s: float) -> tuple[int, SchedulerOutput, float]:
        """Of an asynchronous engine that computes *output* until *ends_s*.

        Returns how many steps were scheduled (and as many computed), the one under way now, and when it ends.
        """
        until_s = self._quiet(until_s)
        # A step later than above: when a block is full, its last token is still under way.
        batch = self._batch(1, fills=(0,)) if self._clock.now < until_s else None
        if batch is None:
            return 0, output, ends_s
        steps, clock = 0, self._clock
        now, following = output, copy.copy(output)
        while clock.now < until_s and steps < batch.undisturbed and batch.slots(steps):
            self._scheduled(following, batch, steps)
            next_ends_s = max(clock.now, ends_s) + self._step_s(batch, steps)
            clock.advance_to(ends_s)
            self._computed(now)
            now, following, ends_s = following, now, next_ends_s
            steps += 1
        batch.catch_up(steps)
        internals.count_steps(self._scheduler, steps)
        return steps, now, ends_s

    # --- inside ----------------------------------------------------------------------------------

    def _quiet(self, until_s: float) -> float:
        return until_s if self._lamps is None else min(until_s, self._lamps.quiet_until())

    def _batch(self, under_way: int, fills: Sequence[int]) -> _Batch | None:
        """The running requests, each with so many tokens under way; None when one is not just decoding."""
        running = self._scheduler.running
        if self._scheduler.block_size == 1 or not running:
            return None
        return _Batch(self._scheduler, self._token, fills) if internals.only_decode(running, under_way) else None

    def _step_s(self, batch: _Batch, steps: int) -> float:
        return self._times.of(0, 0.0, batch.count, batch.context + steps * batch.count)

    def _scheduled(self, output: SchedulerOutput, batch: _Batch, steps: int) -> None:
        if self._lamps is not None:
            self._scheduler.decoding(output, batch.count, batch.context + steps * batch.count)

    def _computed(self, output: SchedulerOutput) -> None:
        if self._lamps is not None:
            self._scheduler.computed(output)

    def _last(self, batch: _Batch) -> Sequence[str]:
        """One more step, in which requests end; returns the names of all."""
        ids = [row.request.request_id for row in batch.rows]
        output = SchedulerOutput.make_empty()
        output.num_scheduled_tokens = dict.fromkeys(ids, 1)
        output.total_num_scheduled_tokens = len(ids)
        answer = ModelRunnerOutput(ids, {name: n for n, name in enumerate(ids)}, [[self._token] for _ in ids])
        for row in batch.rows:
            internals.begin_decode(row.request)
        self._scheduled(output, batch, batch.undisturbed)
        self._clock.advance_to(self._clock.now + self._step_s(batch, batch.undisturbed))
        self._scheduler.update_from_output(output, answer)
        return ids
