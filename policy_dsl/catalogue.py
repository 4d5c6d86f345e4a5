"""Every signal a policy may read: unit, meaning, range, defaults, and how often it changes.

The language checks against this table, the adapter fills it, the documentation is made from it.
A *distribution* is read as its mean; `.p50 .p90 .p95 .p99` are quantiles, `.known` tells measured
from default. In compiled code each statistic is a signal of its own (`call.duration.p90`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from policy_dsl.types import BOOL, HANDLING, INSTANT, TEXT, Handling, Type, quantity
from policy_dsl.units import BLOCK, BYTE, NUMBER, SECOND, STEP, TOKEN


class Changes(IntEnum):
    """How often a value changes. An expression changes as often as its fastest part."""

    NEVER = 0
    EPOCH = 1  # parameters and engine costs: rarely, and the runtime says when
    REQUEST = 2  # fixed while a request waits, rewritten only by an event of that request
    STEP = 3  # every engine step


@dataclass(frozen=True, slots=True)
class Signal:
    """One readable value.

    *default* is what the adapter reports when it doesn't know; *test* what a test sees when it
    gives nothing and *derive* (an expression of the language, tests only) doesn't apply.
    """

    name: str
    type: Type
    doc: str
    changes: Changes
    low: float = 0.0
    high: float = math.inf
    default: float | bool | str = 0.0
    test: float | bool | str = 0.0
    derive: str = ""
    distribution: bool = False
    hidden: bool = False  # filled by the adapter, not writable in a policy
    at_birth: bool = False  # known when a session's first turn arrives, and fixed from then on: what `class` may read

    @property
    def per_row(self) -> bool:
        """Whether each request has its own value (else the engine has one)."""
        return self.name.split(".")[0] in ROW_GROUPS


# Signals of which each row has its own. `class.*` and `hint.*` are declared by the policy that reads them.
ROW_GROUPS = ("request", "session", "tenant", "call", "predict", "class", "hint")
DECLARED = ("class", "hint")

STATISTICS = ("p50", "p90", "p95", "p99", "known")
# What built-ins over whole distributions read: parameters of a log-normal (sigma 0: a point), and what the value is
# known to exceed, in base units (0 but for the duration of a running call).
SHAPE = ("mu", "sigma", "after")

_TOK, _S, _STEPS, _N = quantity(TOKEN), quantity(SECOND), quantity(STEP), quantity(NUMBER)
_R, _E, _T = Changes.REQUEST, Changes.EPOCH, Changes.STEP

_ALL = (
    # --- request: this turn ---
    Signal("request.arrival", INSTANT, "when this turn arrived", _R, -math.inf, at_birth=True),
    Signal("request.age", _S, "time since this turn arrived", _T, derive="engine.now - request.arrival"),
    Signal("request.prompt", _TOK, "tokens of the prompt", _R, 1, derive="request.context - request.generated", default=1.0, test=1.0, at_birth=True),
    Signal("request.generated", _TOK, "tokens generated in this turn so far", _R),
    Signal("request.context", _TOK, "prompt and generated tokens", _R, 1, derive="request.prompt + request.generated", default=1.0, test=1.0),
    Signal("request.cached", _TOK, "tokens of its context whose KV is resident", _R),
    Signal("request.pinned", _TOK, "tokens of its context whose KV was preserved for it during its call", _R),
    Signal("request.uncached", _TOK, "tokens still to compute", _R, derive="request.context - request.cached"),
    Signal("request.blocks", quantity(BLOCK), "KV blocks its context fills", _R, derive="ceil(request.context / engine.block_size / 1blk) * 1blk"),
    Signal("request.unshared_blocks", quantity(BLOCK), "KV blocks of its context that no other session shares", _R, derive="request.blocks"),
    Signal("request.waited", _S, "time spent waiting in this turn, adding up over preemptions", _T),
    Signal("request.waited_steps", _STEPS, "engine steps spent waiting in this turn, adding up", _T),
    Signal("request.preemptions", _N, "times preempted in this turn", _R),
    Signal("request.priority", _N, "the client's priority, smaller is more urgent", _R, -math.inf, at_birth=True),
    Signal("request.deadline", INSTANT, "when the client wants the turn's first token; infinitely late when it didn't say", _R, -math.inf, default=math.inf, test=math.inf, at_birth=True),
    Signal("request.promoted", BOOL, "whether `promote` or the watchdog has put it first, until the turn ends", _T, default=False, test=False),
    Signal("request.fcfs_wait", _S, "the wait that first come, first served would have given it, estimated when it arrived", _R),
    # --- session: all turns ---
    Signal("session.arrival", INSTANT, "when the session's first turn arrived", _R, -math.inf, derive="request.arrival", at_birth=True),
    Signal("session.age", _S, "time since the session's first turn arrived, tools included", _T, derive="engine.now - session.arrival"),
    Signal("session.turn", _N, "number of this turn, from 1", _R, 1, default=1.0, test=1.0),
    Signal("session.waited", _S, "time spent waiting over all turns", _T, derive="request.waited"),
    Signal("session.service", _S, "time spent running over all turns", _R),
    Signal("session.seated", BOOL, "whether KV of its own, not shared with others, is on the device, or its turn runs", _T, default=False, test=False),
    Signal("session.seated_for", _S, "how long it has been seated; 0 when it is not", _T),
    Signal("session.output_left", _TOK, "tokens the session still generates, this turn included", _R, derive="predict.output + predict.output_after"),
    Signal("session.calls_left", _N, "calls the session still makes", _R, derive="call.chance"),
    Signal("session.call_time_left", _S, "time the session still spends in calls", _R, derive="call.chance * call.duration"),
    # --- tenant: all sessions of one client ---
    Signal("tenant.name", TEXT, 'name of the tenant; "" when the client gave none', _R, default="", test="", at_birth=True),
    Signal("tenant.weight", _N, "share of the engine it is entitled to, relative to others", _R, default=1.0, test=1.0, at_birth=True),
    Signal("tenant.running", _N, "its requests that run", _T),
    Signal("tenant.service", _S, "time its requests have spent running", _T),
    Signal("tenant.charged_prompt", _TOK, "prompt tokens it was served, lifted to the least of the active tenants when it returns", _T),
    Signal("tenant.charged_output", _TOK, "generated tokens it was served, lifted likewise", _T),
    Signal("tenant.queued_before", _TOK, "its own tokens that wait in front of this request", _T),
    # --- call: the next or present tool call ---
    Signal("call.tool", TEXT, 'name of the tool; "user" for a turn that ends without a call; "" when unknown', _R, default="", test=""),
    Signal("call.chance", _N, "how likely this turn ends in a call", _R, 0, 1),
    Signal("call.returns", _N, "how likely the session comes back after the call", _R, 0, 1, default=1.0, test=1.0),
    Signal("call.duration", _S, "how long the call takes; of a running call, given that it has run so long", _R, distribution=True),
    Signal("call.elapsed", _S, "how long the call has run; 0 before it", _T),
    Signal("call.remaining", _S, "what is left of the call", _T, derive="max(call.duration - call.elapsed, 0)"),
    Signal("call.context", _TOK, "context when the call begins", _R, 1, derive="request.context + predict.output", default=1.0, test=1.0),
    Signal("call.unshared", _TOK, "tokens of that context whose KV no other session shares", _R, derive="call.context"),
    Signal("call.response", _TOK, "tokens the tool's answer adds", _R, distribution=True),
    Signal("call.last", BOOL, "whether the client said that the session ends with this turn", _R, default=False, test=False),
    Signal("call.count", _N, "parallel calls in this turn", _R, default=1.0, test=1.0),
    Signal("call.handling", HANDLING, "what is in force for a paused session; read as `handling`", _T, default=float(Handling.NONE), test=float(Handling.NONE), hidden=True),
    Signal("call.decided", HANDLING, "what `on call at arrival` decided about a request that waits or runs; read as `handling`", _R, default=float(Handling.NONE), test=float(Handling.NONE), hidden=True),
    # --- predict: what is to be generated ---
    Signal("predict.output", _TOK, "tokens still to generate in this turn", _R, distribution=True),
    Signal("predict.output_after", _TOK, "tokens to generate after the call", _R, distribution=True),
    # --- engine: one value, the same for all rows of a step ---
    Signal("engine.now", INSTANT, "the instant of this step", _T, -math.inf),
    Signal("engine.step_time", quantity(SECOND / STEP), "recent time of one engine step", _T, default=0.02, test=0.02),
    Signal("engine.running", _N, "requests running", _T),
    Signal("engine.waiting", _N, "requests waiting", _T),
    Signal("engine.paused", _N, "sessions waiting for a call to return", _T),
    Signal("engine.gated", _N, "requests that `admit` refuses at present", _T),
    Signal("engine.seats", _N, "requests that may run at once, by the engine's own setting", _E, 1, default=256.0, test=256.0),
    Signal("engine.running_tokens", _TOK, "context of all running requests", _T),
    Signal("engine.pinned_tokens", _TOK, "KV tokens held for paused sessions", _T),
    Signal("engine.seated_tokens", _TOK, "KV tokens of seated sessions, running and paused, with what running ones are expected to add", _T, derive="engine.running_tokens + engine.pinned_tokens"),
    Signal("engine.held_tokens", _TOK, "KV tokens that can't be taken: of running requests and of pins", _T, derive="engine.running_tokens + engine.pinned_tokens"),
    Signal("engine.live_tokens", _TOK, "KV tokens of sessions that will go on, held or still resident", _T, derive="engine.held_tokens"),
    Signal("engine.query_tokens", _TOK, "tokens that the running requests compute in this step", _T),
    Signal("engine.kv_free", _TOK, "KV tokens that can be allocated without yielding a pin", _T),
    Signal("engine.kv_total", _TOK, "KV tokens the device holds", _E, 1, default=1.0, test=100_000.0),
    Signal("engine.block_size", quantity(TOKEN / BLOCK), "tokens a KV block holds", _E, 1, default=16.0, test=16.0),
    Signal("engine.token_bytes", quantity(BYTE / TOKEN), "bytes of KV a token takes", _E, 1, default=1.0, test=131_072.0),
    Signal("engine.host_free", _TOK, "KV tokens that host memory can still take", _T, test=100_000.0),
    Signal("engine.host_total", _TOK, "KV tokens that host memory holds; 0 without any", _E, test=100_000.0),
    Signal("engine.can_swap", BOOL, "whether KV can move to host memory and back", _E, default=False, test=True),
    Signal("engine.hidden_swap", _TOK, "KV tokens that can be moved while one forward pass runs", _T, derive="engine.chunk"),
    Signal("engine.queue_time", _S, "how long a request that arrives now is expected to wait", _T),
    Signal("engine.chunk", _TOK, "most tokens computed in one step", _E, 1, default=8192.0, test=8192.0),
    Signal("engine.reserved_elsewhere", _N, "share of the memory that other classes than that of the request asked about reserve and do not use", _T, 0, 1),
    # --- what cost functions and decisions are made of ---
    Signal("cost.prefill", quantity(SECOND / TOKEN), "time to prefill one token", _E, default=50e-6, test=50e-6, hidden=True),
    Signal("cost.prefill_context", quantity(SECOND / TOKEN / TOKEN), "more time to prefill one token, per token before it", _E, hidden=True),
    Signal("cost.decode", quantity(SECOND / TOKEN), "time to generate one token in the present batch", _E, default=0.02, test=0.02, hidden=True),
    Signal("cost.swap", quantity(SECOND / TOKEN), "time to move the KV of one token, one way", _E, default=50e-6, test=50e-6, hidden=True),
    Signal("allow.preserve", BOOL, "whether KV can be held now", _E, default=True, test=True, hidden=True),
    Signal("allow.swap", BOOL, "whether KV can be swapped now", _E, default=False, test=True, hidden=True),
)

SIGNALS: dict[str, Signal] = {s.name: s for s in _ALL}


def signal_of(key: str) -> Signal:
    """The signal a compiled key belongs to: `call.duration.p90` is a reading of `call.duration`.

    What a policy declares itself (`class.weight`, `hint.critical`) is a row signal that is fixed while the request
    waits; the node that reads it knows its type.
    """
    group, _, rest = key.partition(".")
    if group in DECLARED:
        return _declared(f"{group}.{rest.partition('.')[0]}")
    return SIGNALS[".".join(key.split(".")[:2])]


@cache
def _declared(name: str) -> Signal:
    return Signal(name, _N, "declared by the policy", _R, -math.inf, at_birth=name.startswith("hint."))
