"""vLLM's own scheduler, made 5 % slower: what `benchmarks.verdict` must find. For `--scheduler-cls` only."""

from __future__ import annotations

import time
from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler

SHARE = 0.05
# A step takes a few hundredths of a second; what is longer was a pause between requests, and is not made longer.
_LONGEST_S = 0.5


class Slowed(Scheduler):
    """Each step takes SHARE longer than it would: the scheduler spins so long before it begins."""

    _began = _planted_s = 0.0

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        taken_s = time.perf_counter() - self._began - self._planted_s
        self._planted_s = SHARE * taken_s if taken_s < _LONGEST_S else 0.0
        self._began = time.perf_counter()
        while time.perf_counter() - self._began < self._planted_s:
            pass
        return super().schedule(*args, **kwargs)
