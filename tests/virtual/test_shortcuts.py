"""What the virtual engine leaves out of vLLM's step changes nothing: the same load with and without, the same bytes."""

from __future__ import annotations

import pytest

from engine_adapter.virtual import jobs, shortcuts
from engine_adapter.virtual.driver import run
from tests.virtual.small import profile, simulation, trace


@pytest.mark.parametrize("policy", ["stock", "lamps"])
@pytest.mark.parametrize("ahead", [False, True])
def test_the_same_bytes_without_shortcuts(policy: str, ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory so short that requests are preempted, blocks reused and prefixes lost.
    given = simulation(policy, profile=profile(async_scheduling=ahead, kv_tokens=1200), trace=trace(60))
    short = run(given, None)
    assert short.counters["preemptions"] > 0 < short.counters["prefix_cache_hits"]
    for name in ("skip_idle_allocations", "skip_stop_checks", "skip_model_runner_data"):
        monkeypatch.setattr(shortcuts, name, lambda scheduler: None)
    monkeypatch.setattr(shortcuts, "skip_idle_hashing", lambda hasher, size: hasher)
    assert jobs.encode_measured(run(given, None)) == jobs.encode_measured(short)
