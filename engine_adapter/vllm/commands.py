"""What the API server asks of one engine's scheduler, between two of its steps: status, records, changes of the policy.

Names and payloads are JSON as in `control.frames`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from vllm.v1.core.sched.scheduler import Scheduler

from engine_adapter.runtime import dump
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.frame import RunningNow, View, Wanted, frame
from engine_adapter.runtime.held import Holding
from engine_adapter.runtime.reload import Reloading
from engine_adapter.runtime.state import state
from engine_adapter.runtime.step_log import StepLog
from engine_adapter.vllm import identity, internals

# What the API server can tell an engine, as `capabilities` of its frames.
COMMANDS = ("off", "on", "reload", "params", "shadow")

logger = logging.getLogger("lamps")


class Commands:
    """Those to one engine. *holding*: what kept the last step from taking the next request. *dumps*: a folder."""

    def __init__(
        self,
        scheduler: Scheduler,
        lamps: Runtime,
        step_log: StepLog,
        engine_id: str,
        holding: Callable[[], Holding],
        dumps: Path,
    ) -> None:
        self._scheduler, self._lamps, self._step_log = scheduler, lamps, step_log
        self._engine_id, self._holding, self._dumps = engine_id, holding, dumps
        self._reloading = Reloading(lamps)
        lamps.in_force.before_ejection = self._keep_state

    def answer(self, name: str, payload: str) -> str:
        """Carry out a command; never raises."""
        try:
            # msgspec writes what JSON has no number for (a rank may be infinite) as null.
            return msgspec.json.encode(self._carry_out(name, json.loads(payload or "{}"))).decode()
        except Exception as problem:  # a command must never stop the engine
            return json.dumps({"error": f"{type(problem).__name__}: {problem}"})

    def _carry_out(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._lamps.later.do()
        match name:
            case "verdict":
                self._lamps.verdict(payload["turn"], payload["outcome"], tuple(payload.get("tools", ())))
                return {}
            case "status":
                since = payload.get("since", {}).get(self._engine_id, 0)
                return frame(self._lamps, self._view(), Wanted(**payload | {"since": since}))
            case "turns":
                number = payload.get("since", {}).get(self._engine_id)
                told = self._lamps.recording.since(number, self._lamps.engine.clock())
                return {"engine": self._engine_id} | told
            case "steps":
                number = payload.get("since", {}).get(self._engine_id)
                told = self._step_log.since(number, self._lamps.engine.clock())
                return {"engine": self._engine_id, "about": identity.about(self._scheduler)} | told
            case "state":
                return self._state(tuple(payload.get("requests", ())))
            case _:
                return self._reloading.answer(name, payload)

    def _state(self, wanted: Sequence[str] = ()) -> dict[str, Any]:
        return state(self._lamps, [one.request_id for one in self._scheduler.running], self._holding(), wanted)

    def _keep_state(self, reason: str) -> None:
        """The policy is about to be ejected: what it decided about is kept for `lamps explain`."""
        path = dump.write(self._dumps, self._engine_id, self._state(), reason)
        logger.error("lamps: what waits now is in %s: lamps explain %s", path, path)

    def _view(self) -> View:
        scheduler = self._scheduler
        running = [RunningNow(r.request_id, r.num_tokens, r.num_output_tokens) for r in scheduler.running]
        size = scheduler.block_size
        free, cached = internals.free_blocks(scheduler) * size, internals.cached_blocks(scheduler) * size
        return View(running, self._holding(), free, cached, COMMANDS, self._reloading.pending, self._engine_id)
