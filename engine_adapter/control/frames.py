"""What a server says about itself: status frames, as typed values.

The engine writes a frame as JSON (`engine_adapter.runtime.frame`), the API server gathers one from each data-parallel
engine, and whoever watches reads them here. Fields that a reader doesn't know are skipped and missing ones get their
defaults, so that readers and servers of neighbouring versions understand each other.
"""

from __future__ import annotations

import msgspec

# gc=False below: frames hold no cycles, and the collector's walks over ten thousand rows took as long as reading them
# (benchmarks/top.py).
VERSION = 1
OLDEST = 1  # the oldest version that is still understood
# The kinds of rows of which a server can tell what the policy says of each.
JUDGED = ("waiting", "paused")


class FrameError(ValueError):
    """Text that is no status of a lamps server."""


class ParamInfo(msgspec.Struct, frozen=True, gc=False):
    """A param of the policy: its range and unit, in base units."""

    value: float
    low: float = 0.0
    high: float = 0.0
    unit: str = ""


class Term(msgspec.Struct, frozen=True, gc=False):
    """A term of the sum that is a rank's key, as written. *key*: its number, from 0; a key without a sum is one term.

    *highest*: of the key, whether the largest goes first. *negative*: it is subtracted.
    """

    text: str
    unit: str = ""
    key: int = 0
    highest: bool = False
    negative: bool = False


class PolicyInfo(msgspec.Struct, frozen=True, gc=False):
    """*text*: the policy's file; lines of rules refer to it. *statements*: the rules it states, by their words."""

    name: str
    revision: str
    title: str = ""
    path: str = ""
    params: dict[str, float] = {}
    text: str = ""
    statements: tuple[str, ...] = ()
    ranges: dict[str, ParamInfo] = {}
    terms: tuple[Term, ...] = ()


class Running(msgspec.Struct, frozen=True, gc=False):
    """A request in the batch. *turn* counts the turns of its session from 1."""

    id: str
    session: str = ""
    turn: int = 0
    context_tokens: int = 0
    generated_tokens: int = 0
    for_s: float = 0.0
    waited_s: float = 0.0
    preemptions: int = 0
    tenant: str = ""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A request in the queue. *place* from 1; *rank*: its keys, lowest first; None for an infinite or undefined one.

    *held_by*: why it isn't running ("behind NAME", "gate", "limit NAME", "reserved for NAME", "kv", "seats", ...), ""
    where nothing is known to hold it.

    Of a row that is judged, *terms*: values of the policy's terms, in their order. *output_tokens*, *tool*, *chance*:
    predicted length of the answer, the call it ends in and how likely that is. *foreseen*: what would become of its KV
    cache then; "" where the row isn't judged.
    """

    id: str
    session: str = ""
    place: int = 0
    rank: tuple[float | None, ...] = ()
    promoted: bool = False
    waited_s: float = 0.0
    prompt_tokens: int = 0
    terms: tuple[float | None, ...] = ()
    held_by: str = ""
    cached_tokens: int = 0
    pinned_tokens: int = 0
    output_tokens: float | None = None
    tool: str = ""
    chance: float = 0.0
    foreseen: str = ""
    turn: int = 0
    preemptions: int = 0
    tenant: str = ""
    class_name: str = ""


class Paused(msgspec.Struct, frozen=True, gc=False):
    """A session whose turn is over: what its user or tool does, and what became of its KV cache.

    *handling*: preserve, swap, discard, or provisional until it is known how the turn ended. *expected_s*: predicted
    duration of the call, None where nothing is known, *p90_s* its 90 % quantile, *known*: measured, not a default.
    *held_token_s*: memory held so far, in token-seconds. *redo_s*: time to compute its context again.
    *now*: what the policy would answer today, "" where the row isn't judged. *lost*: why its pin is gone. *until_s*:
    how much longer the pin may last.
    """

    session: str
    tool: str = ""
    handling: str = ""
    tokens: int = 0
    age_s: float = 0.0
    expected_s: float | None = None
    p90_s: float | None = None
    known: bool = False
    context_tokens: int = 0
    held_token_s: float = 0.0
    redo_s: float = 0.0
    now: str = ""
    lost: str = ""
    held_by: str = ""
    until_s: float | None = None
    line: int = 0


class Pins(msgspec.Struct, frozen=True, gc=False):
    """KV cache held for paused sessions. *share*: of the engine's whole KV cache."""

    count: int = 0
    tokens: int = 0
    share: float = 0.0


class Memory(msgspec.Struct, frozen=True, gc=False):
    """KV memory by what it is used for, in tokens. running + pinned + cached + free is total; host lies beside it.

    *cached*: free, with a prefix in it that may be found again. Counted in blocks, so about right.
    """

    total: int = 0
    running: int = 0
    pinned: int = 0
    cached: int = 0
    free: int = 0
    host: int = 0


class Swap(msgspec.Struct, frozen=True, gc=False):
    """Whether KV can be moved to host memory; *reason* why not, a sentence. *total*: tokens that host memory holds."""

    possible: bool = False
    reason: str = ""
    total: int = 0


class Quantiles(msgspec.Struct, frozen=True, gc=False):
    """Of the last *count* values."""

    count: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    most: float = 0.0


class Latency(msgspec.Struct, frozen=True, gc=False):
    """Of recent turns, seconds, as the engine sees them: until the first token, until the last, and in the queue."""

    first_token: Quantiles = Quantiles()
    turn: Quantiles = Quantiles()
    queue: Quantiles = Quantiles()


