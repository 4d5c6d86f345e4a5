"""A stand-in for a lamps server that tells its steps: of an engine whose times are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine_adapter.control.steps import About, Step
from engine_adapter.profiling.fit import predicted_s
from engine_adapter.virtual.profile import StepTimes
from tests.profiling.made import ABOUT
from tests.profiling.test_fit import CPU
from tests.workload.fake_server import FakeServer


@dataclass
class FakeEngine(FakeServer):
    """Every request is a step of prefill and steps of decode, alone; with *times* as many more run beside it."""

    about: About = ABOUT
    times: StepTimes = CPU
    steps: list[Step] = field(default_factory=list)
    swap: dict[str, Any] = field(default_factory=lambda: {"possible": False, "reason": "no host memory was given"})

    def app(self) -> Starlette:
        app = super().app()
        app.routes.append(Route("/lamps/status", self.status))
        app.routes.append(Route("/lamps/steps", self.told))
        return app

    def refused(self, request: Request) -> bool:
        return bool(self.api_key) and request.headers.get("authorization") != f"Bearer {self.api_key}"

    async def status(self, request: Request) -> Response:
        if self.refused(request):
            return JSONResponse({"error": {"message": "no"}}, status_code=401)
        frame = {"version": 1, "policy": {"name": "fcfs", "revision": "x"}, "swap": self.swap}
        return JSONResponse({"version": 1, "engines": [frame]})

    async def told(self, request: Request) -> Response:
        since = int((request.query_params.get("since") or f"0:{len(self.steps)}").partition(":")[2])
        engine = {
            "engine": "0", "about": msgspec.to_builtins(self.about), "number": len(self.steps),
            "steps": msgspec.to_builtins(self.steps[since:]),
        }  # fmt: skip
        return JSONResponse({"version": 1, "engines": [engine]})

    async def completions(self, request: Request) -> Response:
        answer = await super().completions(request)
        body = self.asked[-1]
        beside = len(self.asked) % 5
        prompt, output = len(body["prompt"]), body["max_tokens"]
        self.steps.append(self._step(prompt, 1, prompt * prompt / 2, beside, beside * 100, 1, int(output == 1)))
        for place in range(1, output):
            self.steps.append(self._step(0, 0, 0.0, 1 + beside, prompt + place, 0, int(place == output - 1)))
        return answer

    def _step(self, tokens: int, seqs: int, area: float, decoding: int, context: int, came: int, turns: int) -> Step:
        shape = Step(tokens, seqs, area, decoding, context, 0.0, 0.0, came)
        return msgspec.structs.replace(shape, step_s=predicted_s(self.times, shape), turns=turns, turns_s=0.001 * turns)
