"""What the runtime asks of an engine, and the snapshot of it that a step's decisions read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine_adapter.runtime.costs import Costs
from engine_adapter.runtime.host import HostMemory
from policy_dsl.catalogue import SIGNALS

_DEFAULTS: Mapping[str, float | bool] = {
    s.name: s.default for s in SIGNALS.values() if not s.per_row and not isinstance(s.default, str)
}


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What doesn't change while an engine runs.

    *hash_block_size*: tokens a block hash covers. *no_swap*: why it can't swap, in a sentence; "" where it can.
    """

    kv_total_tokens: int
    block_size: int
    hash_block_size: int
    token_bytes: float
    chunk_tokens: int
    can_preserve: bool
    can_swap: bool = False
    no_swap: str = ""
    seats: int = 256


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What changes every step. *free_tokens* can be had without a pin yielding; *query_tokens*: of the last step."""

    running: int
    waiting: int
    running_tokens: int
    free_tokens: int
    query_tokens: int = 0


class Running(NamedTuple):
    """A request that runs, or whose KV is being loaded so that it will.

    A tuple, as one is made of each that runs whenever a gate asks, and a frozen dataclass takes longer to make.
    """

    id: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Held:
    """KV blocks of a finished turn with an extra reference on each, so that they stay. Opaque to the runtime."""

    blocks: tuple[Any, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine as the runtime sees it.

    *load* is asked at most once a step, at calls, and by a gate; *running*, in the engine's order, where a rule wants
    to see each; *release* gives back the extra references of *Held* blocks.
    *host*: what moves KV to host memory; None where nothing can, as `facts.can_swap` says.
    *cached_tokens(request_id)*: what the prefix cache has of a waiting request. *in_real_time*: whether the time that
    deciding takes is the engine's.
    """

    facts: EngineFacts
    load: Callable[[], EngineLoad]
    release: Callable[[tuple[Any, ...]], None]
    clock: Callable[[], float]
    host: HostMemory | None = None
    cached_tokens: Callable[[str], int] = lambda request_id: 0
    in_real_time: bool = True
    running: Callable[[], Sequence[Running]] = tuple


def occupancy(load: EngineLoad, pinned_tokens: int) -> dict[str, float]:
    """The signals that change with every admission. KV that nobody holds, but is still there, counts as free alone."""
    held = float(load.running_tokens + pinned_tokens)
    return {
        "engine.running": float(load.running),
        "engine.waiting": float(load.waiting),
        "engine.running_tokens": float(load.running_tokens),
        "engine.pinned_tokens": float(pinned_tokens),
        "engine.held_tokens": held,
        "engine.live_tokens": held,
        "engine.seated_tokens": held,
        "engine.kv_free": float(load.free_tokens),
        "engine.query_tokens": float(load.query_tokens),
    }


def snapshot(
    facts: EngineFacts,
    load: EngineLoad,
    costs: Costs,
    step_time_s: float,
    now: float,
    paused: int,
    pinned_tokens: int,
    host_free_tokens: int = 0,
    host_total_tokens: int = 0,
) -> dict[str, float | bool]:
    """The engine-level signals of one step. Those that nothing here knows have the catalogue's default."""
    return {
        **_DEFAULTS,
        **occupancy(load, pinned_tokens),
        "engine.now": now,
        "engine.step_time": step_time_s,
        "engine.seats": float(facts.seats),
        "engine.paused": float(paused),
        "engine.kv_total": float(facts.kv_total_tokens),
        "engine.block_size": float(facts.block_size),
        "engine.token_bytes": facts.token_bytes,
        "engine.chunk": float(facts.chunk_tokens),
        "engine.can_swap": facts.can_swap,
        "engine.host_free": float(host_free_tokens),
        "engine.host_total": float(host_total_tokens),
        "engine.hidden_swap": step_time_s / costs.swap_s_per_tok if facts.can_swap else 0.0,
        "cost.prefill": costs.prefill_s_per_tok,
        "cost.prefill_context": costs.prefill_context_s_per_tok2,
        "cost.decode": costs.decode_s_per_tok,
        "cost.swap": costs.swap_s_per_tok,
        "allow.preserve": facts.can_preserve,
        "allow.swap": facts.can_swap,
    }
