"""What a computed step leaves in the requests: a token each, which takes vLLM's own update only where one ends.

Its update looks at a dozen things of each request that none here has (speculation, log probabilities, structured
output, transfers); for one that goes on, what is left of it is a token more and a token less under way.
tests/virtual/test_shortcuts.py runs the same load with and without and wants the same bytes.
"""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput

from engine_adapter.vllm import internals


def skip_plain_updates(scheduler: Scheduler) -> None:
    """Let only the requests from the first to the last that may end in a step go through vLLM's update.

    The others are seen to before and after, in its order: what a request's end brings about may look at the tokens of
    all. `update_from_output` then returns nothing: clients hear of finished requests from the engine.
    """
    update, requests = scheduler.update_from_output, scheduler.requests
    go_on = internals.decoded_ahead if isinstance(scheduler, AsyncScheduler) else internals.decoded
    computed = getattr(scheduler, "computed", None)

    def updated(output: SchedulerOutput, answer: ModelRunnerOutput) -> dict[int, Any]:
        counts = output.num_scheduled_tokens
        rows = list(zip(map(requests.get, counts), counts.values(), answer.sampled_token_ids, strict=True))
        ends = [place for place, (request, _, tokens) in enumerate(rows) if internals.may_end(request, tokens)]
        first, last = (ends[0], ends[-1] + 1) if ends else (len(rows), len(rows))
        go_on(scheduler, rows[:first])
        if ends:
            output.num_scheduled_tokens = dict(list(counts.items())[first:last])
            update(output, answer)
        elif computed is not None:
            computed(output)
        go_on(scheduler, rows[last:])
        return {}

    scheduler.update_from_output = updated
