"""What a profile says that a scheduled step takes."""

from __future__ import annotations

from collections.abc import Mapping

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.request import Request

from engine_adapter.virtual.profile import StepTimes


class Timing:
    """Of the steps of one engine; *requests*: those in it, by id."""

    def __init__(self, step: StepTimes, requests: Mapping[str, Request]) -> None:
        self._step, self._requests = step, requests
        self._needs_context = bool(step.prefill_context_s or step.context_token_s)
        self._came = 0
        self._wakes = False

    def comes_or_ends(self) -> None:
        """A request came to the engine, or ended: the next step takes the longer for it."""
        self._came += 1

    def wakes(self) -> None:
        """A request came while there was no other: the next step is the first after idleness."""
        self._wakes = True

    @property
    def owes(self) -> bool:
        """Whether the next step takes longer for requests that came or ended."""
        return self._step.request_s > 0.0 and self._came > 0

    def of(self, output: SchedulerOutput) -> float:
        """Seconds that the step takes, which vLLM has just scheduled."""
        tokens = list(output.num_scheduled_tokens.values())
        decoding = tokens.count(1)
        prefilled = output.total_num_scheduled_tokens - decoding
        beside_s = self._step.beside(len(tokens) - decoding, self._came, self._wakes)
        self._came, self._wakes = 0, False
        if not self._needs_context:
            return beside_s + self._step.of(prefilled, 0.0, decoding, 0)
        area, context = 0.0, 0
        for name, count in output.num_scheduled_tokens.items():
            before = self._requests[name].num_computed_tokens - count  # vLLM has counted this step already
            if count > 1:
                area += count * (before + count / 2)
            else:
                context += before
        return beside_s + self._step.of(prefilled, area, decoding, context)