class Flow(msgspec.Struct, frozen=True, gc=False):
    """Totals since the start, tokens; rates are what two frames differ by."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    turns: int = 0


class RuleUse(msgspec.Struct, frozen=True, gc=False):
    """How often a rule was asked, for how long in all, and how often it failed. *line*: of its answer; 0 elsewhere."""

    rule: str
    line: int = 0
    count: int = 0
    seconds: float = 0.0
    faults: int = 0


class Calibration(msgspec.Struct, frozen=True, gc=False):
    """How predictions fared. *what*: "output" or a tool. Means in the unit of what is predicted.

    *within_p50* and so on: the share of values that were not above that predicted quantile. *known*: the share of
    predictions that rested on measurements.
    """

    what: str
    unit: str = "s"
    count: int = 0
    predicted: float = 0.0
    actual: float = 0.0
    within_p50: float = 0.0
    within_p90: float = 0.0
    within_p99: float = 0.0
    known: float = 0.0


class PredictorInfo(msgspec.Struct, frozen=True, gc=False):
    """By what lengths of answers are predicted: "online", statistics of this server, or "learned", a trained model.

    *revision*, *source*: of the model, and what it was trained on. *believed*: its forecasts are used; they are set
    aside while the online statistics foretell better. *error*: its recent error as a share of theirs. *reason*: why a
    model that was wanted is not there.
    """

    name: str = "online"
    revision: str = ""
    source: str = ""
    believed: bool = False
    error: float | None = None
    reason: str = ""


class Arm(msgspec.Struct, frozen=True, gc=False):
    """An alternative of a decision with its cost; None where it is infinite or undefined."""

    text: str
    cost: float | None = None
    allowed: bool = True
    chosen: bool = False


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Something that was decided. *number* grows by one. *at*: seconds of the engine's clock.

    *kind*: "call", "admit", "preempt", "promote", "pin". *what*: the outcome in a word or two. *line*: of the policy.
    *values*: what the rule read.
    """

    number: int
    at: float
    kind: str
    what: str
    request: str = ""
    session: str = ""
    line: int = 0
    note: str = ""
    arms: tuple[Arm, ...] = ()
    values: dict[str, float | bool | str | None] = {}


class Guard(msgspec.Struct, frozen=True, gc=False):
    """*state*: "ok", "fallback" (a rule failed, built-in answers stood in), "ejected" or "off".

    *reason*: why; also which rules took too long, which changes no answer, and so isn't a fallback.

    While it is "ejected" or "off" the built-in order decides. *chosen*, *revision*: the policy that was set aside, else
    the one that decides. *on_trial*: should it be ejected now, the one before it comes back.
    """

    state: str = "ok"
    reason: str = ""
    chosen: str = ""
    revision: str = ""
    on_trial: bool = False


class Compared(msgspec.Struct, frozen=True, gc=False):
    """How often a shadow policy was compared with the active one, and how often it would have decided otherwise."""

    compared: int = 0
    differing: int = 0


class Shadow(msgspec.Struct, frozen=True, gc=False):
    """A policy that is asked beside the active one, without effect. *compared*: samples in all, *differing* of them.

    *rank* (of the first of the queue), *on_call*: the same of each rule. *failures*: of its rules.
    """

    name: str = ""
    revision: str = ""
    compared: int = 0
    differing: int = 0
    rank: Compared = Compared()
    on_call: Compared = Compared()
    failures: int = 0


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One engine at one moment. *at*: seconds since 1970, or of virtual time. *step*: engine steps so far.

    *capabilities*: the commands that this server takes. *waiting* and *paused* list the first and count all. *pending*:
    the path of a policy that is being compiled, "" where none is. *profile*: a sentence about the measured profile that
    step costs began with, "" where there was none. *id*: the engine's, on its server. *decisions*: the last ones, or
    those since the reader's last frame.
    """

    version: int
    policy: PolicyInfo
    engine: dict[str, float | bool | str | None] = {}
    running: tuple[Running, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    waiting_total: int = 0
    paused: tuple[Paused, ...] = ()
    pins: Pins = Pins()
    counters: dict[str, int] = {}
    at: float = 0.0
    step: int = 0
    running_total: int = 0
    paused_total: int = 0
    memory: Memory = Memory()
    swap: Swap = Swap()
    latency: Latency = Latency()
    flow: Flow = Flow()
    rules: tuple[RuleUse, ...] = ()
    predictor: PredictorInfo = PredictorInfo()
    predictors: tuple[Calibration, ...] = ()
    decisions: tuple[Decision, ...] = ()
    guard: Guard = Guard()
    shadow: Shadow | None = None
    capabilities: tuple[str, ...] = ()
    pending: str = ""
    profile: str = ""
    id: str = ""


class Status(msgspec.Struct, frozen=True, gc=False):
    """A whole server: a frame for each engine. *api*: counters of the API server process that answered."""

    version: int
    engines: tuple[Frame, ...]
    api: dict[str, int] = {}


def parse_status(text: bytes | str) -> Status:
    """A `Status` from the body of /lamps/status. Raises `FrameError`."""
    try:
        status = msgspec.json.decode(text, type=Status, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise FrameError(f"not a status of a lamps server: {problem}") from problem
    if not OLDEST <= status.version <= VERSION:
        which = "newer" if status.version > VERSION else "older"
        raise FrameError(
            f"the server is {which}: it speaks version {status.version} of the status, this lamps version {VERSION}"
        )
    return status
