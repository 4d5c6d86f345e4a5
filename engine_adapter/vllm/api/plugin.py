"""The `vllm.endpoint_plugins` entry point: sets lamps up in an API server process.

vLLM builds one in every API server it starts. Where the engine's scheduler isn't ours nothing is wrapped, and the
control route says so.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine_adapter.vllm import compat_api
from engine_adapter.vllm.api.changes import OFF_PATH, ON_PATH, PARAMS_PATH, RELOAD_PATH, SHADOW_PATH, Changes
from engine_adapter.vllm.api.layer import Layer
from engine_adapter.vllm.api.metrics import AddedMetrics, Metrics
from engine_adapter.vllm.api.routes import (
    EVENTS_PATH,
    STATE_PATH,
    STATUS_PATH,
    STEPS_PATH,
    TURNS_PATH,
    Control,
    Keys,
    failure,
)
from engine_adapter.vllm.api.verdicts import Verdicts


class LampsEndpoints:
    """What vLLM asks of an endpoint plug-in: a name, the tasks it needs, routes, and state."""

    name = "lamps"
    required_tasks = ("generate",)

    def __init__(self) -> None:
        self._control: Control | None = None
        self._metrics: Metrics | None = None
        self._changes: Changes | None = None

    def attach_router(self, app: Any) -> None:
        """Add the control routes to the FastAPI *app*."""
        app.add_middleware(AddedMetrics, metrics=lambda: self._metrics)
        app.add_api_route(STATUS_PATH, self.status, methods=["GET"], include_in_schema=False)
        app.add_api_route(EVENTS_PATH, self.events, methods=["GET"], include_in_schema=False)
        app.add_api_route(TURNS_PATH, self.turns, methods=["GET"], include_in_schema=False)
        app.add_api_route(STEPS_PATH, self.steps, methods=["GET"], include_in_schema=False)
        app.add_api_route(STATE_PATH, self.state, methods=["GET"], include_in_schema=False)
        for path in _CHANGES:
            app.add_api_route(path, self.change, methods=["POST"], include_in_schema=False)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        """Wrap the generating handlers, once vLLM has made them."""
        if engine_client is None or not compat_api.scheduled_by_lamps(engine_client):
            return
        command = partial(compat_api.engine_command, engine_client)
        verdicts = Verdicts(command)
        layer = Layer(verdicts.deliver, compat_api.engines_to_choose_from(engine_client))
        compat_api.wrap_handlers(state, layer.chat, completion=layer.completion, responses=layer.responses)
        keys = Keys(compat_api.api_keys(args))
        self._control = Control(keys, command, lambda: verdicts.counters, partial(compat_api.stopping, state))
        self._changes = Changes(keys, command)
        self._metrics = Metrics(self._control.counts, compat_api.api_server_of(engine_client))

    async def status(self, request: Request) -> Response:
        return _not_ours() if self._control is None else await self._control.status(request)

    async def events(self, request: Request) -> Response:
        return _not_ours() if self._control is None else await self._control.events(request)

    async def turns(self, request: Request) -> Response:
        return _not_ours() if self._control is None else await self._control.turns(request)

    async def steps(self, request: Request) -> Response:
        return _not_ours() if self._control is None else await self._control.steps(request)

    async def state(self, request: Request) -> Response:
        return _not_ours() if self._control is None else await self._control.state(request)

    async def change(self, request: Request) -> Response:
        return (
            _not_ours()
            if self._changes is None
            else await _CHANGES[request.scope["route"].path](self._changes, request)
        )


_CHANGES = {
    OFF_PATH: Changes.off,
    ON_PATH: Changes.on,
    RELOAD_PATH: Changes.reload,
    PARAMS_PATH: Changes.params,
    SHADOW_PATH: Changes.shadow,
}


def _not_ours() -> Response:
    return failure(HTTPStatus.NOT_FOUND, "this server is not scheduled by lamps: start it with `lamps serve`")
