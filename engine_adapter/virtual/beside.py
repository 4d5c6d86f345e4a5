"""Running requests that lack their next token alone, scheduled beside vLLM's loop over them.

A step in which somebody waits or is prefilled goes through vLLM's `schedule()`. Of each running request its loop looks
at a dozen things that none here has (encoders, speculation, pauses), at 10 us; all that comes of it, where a request
just decodes, is a token and now and then a block. So the first of them are seen to here, in the same order, and vLLM
sees the others, with the seats and the token budget that these leave it. It sees at least one, and all of them where
memory for one may have to be made: who is preempted then is for it to say.
tests/virtual/test_shortcuts.py runs the same load with and without and wants the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request

from engine_adapter.virtual.shortcuts import settled
from engine_adapter.vllm import internals


class DecodesBeside(Scheduler):
    """Stands behind either of vLLM's schedulers, and before `Scheduler`: made by `build`."""

    beside: Sequence[Request] = ()
    """Running requests that `running` is without, while a step is scheduled."""
    running: list[Request]
    sees_all = False
    """Whether vLLM's loop is to see every request: somebody else looks at `running` meanwhile."""

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        taken = self.taken()
        if not taken:
            return super().schedule(*args, **kwargs)
        size, begins = self.block_size, settled(self)
        for request in taken:
            if (request.num_computed_tokens + 1) % size < begins:
                internals.next_slot(self, request)
        self.beside, self.running = taken, self.running[len(taken) :]
        internals.narrow(self, len(taken))
        output = super().schedule(*args, **kwargs)
        internals.narrow(self, -len(taken))
        self.beside = ()
        self.running = [*taken, *self.running]
        internals.scheduled_beside(self, taken, output)
        return output

    def get_request_counts(self) -> tuple[int, int]:
        running, waiting = super().get_request_counts()
        return len(self.beside) + running, waiting

    def taken(self) -> Sequence[Request]:
        """Those that are seen to here in the next step."""
        return () if self.sees_all or self.connector is not None else internals.leading_decodes(self)
