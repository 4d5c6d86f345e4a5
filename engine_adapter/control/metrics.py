"""What a server tells Prometheus: each metric with its unit, its labels, and how it is read off a status.

Every sample carries the label `engine`, the number of the data-parallel engine. Labels have few values by construction:
no session, request, tenant or tool is one. Counters of the runtime that have no metric of their own are in
`lamps_events_total`, so that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from engine_adapter.control.frames import Frame, Quantiles

Sample = tuple[tuple[str, ...], float]
Read = Callable[[Frame], Iterable[Sample]]
GUARD_STATES = ("ok", "fallback", "ejected", "off")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. *labels*: besides `engine`; *read* gives their values, in order, with the metric's value."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    read: Read
    labels: tuple[str, ...] = ()


def gauge(name: str, text: str, read: Read, *labels: str) -> Metric:
    return Metric(name, "gauge", text, read, labels)


def counter(name: str, text: str, read: Read, *labels: str) -> Metric:
    return Metric(name, "counter", text, read, labels)


# --- reading -----------------------------------------------------------------------------------------


def one(value: Callable[[Frame], float]) -> Read:
    """A single value."""
    return lambda frame: [((), value(frame))]


def counted(name: str, scale: float = 1.0) -> Read:
    """The runtime's counter *name*, 0 where it has not counted yet."""
    return lambda frame: [((), scale * frame.counters.get(name, 0))]


def group(prefix: str, without: tuple[str, ...] = (), scale: float = 1.0) -> Read:
    """The counters PREFIX.X, X as the label."""
    return lambda frame: [
        ((name.removeprefix(prefix),), scale * count)
        for name, count in frame.counters.items()
        if name.startswith(prefix) and name not in without
    ]


def _latencies(frame: Frame) -> Iterator[Sample]:
    for what, found in (
        ("first_token", frame.latency.first_token),
        ("turn", frame.latency.turn),
        ("queue", frame.latency.queue),
    ):
        if found.count:
            yield from (((what, quantile), value) for quantile, value in _quantiles(found))


def _quantiles(found: Quantiles) -> Iterable[tuple[str, float]]:
    return (("0.5", found.p50), ("0.9", found.p90), ("0.99", found.p99), ("1", found.most))


def _changes(frame: Frame) -> Iterator[Sample]:
    for name, count in frame.counters.items():
        how, _, handling = name.partition(".")
        if how in ("followed", "redecided"):
            yield (how, handling), count


def _memory(frame: Frame) -> list[Sample]:
    memory = frame.memory
    return [
        (("running",), memory.running),
        (("pinned",), memory.pinned),
        (("cached",), memory.cached),
        (("free",), memory.free),
    ]


def _shadow(what: Literal["compared", "differing"]) -> Read:
    def read(frame: Frame) -> list[Sample]:
        if frame.shadow is None:
            return []
        rules = (("rank", frame.shadow.rank), ("on call", frame.shadow.on_call))
        return [((rule,), getattr(found, what)) for rule, found in rules]

    return read


def _events(frame: Frame) -> list[Sample]:
    return [((name,), count) for name, count in frame.counters.items() if not _has_metric(name)]


_GROUPS = (
    "decisions.",
    "followed.",
    "redecided.",
    "pins.",
    "copies.",
    "transfers.",
    "faults.",
    "overruns.",
    "verdicts.",
    "log.",
)
_SINGLE = frozenset({
    "turns", "preemptions", "promotions", "hints.broken", "reloads", "guard.ejections", "guard.returns", "swap.refused",
})  # fmt: skip


def _has_metric(name: str) -> bool:
    return name in _SINGLE or name.startswith(_GROUPS)


# --- the metrics ---------------------------------------------------------------------------------------

