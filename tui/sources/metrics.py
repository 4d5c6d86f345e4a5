"""What `/metrics` of a vLLM server without lamps tells, as a frame: requests, memory, tokens, latencies. No queue."""

from __future__ import annotations

import re
import time

from engine_adapter.control.client import Unreachable, fetch_text
from engine_adapter.control.frames import VERSION, Flow, Frame, Latency, Memory, PolicyInfo, Quantiles, Status
from tui.model import PLAIN

METRICS_PATH = "/metrics"
_SAMPLE = re.compile(r"^(vllm:[a-z_0-9]+)(?:\{([^}]*)\})? ([0-9.eE+-]+|NaN|\+Inf)$", re.MULTILINE)
_BOUND = re.compile(r'le="([^"]+)"')


def read_metrics(url: str, key: str | None) -> Status | None:
    """The status of a plain vLLM server; None where it doesn't answer or has no metrics of vLLM's."""
    try:
        text = fetch_text(url, METRICS_PATH, key)
    except Unreachable:
        return None
    return status_of(text, time.monotonic())


def status_of(text: str, now_s: float) -> Status | None:
    """The status that the metrics *text* amounts to; None where vLLM's are not among them. Summed over engines."""
    totals: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    for name, labels, number in _SAMPLE.findall(text):
        bound = _BOUND.search(labels)
        if bound:
            histogram = buckets.setdefault(name.removesuffix("_bucket"), {})
            le = float(bound[1].replace("+Inf", "inf"))
            histogram[le] = histogram.get(le, 0.0) + float(number)
        else:
            totals[name] = totals.get(name, 0.0) + float(number)
    if "vllm:num_requests_running" not in totals:
        return None
    used = min(max(totals.get("vllm:kv_cache_usage_perc", 0.0), 0.0), 1.0)
    size = 10_000  # of the memory only a share is told
    frame = Frame(
        version=VERSION,
        policy=PolicyInfo(PLAIN, "", "This server is not scheduled by lamps: what /metrics tells is all there is."),
        at=now_s,
        waiting_total=int(totals.get("vllm:num_requests_waiting", 0.0)),
        running_total=int(totals["vllm:num_requests_running"]),
        memory=Memory(total=size, running=int(used * size), free=size - int(used * size)),
        latency=Latency(
            _quantiles(buckets.get("vllm:time_to_first_token_seconds", {})),
            _quantiles(buckets.get("vllm:e2e_request_latency_seconds", {})),
            _quantiles(buckets.get("vllm:request_queue_time_seconds", {})),
        ),
        flow=Flow(
            int(totals.get("vllm:prompt_tokens_total", 0.0)),
            int(totals.get("vllm:prefix_cache_hits_total", 0.0)),
            int(totals.get("vllm:generation_tokens_total", 0.0)),
            int(totals.get("vllm:request_success_total", 0.0)),
        ),
        counters={"preemptions": int(totals.get("vllm:num_preemptions_total", 0.0))},
    )
    return Status(VERSION, (frame,))


def _quantiles(histogram: dict[float, float]) -> Quantiles:
    """Of a histogram's whole life: the bounds of the buckets that the quantiles lie in."""
    total = histogram.get(float("inf"), 0.0)
    if not total:
        return Quantiles()
    finite = sorted(bound for bound in histogram if bound != float("inf"))

    def at(share: float) -> float:
        return next((bound for bound in finite if histogram[bound] >= share * total), finite[-1] if finite else 0.0)

    return Quantiles(int(total), 0.0, at(0.5), at(0.9), at(0.99), 0.0)