METRICS: tuple[Metric, ...] = (
    gauge(
        "lamps_policy_info",
        "1 for the policy that decides, by name and revision.",
        lambda f: [((f.policy.name, f.policy.revision), 1)],
        "policy",
        "revision",
    ),
    gauge(
        "lamps_guard_state",
        "1 for the state of the guard, 0 for the others. fallback: a rule has failed, a built-in answer stood in; "
        "ejected, off: the built-in order decides.",
        lambda f: [((state,), float(f.guard.state == state)) for state in GUARD_STATES],
        "state",
    ),
    gauge(
        "lamps_policy_on_trial",
        "1 while the guard would bring back the policy before this one.",
        one(lambda f: float(f.guard.on_trial)),
    ),
    gauge("lamps_waiting_requests", "Requests in the queue.", one(lambda f: f.waiting_total)),
    gauge("lamps_running_requests", "Requests in the batch.", one(lambda f: f.running_total)),
    gauge("lamps_paused_sessions", "Sessions whose tool or user has the word.", one(lambda f: f.paused_total)),
    gauge("lamps_pins", "Paused sessions whose KV cache is held on the device.", one(lambda f: f.pins.count)),
    gauge("lamps_pinned_tokens", "KV cache held for paused sessions, tokens.", one(lambda f: f.pins.tokens)),
    gauge("lamps_pinned_ratio", "The same as a share of the KV cache, 0 to 1.", one(lambda f: f.pins.share)),
    gauge(
        "lamps_kv_tokens",
        "KV cache by use, tokens; the four are the whole. cached: free, with a prefix that may be found again.",
        _memory,
        "state",
    ),
    gauge("lamps_host_kv_tokens", "KV cache in host memory, tokens.", one(lambda f: f.memory.host)),
    gauge("lamps_host_kv_capacity_tokens", "What host memory holds, tokens.", one(lambda f: f.swap.total)),
    gauge(
        "lamps_recent_latency_seconds",
        "Quantiles over the last 512 turns within 5 minutes, as the engine sees them: from arrival to the first token, "
        "to the last token (turn), to the first admission (queue). Histograms are vLLM's own.",
        _latencies,
        "what",
        "quantile",
    ),
    counter("lamps_steps_total", "Steps of the engine.", one(lambda f: f.step)),
    counter("lamps_turns_total", "Requests that ended, aborted ones too.", counted("turns")),
    counter("lamps_prompt_tokens_total", "Prompts of admitted requests, tokens.", one(lambda f: f.flow.prompt_tokens)),
    counter(
        "lamps_cached_prompt_tokens_total",
        "Of these, found in the prefix cache, tokens.",
        one(lambda f: f.flow.cached_tokens),
    ),
    counter("lamps_generated_tokens_total", "Generated tokens.", one(lambda f: f.flow.generated_tokens)),
    counter(
        "lamps_decisions_total",
        "Handlings decided at the end of turns: preserve, swap, discard.",
        group("decisions."),
        "handling",
    ),
    counter(
        "lamps_handling_changes_total",
        "Handlings that changed while a session was paused: followed in their time, or redecided by `while paused`.",
        _changes,
        "how",
        "handling",
    ),
    counter(
        "lamps_pins_ended_total",
        "Pins that ended, or (shrunk) gave up a part: used, expired, yielded_running, ...",
        group("pins.", ("pins.tokens_reused",)),
        "reason",
    ),
    counter(
        "lamps_pinned_reused_tokens_total",
        "Pinned KV that a returning session computed no more, tokens.",
        counted("pins.tokens_reused"),
    ),
    counter(
        "lamps_copies_ended_total",
        "Copies in host memory that ended, by reason.",
        group("copies.", ("copies.tokens_reused",)),
        "reason",
    ),
    counter(
        "lamps_copied_reused_tokens_total",
        "KV loaded from host memory for a returning session, tokens.",
        counted("copies.tokens_reused"),
    ),
    counter(
        "lamps_transferred_tokens_total",
        "KV moved to host memory (out) and back (in), tokens.",
        group("transfers.tokens_"),
        "direction",
    ),
    counter(
        "lamps_transfer_seconds_total",
        "How long the moves took, added up, seconds.",
        group("transfers.us_", scale=1e-6),
        "direction",
    ),
    counter("lamps_swap_refused_total", "Copies that found no room.", counted("swap.refused")),
    counter("lamps_preemptions_total", "Running requests that lost their KV cache.", counted("preemptions")),
    counter("lamps_promotions_total", "Admissions of promoted requests.", counted("promotions")),
    counter(
        "lamps_rule_evaluations_total",
        "How often a rule was asked.",
        lambda f: [((use.rule,), use.count) for use in f.rules if not use.line],
        "rule",
    ),
    counter(
        "lamps_rule_seconds_total",
        "Time spent in a rule, seconds.",
        lambda f: [((use.rule,), use.seconds) for use in f.rules if not use.line],
        "rule",
    ),
    counter(
        "lamps_rule_answers_total",
        "How often a line of the policy was a rule's answer.",
        lambda f: [((use.rule, str(use.line)), use.count) for use in f.rules if use.line],
        "rule",
        "line",
    ),
    counter(
        "lamps_rule_faults_total",
        "How often a rule failed and the built-in answer stood in.",
        group("faults."),
        "rule",
    ),
    counter(
        "lamps_rule_overruns_total",
        "How often a rule took longer than ten times its budget; its answer stood.",
        group("overruns."),
        "rule",
    ),
    counter("lamps_guard_ejections_total", "Policies that the guard has ejected.", counted("guard.ejections")),
    counter("lamps_guard_returns_total", "Policies on trial that were taken back.", counted("guard.returns")),
    counter("lamps_reloads_total", "Policies put in force while running.", counted("reloads")),
    counter(
        "lamps_shadow_comparisons_total",
        "Decisions of the shadow policy compared with the active one's.",
        _shadow("compared"),
        "rule",
    ),
    counter("lamps_shadow_differences_total", "Of these, those that differed.", _shadow("differing"), "rule"),
    counter(
        "lamps_verdicts_total",
        "How turns ended, as the API side said: call, end, gone; late: after its pin had expired.",
        group("verdicts."),
        "outcome",
    ),
    counter("lamps_broken_hints_total", "Requests with hints that don't fit.", counted("hints.broken")),
    counter(
        "lamps_logged_decisions_total",
        "Decisions for the decision log: written, dropped (its queue was full), failed (it could not be written).",
        group("log."),
        "result",
    ),
    counter("lamps_events_total", "All else that the engine counts, by its name in `lamps status`.", _events, "event"),
)

UP = ("lamps_up", "1 where the engines answered this scrape; where they didn't, this is the only metric of lamps.")
DELIVERIES = (
    "lamps_verdict_deliveries_total",
    "Verdicts of this API server process on their way to the engine: sent, failed, dropped.",
)


def deliveries(api: Mapping[str, int]) -> list[Sample]:
    """Samples of `DELIVERIES` from the counters of an API server."""
    return [((result,), api.get(f"verdicts_{result}", 0)) for result in ("sent", "failed", "dropped")]
